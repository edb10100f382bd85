"""Tests of engine/pruning/sequential.py: against a plain loop over whole forward passes and NumPy, for every family."""

import numpy as np
import pytest
import torch

from engine.models.anatomy import dissect, matrix, output_features
from engine.pruning.calibration import calibrate
from engine.pruning.compensate import compensate, originals, restore
from engine.pruning.cut import cut
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.pruning.sequential import SWEEPS, refitting
from engine.record.errors import BadInput
from engine.record.lifecycle import Progressed
from engine.record.steps import ended
from tests.families import NAMES, logits, make, tokens

BLOCKS = tokens(40, 16)
RIDGE = 1e-3


def plan_of(model) -> Plan:
    """The first key-value group of the first layer, where it may go, and six neurons of every layer."""
    anatomy = dissect(model)
    first = anatomy.layers[0]
    heads = set() if first.keeps_heads else {(0, head) for head in range(first.heads // first.groups)}
    return Plan(heads, {(layer.index, neuron) for layer in anatomy.layers for neuron in range(3, 9)})


def watched(model, path):
    """(input, output) of a module, [tokens, channels] each, and the output of the whole stack, in one pass over the text."""
    seen = []
    hook = model.get_submodule(path).register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    with torch.no_grad():
        final = model.base_model(input_ids=BLOCKS, use_cache=False).last_hidden_state
    hook.remove()
    (inputs, output), width = seen[0], final.shape[-1]
    return inputs.reshape(-1, inputs.shape[-1]).numpy(), output.reshape(-1, width).numpy(), final


def final(model, plan: Plan | None = None):
    """The hidden states [batch, length, width] that the model ends with."""
    with Gates(model) as gates, torch.no_grad():
        gates.set(plan or Plan())
        return model.base_model(input_ids=BLOCKS, use_cache=False).last_hidden_state


def stream(model, layer):
    """The residual stream [tokens, width] that comes into a layer."""
    seen = []
    module = model.get_submodule(dissect(model).layers[layer].attention.rpartition(".")[0])
    hook = module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model.base_model(input_ids=BLOCKS, use_cache=False)
    hook.remove()
    return seen[0].flatten(0, 1).numpy()


@pytest.mark.parametrize("name", ["gpt2", "opt", "gpt_neox", "gpt_neox-sequential", "opt-no-bias"])
def test_it_is_a_plain_loop_over_whole_models(name):
    """Each projection in turn, by whole forward passes of the dense and of the gated model, and numpy.linalg.lstsq."""
    dense, model, fitted = make(name), make(name), make(name)
    plan, anatomy = plan_of(dense), dissect(dense)
    with Gates(model) as gates:
        gates.set(plan)
        for layer in anatomy.layers:
            for path, gone in (
                (layer.attention_output, output_features(layer, plan.heads_of(layer.index))),
                (layer.mlp_output, list(plan.neurons_of(layer.index))),
            ):
                module = model.get_submodule(path)
                attention = layer.attention_output
                drift = stream(dense, layer.index) - stream(model, layer.index)
                if path != attention:
                    drift = drift + watched(dense, attention)[1] - watched(model, attention)[1]
                (_, goal, _), (inputs, now, _) = watched(dense, path), watched(model, path)
                kept = [channel for channel in range(inputs.shape[1]) if channel not in gone]
                x, error = inputs[:, kept], goal + drift - now
                penalty = RIDGE * x.var(0).mean() * len(x)
                left = np.vstack([np.hstack([x, np.ones((len(x), 1))]), np.sqrt(penalty) * np.eye(len(kept), len(kept) + 1)])
                solution = np.linalg.lstsq(left, np.vstack([error, np.zeros((len(kept), error.shape[1]))]))[0]
                with torch.no_grad():
                    matrix(module)[:, kept] += torch.from_numpy(solution[:-1].T)
                    bias = torch.zeros(len(solution.T), dtype=torch.float64) if module.bias is None else module.bias
                    module.bias = torch.nn.Parameter(bias + torch.from_numpy(solution[-1]))
    ended(refitting(fitted, plan, anatomy, BLOCKS, RIDGE))
    torch.testing.assert_close(final(fitted, plan), final(model, plan), rtol=1e-6, atol=1e-6)
    for layer in anatomy.layers:
        for path in (layer.attention_output, layer.mlp_output):
            one, other = fitted.get_submodule(path), model.get_submodule(path)
            torch.testing.assert_close(one.weight, other.weight, rtol=1e-6, atol=1e-7)
            torch.testing.assert_close(one.bias, other.bias, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_it_ends_nearer_to_the_dense_model_than_least_squares(name):
    """The error of the last hidden states on the calibration text; least squares in its turn is nearer than dropping."""
    model = make(name)
    plan, anatomy, dense = plan_of(model), dissect(model), final(model)
    statistics, kept, apart = calibrate(model, BLOCKS, ("mean", "covariance")), originals(model, plan_of(model), anatomy), {}
    for method in ("none", "least-squares"):
        compensate(model, plan, anatomy, statistics, method)
        apart[method] = float((final(model, plan) - dense).square().sum())
        restore(model, kept)
    ended(refitting(model, plan, anatomy, BLOCKS))
    assert float((final(model, plan) - dense).square().sum()) < apart["least-squares"] < apart["none"]


@pytest.mark.parametrize("add_biases", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_never_worse_than_dropping(name, add_biases):
    """For every projection, by the errors that it foretells; and a cut model has the gated one's logits, biases and all."""
    model = make(name)
    plan, names = plan_of(model), set(model.state_dict())
    records = ended(refitting(model, plan, dissect(model), BLOCKS, RIDGE, add_biases))
    assert [(record.layer, record.part) for record in records] == [
        (layer.index, part) for layer in dissect(model).layers for part in ("attention", "mlp")
    ][0 if plan.heads else 1 :]
    assert all(record.compensated <= record.dropped * (1 + 1e-9) and record.tokens == BLOCKS.numel() for record in records)
    assert (set(model.state_dict()) == names) == (not add_biases or all(record.bias == "" for record in records))
    with Gates(model) as gates:
        gates.set(plan)
        gated = logits(model)
    torch.testing.assert_close(logits(cut(model, plan)), gated, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["gpt2", "opt-no-bias", "gpt_neox"])
def test_the_errors_in_the_last_record_are_those_of_the_stream(name):
    """What is foretold of the last MLP is how far the stream is off where the model's layers end."""
    model = make(name)
    plan, dense = plan_of(model), None
    ends = []
    last = model.get_submodule(dissect(model).layers[-1].attention.rpartition(".")[0])
    hook = last.register_forward_hook(lambda _, inputs, output: ends.append(output))
    dense, records = final(model), ended(refitting(model, plan, dissect(model), BLOCKS))
    first, ends[:] = ends[0], []
    final(model, plan)
    hook.remove()
    assert records[-1].compensated == pytest.approx(float((ends[0] - first).square().sum(-1).mean()), rel=1e-6)
    assert dense.shape == first.shape


@pytest.mark.parametrize("name", ["gpt2", "opt", "gpt_neox"])
def test_what_comes_before_the_first_loss_is_left_alone(name):
    """There is no drift yet to be mended; all that comes after is fitted."""
    model = make(name)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    records = ended(refitting(model, Plan(neurons={(1, 0), (1, 7)}), dissect(model), BLOCKS))
    assert [(record.layer, record.part) for record in records] == [(1, "mlp")]
    mlp = dissect(model).layers[1].mlp_output
    assert {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])} == {
        f"{mlp}.weight",
        f"{mlp}.bias",
    }


def test_without_a_plan_nothing_changes():
    """No record, and no pass over the text."""
    model = make("gpt2")
    before = logits(model)
    assert ended(refitting(model, Plan(), dissect(model), BLOCKS)) == () and torch.equal(logits(model), before)


@pytest.mark.parametrize("name", ["gpt2", "opt", "gpt_neox"])
def test_cut_models_and_layers_that_lose_everything_are_fitted_too(name):
    """A second cut after the first, one layer without heads and one without neurons."""
    model = make(name)
    smaller = cut(model, Plan(heads={(0, 0), (0, 1), (0, 2)}, neurons={(1, 2)}))
    anatomy, dense = dissect(smaller), final(smaller)
    plan = Plan(heads={(1, 0), (1, 2)}, neurons={(0, neuron) for neuron in range(20)})
    dropped = float((final(smaller, plan) - dense).square().sum())
    records = ended(refitting(smaller, plan, anatomy, BLOCKS))
    assert [record.kept for record in records if record.part == "mlp"] == [0, 19]
    assert float((final(smaller, plan) - dense).square().sum()) < dropped


def test_batches_of_another_size_change_nothing():
    """The last batch may be smaller than the others."""
    one, other = make("gpt2"), make("gpt2")
    plan = plan_of(one)
    ended(refitting(one, plan, dissect(one), BLOCKS, batch_size=40))
    ended(refitting(other, plan, dissect(other), BLOCKS, batch_size=7))
    torch.testing.assert_close(logits(one), logits(other), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["gpt2", "opt-no-bias"])
def test_given_up_halfway_it_can_be_put_back(name):
    """It tells how far it has come, batch by batch; the gates are off and `restore` brings the weights back to the bit."""
    model = make(name)
    plan, anatomy = plan_of(model), dissect(model)
    before, kept = (
        {key: tensor.clone() for key, tensor in model.state_dict().items()},
        originals(model, plan, anatomy, "sequential"),
    )
    steps = refitting(model, plan, anatomy, BLOCKS, batch_size=20)
    total = SWEEPS * 2 * 2
    assert [next(steps) for _ in range(total - 2)] == [
        Progressed("compensation", at + 1, total, "batches") for at in range(total - 2)
    ]
    steps.close()
    restore(model, kept)
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_what_does_not_fit_is_refused():
    """A unit that is not there and a ridge below 0, before anything has changed."""
    model = make("gpt2")
    before = logits(model)
    for wrong in ({"plan": Plan(heads={(7, 0)})}, {"ridge": -1.0}):
        given = {"plan": plan_of(model), "ridge": RIDGE} | wrong
        with pytest.raises(BadInput):
            ended(refitting(model, given["plan"], dissect(model), BLOCKS, given["ridge"]))
    assert torch.equal(logits(model), before)
