"""Tests of engine/pruning/prune.py: the one call for scripts does what a run does."""

import pytest
import torch

from engine.models.load import load
from engine.pruning.cut import cut
from engine.pruning.prune import prune
from engine.record import commands as ask
from engine.record.errors import BadInput
from engine.record.recipe import Schedule
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
