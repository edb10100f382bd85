"""Tests of engine/pruning/cut_layers.py: a layer beside its model gives what the same layer of the cut model gives."""

import gc
import weakref

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.calibration import calibrate
from engine.pruning.compensate import compensate
from engine.pruning.cut import cut
from engine.pruning.cut_layers import NOTHING, Fit, Pieces
from engine.pruning.plan import Plan
from engine.pruning.streams import calls, enter, leave
from tests.engine.pruning.small import FAMILIES, GROUPED, small, text
from tests.families import NAMES, every_head, groups, logits, make, tokens


def rebuilt(model, plan, ids, fit, known):
    """The logits of a model whose layers all stand beside it, and what their compensation added in parameters."""
    pieces, hidden, called, added = Pieces(model), enter(model, ids), calls(model, ids), 0
    for layer in dissect(model).layers:
        gone = {"attention": plan.heads_of(layer.index), "mlp": plan.neurons_of(layer.index)}
        parts = [pieces.part(layer, name, units, fit, known) if units else NOTHING for name, units in gone.items()]
        added += sum(part.added for part in parts)
        with torch.no_grad():
            call = called[layer.index]
            hidden = pieces.layer(layer, *parts)(hidden, *call.positional, **call.keyword)
    return leave(model, ids, hidden), added


@pytest.mark.parametrize("name", NAMES)
def test_layers_beside_the_model_are_those_of_the_cut_one(name):
    """Of every family and layout: a part of the heads gone, every head, a part of the neurons, and all of them."""
    model, ids = make(name), tokens(3, 20)
    anatomy = dissect(model)
    last = len(anatomy.layers) - 1
    neurons = {(0, neuron) for neuron in range(0, 20, 2)} | {(last, at) for at in range(anatomy.layers[last].neurons)}
    plan = Plan(groups(anatomy, (0, 0)) | every_head(anatomy, last), neurons)
    found, added = rebuilt(model, plan, ids, Fit(), None)
    torch.testing.assert_close(found, logits(cut(model, plan), ids), rtol=0, atol=1e-12)
    assert added == 0


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("method", ["bias", "least-squares"])
@pytest.mark.parametrize("family", [*FAMILIES, GROUPED])
def test_what_is_left_makes_up_as_in_the_model_itself(family, method, biases):
    """Biases that were not there are counted; the model is left bit for bit as it was."""
    model, ids = small(family, biases), text(2)
    anatomy = dissect(model)
    plan = Plan(groups(anatomy, (0, 1), (2, 0)), {(layer, at) for layer in (0, 1) for at in range(0, 40, 3)})
    known = calibrate(model, text(), ("mean", "covariance"))
    before = {name: one.clone() for name, one in model.state_dict().items()}
    found, added = rebuilt(model, plan, ids, Fit(method, 1e-3), known)
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    compensate(model, plan, anatomy, known, method, 1e-3)
    torch.testing.assert_close(found, logits(cut(model, plan), ids), rtol=0, atol=1e-10)
    assert added == sum(one.numel() for one in model.parameters()) - anatomy.parameters


def test_a_layer_is_made_once_and_is_there_for_as_long_as_its_parts():
    """A sweep runs it again and again; whoever lets go of a part has its memory back."""
    model = make("gpt2")
    layer, pieces = dissect(model).layers[1], Pieces(model)
    attention, mlp = (pieces.part(layer, name, (0,), Fit(), None) for name in ("attention", "mlp"))
    made = pieces.layer(layer, attention, mlp)
    assert pieces.layer(layer, attention, mlp) is made
    assert pieces.layer(layer, NOTHING, mlp) is not made
    held = [weakref.ref(one) for one in (*attention.tensors.values(), *mlp.tensors.values())]
    del made, attention
    gc.collect()
    assert [one() is None for one in held] == [True] * 4 + [False] * 4
    del mlp
    gc.collect()
    assert all(one() is None for one in held)
