"""What the line for the shell carries out is the recipe that it was made of."""

import json
import shlex

import pytest

from engine.record.again import changed, command_line
from engine.record.recipe import Recipe

RECIPES = (
    Recipe(),
    Recipe(seed=3, prompt='it\'s \\n "quoted" $HOME `x` — ü'),
    Recipe.model_validate(
        {"heads": {"level": 0.5}, "tuning": {"steps": 0}, "neurons": {"shape": "custom", "blocks": [0, 0.5, 1]}}
    ),
)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_line_holds_what_makes_the_recipe_again(recipe):
    """Only what differs from the default one, quoted for a shell."""
    words = shlex.split(command_line(recipe.model_dump(mode="json")))
    assert words[:2] == ["printf", "%s"] and words[3:] == ["|", "python", "-m", "engine", "run", "-"]
    assert Recipe.model_validate_json(words[2]) == recipe
    assert json.loads(words[2]) == changed(recipe.model_dump(mode="json"))


def test_what_is_as_ever_is_not_said():
    """Also inside of a schedule."""
    assert changed(Recipe().model_dump(mode="json")) == {}
    plain = Recipe.model_validate({"heads": {"level": 0.5}}).model_dump(mode="json")
    assert changed(plain) == {"heads": {"level": 0.5}}
