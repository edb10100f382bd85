"""Tests of engine/record/commands.py: what a recipe asks for, step by step."""

from dataclasses import fields

import pytest

from engine.record import commands as ask
from engine.record.recipe import Recipe, Tuning


def names(recipe: Recipe) -> list[str]:
    """The names of the commands that a recipe expands into."""
    return [type(command).__name__ for command in ask.commands_of(recipe)]


def test_a_recipe_expands_into_the_stages_of_an_experiment():
    """Measured before, after pruning, after recovery (by Tune itself) and when cut."""
    measured = ["Evaluate", "Sample"]
    assert names(Recipe()) == ["Load", *measured, "Score", "Prune", *measured, "Tune", "Cut", "Save"]
    assert [command.stage for command in ask.commands_of(Recipe()) if hasattr(command, "stage")] == ["baseline"] * 2 + [
        "pruned"
    ] * 2


def test_no_steps_mean_no_recovery_and_no_cut_means_nothing_saved():
    """What is not wanted is not asked for."""
    assert names(Recipe(tuning=Tuning(steps=0), cut=False))[-3:] == ["Prune", "Evaluate", "Sample"]


def test_every_choice_of_a_recipe_reaches_a_command():
    """A field that no command carries would be a choice without an effect."""
    recipe = Recipe(
        model="facebook/opt-125m",
        corpus="wikitext-2",
        criterion="random",
        heads={"level": 0.11},
        neurons={"level": 0.22},
        allocation="global",
        suggestion={"by": "block"},
        protect={"first": 1},
        compensation="bias",
        rounds=3,
        tuning={"steps": 33},
        calibration={"tokens": 4444},
        evaluation={"tokens": 5555},
        prompt="Six",
        device="cpu",
        precision="float32",
        seed=7,
    )
    carried = [getattr(command, field.name) for command in ask.commands_of(recipe) for field in fields(command)]
    for name in Recipe.model_fields:
        if name not in ("cut", "recover"):  # what `commands_of` itself decides on
            assert getattr(recipe, name) in carried, name


@pytest.mark.parametrize("make", [ask.prune_of, ask.preview_of])
def test_pruning_and_its_preview_take_the_recipe_whole(make):
    """Every field of the command is the recipe's field of that name, so that what is previewed is what would be done."""
    recipe = Recipe(criterion="random", heads={"level": 0.11}, compensation="bias", calibration={"tokens": 4444}, seed=7)
    command = make(recipe)
    named = [field.name for field in fields(command) if field.name != "only"]  # which round, where rounds are done one by one
    assert all(getattr(command, name) == getattr(recipe, name) for name in named)


@pytest.mark.parametrize("name", ask.COMMANDS)
def test_every_command_is_frozen_and_found_by_its_name(name):
    """The name in a line of commands.jsonl is the name of the class."""
    command = ask.COMMANDS[name]
    assert command.__name__ == name and command.__dataclass_params__.frozen and command.__doc__


def test_holds_are_commands():
    """Those that are answered at once."""
    assert set(ask.HOLDS) <= set(ask.COMMANDS.values())


def test_a_fingerprint_tells_every_field_of_a_command():
    """The same command has the same one in every process; another criterion, a deeper field or another command has another."""
    asked = ask.preview_of(Recipe())
    assert ask.fingerprint(asked) == ask.fingerprint(ask.preview_of(Recipe(prompt="Another"))) != ""
    others = [{"criterion": "random"}, {"heads": {"level": 0.31}}, {"ridge": 0.5}, {"evaluation": {"tokens": 512}}, {"seed": 1}]
    told = {ask.fingerprint(ask.preview_of(Recipe.model_validate(other))) for other in others} | {ask.fingerprint(asked)}
    assert len(told) == len(others) + 1
    assert ask.fingerprint(ask.Undo()) != ask.fingerprint(ask.Reset())
