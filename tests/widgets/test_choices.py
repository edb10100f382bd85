"""What the controls say and how they follow each other: there and back to a recipe, and each movement in turn."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from engine.record.commands import Load, Preview, Prune, Sample, Score, Tune
from engine.record.fields import explain
from engine.record.recipe import Recipe, Schedule, Tuning
from engine.record.schedules import shares
from widgets.choices import KINDS, Choices, adopted, choices_of, moved, recipe_as_asked, recipe_of

UNIFORM = Recipe(heads=Schedule(level=0.3), neurons=Schedule(level=0.3))
SHOWN = (
    UNIFORM,
    Recipe(),
    Recipe(neurons=Schedule(level=0.5, shape="linear", steepness=4.0)),
    Recipe(
        neurons=Schedule(), heads=Schedule(level=0.25, shape="exponential", steepness=0.5), prompt="Once", tuning=Tuning(steps=7)
    ),
    Recipe(corpus="file:/tmp/a.txt", criterion="magnitude"),
    Recipe(corpus={"train": "a", "calibration": "b", "evaluation": "c"}, seed=3, compensation="none"),
)
ODD = (
    Recipe(neurons=Schedule(shape="custom", layers=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6))),
    Recipe(heads=Schedule(shape="linear", steepness=3.0), neurons=Schedule(shape="exponential", steepness=0.2)),
    Recipe(heads=Schedule(shape="custom", blocks=(0.0, 0.1, 0.9)), neurons=Schedule(shape="custom", blocks=(0.9, 0.1, 0.0))),
)


@pytest.fixture
def start() -> Choices:
    """The controls as a page opens, before a model of six layers."""
    return choices_of(UNIFORM, 6)


@pytest.mark.parametrize("recipe", SHOWN + ODD)
def test_a_recipe_comes_back_from_the_controls_that_show_it(recipe: Recipe) -> None:
    """Showing a recipe changes nothing in it, not even what no control shows."""
    assert recipe_of(choices_of(recipe, 6), recipe) == recipe


@pytest.mark.parametrize("recipe", ODD)
def test_what_the_controls_cannot_show_counts_until_one_of_them_is_moved(recipe: Recipe) -> None:
    """Shares by layer, or a shape for each kind, stay until a hand is on a schedule's control; another control leaves them."""
    choices = choices_of(recipe, 6)
    assert choices.given is not None
    assert moved(choices, "prompt", 6).given is not None
    assert moved(choices, "layers", 7).given is not None
    assert moved(choices, "steepness", 6).given is None


@pytest.mark.parametrize("slider", ["front", "middle", "back"])
def test_a_block_slider_turns_the_shape_to_custom(start: Choices, slider: str) -> None:
    """The recipe then takes the three shares, for neurons alone, and the level becomes their mean over the layers."""
    index = ["front", "middle", "back"].index(slider)
    blocks = tuple(0.9 if which == index else 0.3 for which in range(3))
    after = moved(replace(start, blocks=blocks), slider, 6)
    recipe = recipe_of(after, UNIFORM)
    assert (recipe.neurons.shape, recipe.neurons.blocks) == ("custom", blocks)
    assert recipe.heads == Schedule(level=0.3)
    assert after.neurons == pytest.approx(0.5)
    assert after.heads == 0.3


