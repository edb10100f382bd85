"""What the line for the shell carries out is the recipe that it was made of."""

import json
import shlex
from contextlib import suppress

import pytest
from pydantic import ValidationError

from engine.record.fields import assign, leaves
from engine.record.recipe import Recipe
from engine.record.rerun import changed, command_line

RECIPES = (
    Recipe(),
    Recipe(seed=3, prompt='it\'s \\n "quoted" $HOME `x` — ü'),
    Recipe.model_validate(
        {"heads": {"level": 0.5}, "tuning": {"steps": 0}, "neurons": {"shape": "custom", "blocks": [0, 0.5, 1]}}
    ),
)


def with_one_field_changed() -> list[Recipe]:
    """For every number and every yes or no of a recipe, the default one with another in its place, where that is possible."""
    found = []
    for field, knob in leaves().items():
        values = [not knob.default] if isinstance(knob.default, bool) else [knob.low, knob.high]
        for value in values:
            with suppress(ValidationError):
                found.append(Recipe.model_validate(assign({}, [f"{field}={json.dumps(value)}"])))
    return found


def test_whatever_field_is_changed_the_line_makes_the_recipe_again():
    """A field that was left out is read as the default recipe has it, inside of a schedule too."""
    recipes = with_one_field_changed()
    assert len(recipes) > 40 and len(set(map(repr, recipes))) > 40
    for recipe in recipes:
        assert Recipe.model_validate(changed(recipe.model_dump(mode="json"))) == recipe


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
