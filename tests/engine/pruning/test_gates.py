"""A closed gate is the unit gone, an open one nothing at all, and neither outlives its `with`."""

from copy import deepcopy

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from engine.models.anatomy import dissect
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.record.errors import BadInput
from tests.families import FAMILIES, NAMES, logits, make, tokens


def some_units(anatomy):
    """A plan with one head, of a group or not, and two neurons in every layer, and all heads and neurons of the last."""
    last = anatomy.layers[-1]
    heads = {(layer.index, layer.index % layer.heads) for layer in anatomy.layers} | {(last.index, h) for h in range(last.heads)}
    neurons = {(layer.index, n) for layer in anatomy.layers for n in (0, 7)} | {(last.index, n) for n in range(last.neurons)}
    return Plan(heads, neurons)


def zero_slices(model, plan):
    """Zero, in place, what the output projections read from the units of a plan: the reference for a closed gate."""
    for layer in dissect(model).layers:
        width = layer.head_width
        slices = [(layer.attention_output, slice(h * width, (h + 1) * width)) for h in plan.heads_of(layer.index)]
        slices += [(layer.mlp_output, slice(n, n + 1)) for n in plan.neurons_of(layer.index)]
        for path, inputs in slices:
            module = model.get_submodule(path)
            with torch.no_grad():
                module.weight[inputs if isinstance(module, Conv1D) else (slice(None), inputs)] = 0
    return model