@pytest.mark.parametrize("layers", [3, 6, 7])
@pytest.mark.parametrize("shape", ["uniform", "linear", "exponential"])
def test_a_shape_moves_the_block_sliders_to_its_shares(start: Choices, shape: str, layers: int) -> None:
    """The sliders show what the schedule takes from the first, the middle and the last layer."""
    after = moved(replace(start, shape=shape, steepness=4.0), "shape", layers)
    wanted = shares(layers, 0.3, shape, 4.0)
    assert after.blocks == pytest.approx((wanted[0], wanted[layers // 2], wanted[-1]), abs=1e-4)


@pytest.mark.parametrize(("control", "value"), [("neurons", 0.6), ("steepness", 8.0)])
def test_level_and_steepness_move_the_block_sliders(start: Choices, control: str, value: float) -> None:
    """While the shape is not custom the sliders are a picture of it."""
    linear = moved(replace(start, shape="linear"), "shape", 6)
    after = moved(replace(linear, **{control: value}), control, 6)
    assert after.blocks != linear.blocks
    assert after.shape == "linear"


def test_a_level_scales_custom_shares_and_keeps_them_custom(start: Choices) -> None:
    """Their mean becomes the level, and a block at the cap passes the rest on."""
    custom = moved(replace(start, blocks=(0.1, 0.2, 0.6)), "back", 6)
    after = moved(replace(custom, neurons=0.6), "neurons", 6)
    assert after.shape == "custom"
    assert sum(after.blocks) / 3 == pytest.approx(0.6, abs=1e-3)
    assert max(after.blocks) == 1.0


def test_custom_shares_that_are_all_zero_rise_together(start: Choices) -> None:
    """Nothing is divided by the nothing that they sum to."""
    none = moved(replace(start, blocks=(0.0, 0.0, 0.0)), "front", 6)
    assert moved(replace(none, neurons=0.4), "neurons", 6).blocks == pytest.approx((0.4, 0.4, 0.4), abs=1e-4)


@pytest.mark.parametrize("apply_to", ["neurons", "heads", "both"])
def test_the_shape_acts_on_what_it_is_applied_to(start: Choices, apply_to: str) -> None:
    """The other kind loses its level from every layer alike."""
    choices = moved(replace(start, shape="linear", steepness=5.0, apply_to=apply_to), "apply_to", 6)
    recipe = recipe_of(choices, Recipe())
    for kind in KINDS:
        shaped = apply_to in (kind, "both")
        assert getattr(recipe, kind).shape == ("linear" if shaped else "uniform")


def test_a_block_without_layers_leaves_its_slider_alone(start: Choices) -> None:
    """A model of one layer has only a middle."""
    after = moved(replace(start, shape="linear", blocks=(0.7, 0.3, 0.8)), "shape", 1)
    assert after.blocks == (0.7, 0.3, 0.8)


@pytest.mark.parametrize(
    ("control", "value", "field"),
    [("prompt", " ", "prompt"), ("prompt", "\x07", "prompt"), ("steps", -1, "tuning.steps"), ("neurons", 1.5, "neurons.level"),
     ("criterion", "actvation", "criterion"), ("model", "gpt3", "model"), ("heads", float("nan"), "heads.level")],
)  # fmt: skip
def test_an_impossible_value_is_refused_by_its_field(start: Choices, control: str, value: object, field: str) -> None:
    """The page can put the sentence beside the control that it concerns."""
    with pytest.raises(ValidationError) as refused:
        recipe_of(replace(start, **{control: value}), Recipe())
    assert explain(refused.value)[0] == field


def test_later_commands_change_the_recipe_that_a_late_page_shows() -> None:
    """Whatever was asked for last counts: levels, criterion, compensation, steps, prompt; nothing else is touched."""
    schedule = Schedule(level=0.6)
    asked = [
        Load("opt-tiny", "wikipedia-sample", device="cpu"), Score("random"), Preview("magnitude", Schedule(), Schedule()),
        Prune("entropy", schedule, Schedule(), "bias", rounds=3, seed=5), Sample("pruned", "Two", seed=5),
        Tune(Tuning(steps=9), prompt="Three", seed=5),
    ]  # fmt: skip
    recipe = recipe_as_asked(Recipe(cut=False), asked)
    assert (recipe.model, recipe.criterion, recipe.heads, recipe.seed) == ("opt-tiny", "entropy", schedule, 5)
    assert (recipe.tuning.steps, recipe.prompt) == (9, "Three")
    assert (recipe.compensation, recipe.rounds, recipe.device, recipe.cut) == ("bias", 3, "cpu", False)


def test_shares_that_were_suggested_are_taken_into_the_controls() -> None:
    """Layer by layer, the levels their means; where nothing is to go there is nothing by layer; the recipe says just that."""
    before = choices_of(Recipe(allocation="suggest", heads=Schedule(shape="custom", blocks=(0.1, 0.2, 0.3))), 3)
    choices = adopted(before, {"heads": (0.0, 0.0, 0.0), "neurons": (0.1, 0.4, 0.25)})
    assert (choices.heads, choices.neurons, choices.given) == (0.0, 0.25, None)
    assert (choices.shape, choices.apply_to, choices.blocks) == ("custom", "neurons", (0.1, 0.4, 0.25))
    recipe = recipe_of(choices, Recipe())
    assert recipe.allocation == "schedule" and not recipe.heads.takes_any
    assert recipe.neurons.shares(3) == (0.1, 0.4, 0.25)
    both = adopted(choices, {"heads": (0.5, 0.0, 0.0), "neurons": (0.1, 0.4, 0.25)})
    assert recipe_of(both, Recipe()).heads.shares(3) == (0.5, 0.0, 0.0)
    shown = choices_of(recipe_of(both, Recipe()), 3)
    assert (shown.shape, shown.apply_to, shown.blocks) == (both.shape, both.apply_to, both.blocks), "as after a reload"
    none = adopted(both, {"heads": (0.0,) * 3, "neurons": (0.0,) * 3})
    assert not any(getattr(recipe_of(none, Recipe()), kind).takes_any for kind in KINDS)
