"""Tests of engine/pruning/prune.py: the one call for scripts does what a run does."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from engine.models.anatomy import dissect
from engine.models.load import load
from engine.pruning.cut import cut
from engine.pruning.prune import prune
from engine.record import commands as ask
from engine.record.errors import BadInput
from engine.record.lifecycle import Degraded
from engine.record.recipe import Calibration, Recipe, Schedule
from engine.workbench import Workbench
from tests.families import like_llama


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


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"heads": Schedule(shape="custom", layers=(0.1,))}, "give one share for each layer"),
        ({"criterion": "activation"}, "not finite on the calibration text"),
        ({"criterion": "magnitude", "compensation": "least-squares"}, "not finite on the calibration text"),
        ({"criterion": "magnitude", "compensation": "sequential"}, r"h\.1\.mlp\.c_proj takes in or gives is not finite"),
    ],
    ids=["shares", "scoring", "calibrating", "laying"],
)
def test_what_fails_on_the_way_leaves_no_hook_on_the_model(recipe, changes, words):
    """At whatever it fails: here by activations beyond all numbers, which no weight shows before they are read."""
    loaded = load(recipe.model)
    loaded.model.transformer.h[1].mlp.c_fc.weight.data *= 1e30
    weights = {name: one.clone() for name, one in loaded.model.state_dict().items()}
    before = hooks(loaded.model)
    with pytest.raises(BadInput, match=words):
        prune(loaded, recipe.model_copy(update=changes))
    assert hooks(loaded.model) == before
    assert all(torch.equal(one, weights[name]) for name, one in loaded.model.state_dict().items())


def hooks(model: torch.nn.Module) -> int:
    """How many hooks a model has in all."""
    return sum(len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.modules())


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


def test_what_a_run_would_say_of_the_fit_is_warned_of(recipe):
    """Too little text for so many channels, and no single solution, in the words of the run."""
    few = Calibration(tokens=256, sequence_length=32)
    wishes = {"model": "gpt2-tiny", "compensation": "least-squares", "ridge": 0.0, "calibration": few}
    recipe = recipe.model_copy(update=wishes)
    with pytest.warns(UserWarning) as told:
        prune(load(recipe.model), recipe)
    bench = Workbench(None, recipe)
    said = [event for command in ask.commands_of(recipe)[:5] for event in bench.handle(command) if isinstance(event, Degraded)]
    bench.close()
    assert [str(one.message) for one in told] == [f"instead of {each.asked}: {each.did}, because {each.why}" for each in said]
    assert len(said) == 2 and {one.filename for one in told} == {__file__}


def test_a_bias_that_is_left_out_is_warned_of(recipe):
    """With add_biases false, in a model that has none."""
    loaded = load(recipe.model)
    model = LlamaForCausalLM(like_llama("Llama", vocab_size=loaded.anatomy.vocabulary, max_position_embeddings=64)).eval()
    loaded = replace(loaded, name="made by hand", folder=Path(), model=model, anatomy=dissect(model))
    given = recipe.model_dump(exclude={"model"}) | {"compensation": "bias", "add_biases": False}
    with pytest.warns(UserWarning, match="output projections without a bias got none, so nothing was corrected there"):
        prune(loaded, Recipe.model_validate(given))