@pytest.mark.parametrize("name", NAMES)
def test_a_closed_gate_is_a_zeroed_slice_of_the_output_projection(name):
    """The logits in float64 are those of the model whose output projections ignore the units, and are not the dense ones."""
    model = make(name)
    dense, plan = logits(model), some_units(dissect(model))
    with Gates(model) as gates:
        gates.close(heads=plan.heads, neurons=plan.neurons)
        gated = logits(model)
    assert (gated - dense).abs().max() > 1e-3
    assert torch.allclose(gated, logits(zero_slices(make(name), plan)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_open_gates_change_no_bit(name):
    """With every gate open, before anything was closed and after it was opened again, the logits are bit-identical."""
    model = make(name)
    dense, plan = logits(model), some_units(dissect(model))
    with Gates(model) as gates:
        assert torch.equal(logits(model), dense)
        gates.set(plan)
        gates.open(heads=plan.heads, neurons=plan.neurons)
        assert gates.closed == Plan()
        assert torch.equal(logits(model), dense)


@pytest.mark.parametrize("name", FAMILIES)
def test_gates_do_not_survive_their_with(name):
    """After the end, and after an error inside, the model has its logits and no hook is left."""
    model = make(name)
    dense = logits(model)
    with pytest.raises(ZeroDivisionError), Gates(model) as gates:
        gates.close(heads=[(0, 0)])
        raise ZeroDivisionError
    assert torch.equal(logits(model), dense)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert gates.closed == Plan()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_head_and_every_neuron_has_a_gate_of_its_own(name):
    """Each unit closed alone gives logits that no other unit gives."""
    model, text = make(name), tokens(8, 40)  # long enough for every ReLU of OPT to fire somewhere
    seen = [logits(model, text)]
    with Gates(model) as gates:
        for plan in [Plan(heads=[(1, head)]) for head in range(3)] + [Plan(neurons=[(1, neuron)]) for neuron in range(20)]:
            gates.set(plan)
            seen.append(logits(model, text))
    for at, one in enumerate(seen):
        assert all((one - other).abs().max() > 1e-6 for other in seen[:at])


@pytest.mark.parametrize("name", FAMILIES)
def test_gates_hold_while_the_model_trains(name):
    """After optimiser steps the closed units contribute nothing still, and their output columns had no gradient at all."""
    model, plan = make(name).train(), Plan(heads={(0, 1)}, neurons={(1, 3)})
    with Gates(model) as gates:
        gates.set(plan)
        before = logits(model)
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(3):
            optimiser.zero_grad()
            model(tokens(), labels=tokens()).loss.backward()
            optimiser.step()
        attention, mlp = (
            model.get_submodule(path).weight.grad
            for path in (dissect(model).layers[0].attention_output, dissect(model).layers[1].mlp_output)
        )
        attention, mlp = (attention.T, mlp.T) if name == "gpt2" else (attention, mlp)  # [out, in]
        assert attention[:, 4:8].abs().max() == 0 and attention[:, :4].abs().max() > 0
        assert mlp[:, 3].abs().max() == 0 and mlp[:, 4].abs().max() > 0
        after = logits(model)
    assert (after - before).abs().max() > 1e-3
    assert torch.allclose(after, logits(zero_slices(model, plan)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", FAMILIES)
def test_gates_follow_the_model_to_another_dtype(name):
    """Closed in float64 and moved to float32 or run under autocast, the gates are closed and the result keeps its dtype."""
    model, plan = make(name), Plan(heads={(0, 1)}, neurons={(1, 3), (1, 4)})
    with Gates(model) as gates:
        gates.set(plan)
        model.to(torch.float32)
        single = logits(model)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = logits(model)
    zero_slices(model, plan)
    assert single.dtype == torch.float32 and torch.allclose(single, logits(model), atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert half.dtype == torch.bfloat16 and torch.equal(half, logits(model))


def test_closing_twice_and_opening_what_is_open_change_nothing():
    """`close` and `open` say how a unit shall be, not that it changes."""
    model = make("gpt2")
    with Gates(model) as gates:
        gates.close(heads=[(0, 1)], neurons=[(1, 2)])
        once = logits(model)
        gates.close(heads=[(0, 1)])
        gates.open(heads=[(1, 1)], neurons=[(0, 0)])
        assert gates.closed == Plan(heads={(0, 1)}, neurons={(1, 2)})
        assert torch.equal(logits(model), once)


def test_set_puts_one_plan_in_place_of_another():
    """What the new plan does not name is open again."""
    model = make("opt")
    with Gates(model) as gates:
        gates.set(Plan(heads={(0, 0)}, neurons={(0, 1)}))
        gates.set(Plan(heads={(1, 2)}))
        assert gates.closed == Plan(heads={(1, 2)})
        moved = logits(model)
    with Gates(model) as gates:
        gates.close(heads=[(1, 2)])
        assert torch.equal(logits(model), moved)


def test_two_sets_of_gates_on_one_model_add_up():
    """Nested gates close the union, and the outer ones stay when the inner ones go."""
    model = make("gpt_neox")
    with Gates(model) as outer:
        outer.close(heads=[(0, 0)])
        alone = logits(model)
        with Gates(model) as inner:
            inner.close(heads=[(0, 0)], neurons=[(1, 1)])
            both = logits(model)
        assert torch.equal(logits(model), alone)
        outer.close(neurons=[(1, 1)])
        assert torch.equal(logits(model), both)


def test_gates_work_only_inside_their_with():
    """Before, after and twice at once are refused in words; a second `with` after the first begins open."""
    gates = Gates(make("gpt2"))
    with pytest.raises(BadInput, match="with Gates"):
        gates.close(heads=[(0, 0)])
    with gates:
        gates.close(heads=[(0, 0)])
        with pytest.raises(BadInput, match="already"), gates:
            pass
        assert gates.closed == Plan(heads={(0, 0)})
    with pytest.raises(BadInput, match="with Gates"):
        gates.set(Plan())
    with gates:
        assert gates.closed == Plan()


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ({"heads": [(2, 0)]}, "layers 0 to 1"),
        ({"heads": [(0, 3)]}, "heads 0 to 2"),
        ({"neurons": [(1, 20)]}, "neurons 0 to 19"),
        ({"neurons": [(-1, 0)]}, "negative"),
        ({"heads": [3]}, "pair"),
    ],
)
@pytest.mark.parametrize("action", ["close", "open"])
def test_units_that_are_not_there_are_refused_and_nothing_changes(units, said, action):
    """The message names the range that is there; what was closed stays closed."""
    model = make("gpt2")
    with Gates(model) as gates:
        gates.close(heads=[(0, 0)])
        with pytest.raises(BadInput, match=said):
            getattr(gates, action)(**units)
        assert gates.closed == Plan(heads={(0, 0)})


def test_gates_leave_parameters_buffers_and_state_as_they_are():
    """A checkpoint written while gates are closed is that of the model without gates."""
    model = make("gpt2")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with Gates(model) as gates:
        gates.close(heads=[(0, 0)])
        logits(model)
        inside = model.state_dict()
    assert inside.keys() == before.keys()
    assert all(torch.equal(inside[name], before[name]) for name in before)


def test_a_deep_copy_made_inside_shares_the_gates():
    """It is the gated model while they are closed, and the plain one afterwards."""
    model = make("gpt2")
    dense = logits(model)
    with Gates(model) as gates:
        gates.close(heads=[(0, 0)])
        copy = deepcopy(model)
        assert torch.equal(logits(copy), logits(model))
    assert torch.equal(logits(copy), dense)
