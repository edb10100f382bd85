"""Tests of engine/pruning/streams.py: layer by layer gives what the whole model gives, to the bit."""

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.cut import cut
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.pruning.streams import calls, enter, step
from tests.families import NAMES, make, tokens


def piled(model, ids):
    """The hidden states [batch, length, width] that leave the last layer, one layer after another."""
    anatomy, called = dissect(model), calls(model, ids)
    hidden = enter(model, ids)
    for layer in anatomy.layers:
        hidden = step(model, layer, hidden, called[layer.index]).hidden
    return hidden


def leaving(model, ids):
    """The same as the whole model has them."""
    found = []
    last = model.get_submodule(dissect(model).layers[-1].attention.rpartition(".")[0])
    handle = last.register_forward_hook(lambda _, inputs, output: found.append(output))
    with torch.no_grad():
        model.base_model(input_ids=ids, use_cache=False)
    handle.remove()
    return found[0]


@pytest.mark.parametrize("name", NAMES)
def test_layer_by_layer_is_the_whole_model(name):
    """To the bit, with positions and masks that each layer gets from its model."""
    model, ids = make(name), tokens(3, 20)
    assert torch.equal(piled(model, ids), leaving(model, ids))


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_by_is_what_hooks_on_the_model_see(name):
    """The inputs and outputs of both output projections; and after them nothing of the layer is run."""
    model, ids = make(name), tokens()
    layer, seen = dissect(model).layers[0], {}
    handles = [
        model.get_submodule(path).register_forward_hook(
            lambda _, inputs, output, path=path: seen.update({path: (inputs[0], output)})
        )
        for path in (layer.attention_output, layer.mlp_output)
    ]
    with torch.no_grad():
        model.base_model(input_ids=ids, use_cache=False)
    for handle in handles:
        handle.remove()
    hidden, call = enter(model, ids), calls(model, ids)[0]
    for until, path, inputs in (
        ("attention", layer.attention_output, "attention_inputs"),
        ("mlp", layer.mlp_output, "mlp_inputs"),
    ):
        found = step(model, layer, hidden, call, until)
        assert torch.equal(getattr(found, inputs).flatten(), seen[path][0].flatten())
        assert torch.equal(getattr(found, until).flatten(), seen[path][1].flatten())
        assert found.hidden is None and (until == "mlp" or found.mlp is None)


@pytest.mark.parametrize("name", ["gpt2", "opt", "gpt_neox"])
def test_gated_and_cut_models_are_run_as_they_are(name):
    """A layer without heads among them."""
    model, ids = make(name), tokens()
    plan = Plan(heads={(0, 0), (0, 1), (0, 2), (1, 1)}, neurons={(1, neuron) for neuron in range(20)})
    with Gates(model) as gates:
        gates.set(plan)
        assert torch.equal(piled(model, ids), leaving(model, ids))
    smaller = cut(model, plan)
    assert torch.equal(piled(smaller, ids), leaving(smaller, ids))


def test_nothing_is_left_on_the_model():
    """Neither hooks nor another mode, also where a run is broken off."""
    model, ids = make("gpt2"), tokens()
    model.train()
    model.transformer.h[0].eval()
    modes = [module.training for module in model.modules()]
    hidden, call, layer = enter(model, ids), calls(model, ids)[1], dissect(model).layers[1]
    for until in ("attention", "mlp", "hidden"):
        step(model, layer, hidden, call, until)
    with pytest.raises(RuntimeError):
        step(model, layer, hidden[..., :5], call)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
