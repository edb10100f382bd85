"""Tests of engine/pruning/prune.py: the one call for scripts does what a run does."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.models.load import load
from engine.pruning.cut import cut
from engine.pruning.prune import prune
from engine.record import commands as ask
from engine.record.errors import BadInput
from engine.record.recipe import Recipe, Schedule
from engine.workbench import Workbench


def seen(model: torch.nn.Module) -> torch.Tensor:
    """The logits of a model."""
    with torch.no_grad():
        return model(torch.arange(2, 34)[None]).logits  # [1, 32, vocabulary]


@pytest.mark.parametrize("compensation", ["none", "least-squares"])
def test_it_prunes_as_the_workbench_does(recipe, compensation):
    """The same plan and the same logits, to the bit."""
    recipe = recipe.model_copy(update={"compensation": compensation})
    loaded = load(recipe.model)
    plan = prune(loaded, recipe)
    bench = Workbench(None, recipe)
    for command in ask.commands_of(recipe)[:5]:
        list(bench.handle(command))
    assert plan == bench.desk.overlay.plan and plan.heads and plan.neurons
    assert torch.equal(seen(loaded.model), seen(bench.desk.model))
    bench.close()


def test_what_is_cut_along_its_plan_is_the_gated_model(recipe):
    """As the documented few lines have it."""
    loaded = load(recipe.model)
    before = seen(loaded.model)
    smaller = cut(loaded.model, prune(loaded, recipe))
    torch.testing.assert_close(seen(smaller), seen(loaded.model), rtol=1e-5, atol=1e-5)
    assert sum(one.numel() for one in smaller.parameters()) < sum(one.numel() for one in loaded.model.parameters())
    assert not torch.equal(seen(loaded.model), before)


def test_level_0_changes_nothing(recipe):
    """To the bit."""
    loaded, nothing = load(recipe.model), Schedule(level=0.0)
    before = seen(loaded.model)
    plan = prune(loaded, recipe.model_copy(update={"heads": nothing, "neurons": nothing}))
    assert not plan.heads and not plan.neurons and torch.equal(seen(loaded.model), before)


@pytest.mark.parametrize("changes", [{"corpus": "file:/nowhere"}, {"heads": Schedule(shape="custom", layers=(0.1,))}])
def test_what_does_not_fit_is_refused_and_changes_nothing(recipe, changes):
    """A missing text, shares for another number of layers."""
    loaded = load(recipe.model)
    before = seen(loaded.model)
    with pytest.raises(BadInput):
        prune(loaded, recipe.model_copy(update=changes))
    assert torch.equal(seen(loaded.model), before)


def test_a_recipe_for_another_model_or_device_is_refused_and_changes_nothing(recipe):
    """Named are both, and what can be done."""
    loaded = load(recipe.model)
    before = seen(loaded.model)
    for changes, words in (
        ({"model": "opt-tiny"}, "is for the model 'opt-tiny', and this one was loaded as '.*garden-gpt2'; load the recipe's"),
        ({"device": "cuda"}, "is for the device 'cuda', and the model is on 'cpu'; load it there"),
    ):
        with pytest.raises(BadInput, match=words):
            prune(loaded, recipe.model_copy(update=changes))
    assert torch.equal(seen(loaded.model), before)


def test_a_recipe_that_names_no_model_is_for_any(recipe):
    """Also for one that was made by hand and never had a name."""
    loaded, given = load(recipe.model), recipe.model_dump(exclude={"model"})
    plan = prune(replace(loaded, name="made by hand", folder=Path()), Recipe.model_validate(given))
    assert plan == prune(load(recipe.model), recipe)


@pytest.mark.parametrize(
    "name, same", [("gpt2", True), ("gpt2@a1", True), ("gpt2@main", True), ("gpt2@b2", False), ("opt", False)]
)
def test_names_that_mean_one_model_are_alike(recipe, name, same):
    """A folder by another path, and a model of the hub with its revision, as it was asked for or as a commit, or without."""
    loaded = load(recipe.model)
    folder = loaded.folder / ".." / loaded.folder.name
    assert prune(load(recipe.model), recipe.model_copy(update={"model": str(folder)})).heads
    loaded, given = replace(loaded, name="openai/gpt2@main", revision="a1"), recipe.model_copy(update={"model": f"openai/{name}"})
    if same:
        assert prune(loaded, given).heads
    else:
        with pytest.raises(BadInput, match="is for the model"):
            prune(loaded, given)


def test_a_model_that_is_pruned_already_is_refused(recipe):
    """Cut along the second plan alone it would have the units of the first again."""
    loaded = load(recipe.model)
    prune(loaded, recipe)
    before = seen(loaded.model)
    with pytest.raises(BadInput, match="closed by gates"):
        prune(loaded, recipe.model_copy(update={"criterion": "random"}))
    assert torch.equal(seen(loaded.model), before)
