"""Tests of the compensation: against NumPy's least squares in float64, and that it is never worse than dropping."""

import math

import numpy as np
import pytest
import torch

from engine.models.anatomy import dissect, matrix, output_features
from engine.pruning.calibration import calibrate
from engine.pruning.compensate import compensate, compensating, originals, restore
from engine.pruning.cut import cut
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.record.errors import BadInput, UnknownName
from engine.record.lifecycle import Progressed
from tests.engine.pruning.small import FAMILIES, HEADS, NEURONS, small, text

PLAN = Plan(heads={(0, 1), (1, 0), (1, 3), (2, 2)}, neurons={(layer, at) for layer in (0, 2) for at in range(3, 18)})
BLOCKS = text(24, 16)
NEEDS = {"mean", "covariance"}


def inputs_of(model, path):
    """What comes into a projection of the dense model on the calibration text: [tokens, channels], NumPy."""
    seen = []
    hook = model.get_submodule(path).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(0, -2)))
    with torch.no_grad():
        model(BLOCKS)
    hook.remove()
    return seen[0].numpy()


def projections(model, plan):
    """(layer, part, path, gone, kept) of every output projection that loses units."""
    for layer in dissect(model).layers:
        heads, neurons = plan.heads_of(layer.index), plan.neurons_of(layer.index)
        for part, path, gone, width in (
            ("attention", layer.attention_output, output_features(layer, heads), layer.heads * layer.head_width),
            ("mlp", layer.mlp_output, list(neurons), layer.neurons),
        ):
            if gone:
                yield layer.index, part, path, gone, [at for at in range(width) if at not in gone]


def parameters(model, path):
    """Weight [out, in] and bias [out] (None where there is none) of a projection, copied to NumPy."""
    module = model.get_submodule(path)
    bias = None if module.bias is None else module.bias.detach().numpy().copy()
    return matrix(module).detach().numpy().copy(), bias


def corrected(family, method, plan=PLAN, ridge=0.0, biases=True, add_biases=True):
    """A model, its parameters before, its parameters after and the records."""
    model = small(family, biases)
    paths = [path for _, _, path, _, _ in projections(model, plan)]
    vectors = {path: inputs_of(model, path) for path in paths}
    before = {path: parameters(model, path) for path in paths}
    records = compensate(model, plan, dissect(model), calibrate(model, BLOCKS, NEEDS), method, ridge, add_biases)
    return model, vectors, before, {path: parameters(model, path) for path in paths}, records


def squared_error(vectors, before, after, kept):
    """The mean over tokens of the squared distance between the outputs of the whole and of the pruned projection."""
    whole = vectors @ before[0].T + (0 if before[1] is None else before[1])
    pruned = vectors[:, kept] @ after[0][:, kept].T + (0 if after[1] is None else after[1])
    return ((whole - pruned) ** 2).sum(1).mean()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ridge", [1e-3, 0.3])
def test_least_squares_is_numpys_ridge_regression(family, ridge):
    """Each projection solves min ‖X_K W' + b' − Y‖² + nλ‖W' − W_K‖², written out as rows for numpy.linalg.lstsq."""
    model, vectors, before, after, _ = corrected(family, "least-squares", ridge=ridge)
    for _, _, path, gone, kept in projections(model, PLAN):
        x, (weight, bias) = vectors[path], before[path]
        penalty = ridge * x[:, kept].var(0).mean() * len(x)
        rows = np.vstack([np.hstack([x[:, kept], np.ones((len(x), 1))]), np.sqrt(penalty) * np.eye(len(kept), len(kept) + 1)])
        target = np.vstack([x[:, gone] @ weight[:, gone].T, np.zeros((len(kept), len(weight)))])
        solution = np.linalg.lstsq(rows, target)[0]  # [kept + 1, out]
        np.testing.assert_allclose(after[path][0][:, kept], weight[:, kept] + solution[:-1].T, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(after[path][1], solution[-1] + (0 if bias is None else bias), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("family", ["opt", "gpt-neox", "llama"])
def test_a_projection_without_a_bias_is_given_one(family):
    """It is a parameter from then on, frozen if the weight is, and what came of the mean is in it; the record tells."""
    model, vectors, before, after, records = corrected(family, "bias", biases=False)
    given = [(record.layer, record.part) for record in records if record.bias == "added"]
    assert len(given) == sum(before[path][1] is None for *_, path, _, _ in projections(model, PLAN)) > 0
    for layer, part, path, gone, _ in projections(model, PLAN):
        lost = before[path][0][:, gone] @ vectors[path][:, gone].mean(0)
        np.testing.assert_allclose(after[path][1], lost + (0 if before[path][1] is None else before[path][1]), atol=1e-12)
        assert f"{path}.bias" in model.state_dict() and ((layer, part) in given) == (before[path][1] is None)
    frozen = small(family, biases=False).requires_grad_(False)
    compensate(frozen, PLAN, dissect(frozen), calibrate(frozen, BLOCKS, NEEDS), "bias")
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


@pytest.mark.parametrize("family", ["opt", "gpt-neox", "llama"])
def test_where_none_may_be_added_least_squares_goes_without_an_intercept(family):
    """The fit is the best one through the origin, and the record says so."""
    model, vectors, before, after, records = corrected(family, "least-squares", ridge=1e-3, biases=False, add_biases=False)
    bare = [record for record in records if record.bias == "none"]
    assert len(bare) == (sum(record.part == "attention" for record in records) if family == "gpt-neox" else len(records)) > 0
    for layer, part, path, gone, kept in projections(model, PLAN):
        if (layer, part) not in {(record.layer, record.part) for record in bare}:
            continue
        assert model.get_submodule(path).bias is None
        x, (weight, _) = vectors[path], before[path]
        penalty = 1e-3 * (x[:, kept] ** 2).mean() * len(x)
        rows = np.vstack([x[:, kept], np.sqrt(penalty) * np.eye(len(kept))])
        target = np.vstack([x[:, gone] @ weight[:, gone].T, np.zeros((len(kept), len(weight)))])
        solution = np.linalg.lstsq(rows, target)[0]  # [kept, out]
        np.testing.assert_allclose(after[path][0][:, kept], weight[:, kept] + solution.T, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_endless_ridge_is_the_bias_alone(family):
    """At ridge ∞ least squares gives the very parameters of "bias", and a huge one comes close."""
    *_, bias, _ = corrected(family, "bias")
    *_, endless, _ = corrected(family, "least-squares", ridge=math.inf)
    *_, huge, _ = corrected(family, "least-squares", ridge=1e12)
    for path, (weight, shift) in bias.items():
        np.testing.assert_array_equal(endless[path][0], weight)
        np.testing.assert_array_equal(endless[path][1], shift)
        np.testing.assert_allclose(huge[path][0], weight, atol=1e-9)
        np.testing.assert_allclose(huge[path][1], shift, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bias_keeps_the_mean_output(family):
    """On the calibration text the pruned projection's mean output is the dense one's; no weight has changed."""
    model, vectors, before, after, _ = corrected(family, "bias")
    for _, _, path, _, kept in projections(model, PLAN):
        whole = vectors[path] @ before[path][0].T + (0 if before[path][1] is None else before[path][1])
        pruned = vectors[path][:, kept] @ after[path][0][:, kept].T + after[path][1]
        np.testing.assert_allclose(pruned.mean(0), whole.mean(0), atol=1e-10)
        np.testing.assert_array_equal(after[path][0], before[path][0])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("biases", "add"), [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize(("method", "ridge"), [("bias", 0.0), ("least-squares", 1e-3), ("least-squares", 10.0)])
def test_it_is_never_worse_than_dropping_and_foretells_its_own_error(family, biases, add, method, ridge):
    """The errors in the record are those that the outputs really have, and the corrected one is the smaller."""
    model, vectors, before, after, records = corrected(family, method, ridge=ridge, biases=biases, add_biases=add)
    spots = list(projections(model, PLAN))
    assert [(record.layer, record.part) for record in records] == [(layer, part) for layer, part, *_ in spots]
    for record, (_, _, path, gone, kept) in zip(records, spots, strict=True):
        assert (record.removed, record.kept, record.tokens) == (len(gone), len(kept), BLOCKS.numel())
        assert record.dropped == pytest.approx(squared_error(vectors[path], before[path], before[path], kept), rel=1e-8)
        assert record.compensated == pytest.approx(squared_error(vectors[path], before[path], after[path], kept), rel=1e-6)
        assert record.variance == pytest.approx((vectors[path] @ before[path][0].T).var(0).sum(), rel=1e-8)
        assert record.compensated <= record.dropped * (1 + 1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_smaller_ridge_fits_the_calibration_text_better(family):
    """From the bias alone to the full regression in one slider."""
    totals = []
    for ridge in (math.inf, 10.0, 0.1, 1e-3):
        totals.append(sum(record.compensated for record in corrected(family, "least-squares", ridge=ridge)[-1]))
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] < totals[0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["bias", "least-squares"])
def test_gated_and_cut_agree_after_compensation(family, method):
    """The removed columns are left alone, and it makes no difference: closed gates and a cut give the same logits."""
    model, _, before, after, _ = corrected(family, method, ridge=1e-3)
    for _, _, path, gone, _ in projections(model, PLAN):
        np.testing.assert_array_equal(after[path][0][:, gone], before[path][0][:, gone])
    with Gates(model) as gates, torch.no_grad():
        gates.set(PLAN)
        gated = model(BLOCKS).logits
    with torch.no_grad():
        torch.testing.assert_close(cut(model, PLAN)(BLOCKS).logits, gated, rtol=0, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_that_loses_everything_gives_its_mean(family):
    """With no channel kept there is nothing to regress on, and the bias takes over the mean output."""
    plan = Plan(heads={(1, head) for head in range(HEADS)}, neurons={(0, neuron) for neuron in range(NEURONS)})
    model, vectors, before, after, records = corrected(family, "least-squares", plan, ridge=1e-3)
    assert [record.kept for record in records] == [0, 0]
    for path, (weight, bias) in before.items():
        np.testing.assert_allclose(after[path][1], (vectors[path] @ weight.T).mean(0) + (0 if bias is None else bias), atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_everything_can_be_put_back(family):
    """After `restore` every parameter is what it was, bit for bit."""
    model = small(family).float()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kept = originals(model, PLAN, dissect(model))
    compensate(model, PLAN, dissect(model), calibrate(model, BLOCKS, NEEDS), "least-squares")
    changed = {name for name, tensor in model.state_dict().items() if name not in before or not torch.equal(tensor, before[name])}
    assert changed == set(kept)
    restore(model, kept)
    assert set(model.state_dict()) == set(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_it_says_how_far_it_has_come():
    """The generator corrects one projection at a time, so that a run can report progress and stop."""
    model = small("gpt2")
    steps = compensating(model, PLAN, dissect(model), calibrate(model, BLOCKS, NEEDS), "bias")
    untouched = parameters(model, "transformer.h.0.attn.c_proj")
    assert next(steps) == Progressed("compensation", 0, 5, "projections")
    np.testing.assert_array_equal(parameters(model, "transformer.h.0.attn.c_proj")[1], untouched[1])
    assert next(steps) == Progressed("compensation", 1, 5, "projections")
    assert not np.array_equal(parameters(model, "transformer.h.0.attn.c_proj")[1], untouched[1])
    assert len(list(steps)) == 3


@pytest.mark.parametrize(("method", "plan"), [("none", PLAN), ("bias", Plan()), ("least-squares", Plan())])
def test_without_a_method_or_a_plan_nothing_changes(method, plan):
    """No record, and every bit as before; "none" needs no statistics."""
    model = small("opt")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    statistics = None if method == "none" else calibrate(model, BLOCKS, NEEDS)
    assert compensate(model, plan, dissect(model), statistics, method) == ()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_bias_without_a_bias_to_correct_changes_nothing():
    """Where none may be added."""
    model, _, before, after, records = corrected("opt", "bias", biases=False, add_biases=False)
    assert all(record.bias == "none" and record.compensated == pytest.approx(record.dropped) for record in records)
    assert all(np.array_equal(after[path][0], before[path][0]) and after[path][1] is None for path in before)


def test_each_record_says_how_many_tokens_it_wants():
    """Five for each kept channel where weights are fitted, none where only the mean is."""
    for ridge, per_channel in ((1e-3, 5), (math.inf, 0)):
        records = corrected("gpt2", "least-squares", ridge=ridge)[-1]
        assert [record.wanted for record in records] == [per_channel * record.kept for record in records]
    assert all(record.wanted == 0 for record in corrected("gpt2", "bias")[-1])


def test_silent_channels_are_no_trouble():
    """Channels that never vary, kept or removed, leave the system solvable and change nothing."""
    model = small("gpt2")
    with torch.no_grad():
        model.transformer.h[0].mlp.c_fc.weight.zero_()
        model.transformer.h[0].mlp.c_fc.bias.zero_()
    plan = Plan(neurons={(0, neuron) for neuron in range(10)})
    (record,) = compensate(model, plan, dissect(model), calibrate(model, BLOCKS, NEEDS), "least-squares")
    assert record.dropped == record.compensated == 0


@pytest.mark.parametrize("ridge", [-1.0, math.nan])
def test_an_impossible_ridge_is_refused(ridge):
    """The message says what is allowed."""
    model = small("gpt2")
    with pytest.raises(BadInput, match="from 0 up"):
        compensate(model, PLAN, dissect(model), calibrate(model, BLOCKS, NEEDS), "least-squares", ridge)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_singular_system_has_its_smallest_solution_and_says_so(family):
    """Fewer tokens than channels and ridge 0: the fit is perfect, of all such fits the smallest, and marked as not exact."""
    model, blocks = small(family), text(1, 16)
    statistics, before = calibrate(model, blocks, NEEDS), {}
    (spot,) = projections(model, Plan(neurons={(0, neuron) for neuron in range(5)}))
    *_, path, gone, kept = spot
    before[path] = parameters(model, path)
    with torch.no_grad():
        seen = []
        hook = model.get_submodule(path).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(0, -2)))
        model(blocks)
        hook.remove()
    (record,) = compensate(
        model, Plan(neurons={(0, neuron) for neuron in gone}), dissect(model), statistics, "least-squares", 0.0
    )
    assert not record.exact and record.compensated < 1e-9 * record.dropped
    x = seen[0].numpy() - seen[0].numpy().mean(0)
    smallest = np.linalg.pinv(x[:, kept]) @ x[:, gone] @ before[path][0][:, gone].T  # [kept, out]
    np.testing.assert_allclose(parameters(model, path)[0][:, kept] - before[path][0][:, kept], smallest.T, atol=1e-6)
    assert all(record.exact for record in corrected(family, "least-squares", ridge=1e-3)[-1])


def test_statistics_that_do_not_fit_are_refused():
    """Without covariance, of another depth, of another width, and for units that are not there."""
    model = small("gpt2")
    anatomy, statistics = dissect(model), calibrate(model, BLOCKS, NEEDS)
    with pytest.raises(BadInput, match="lack covariance"):
        compensate(model, PLAN, anatomy, calibrate(model, BLOCKS, {"mean"}), "least-squares")
    smaller = cut(model, Plan(neurons={(0, 0)}))
    with pytest.raises(BadInput, match="40 channels in the mlp of layer 0 and the model has 39"):
        compensate(smaller, Plan(neurons={(0, 0)}), dissect(smaller), statistics, "bias")
    with pytest.raises(BadInput, match="layer 7"):
        compensate(model, Plan(heads={(7, 0)}), anatomy, statistics, "bias")
    for wrong in ("least_squares", "sequential"):
        with pytest.raises(UnknownName, match="least-squares"):
            compensate(model, PLAN, anatomy, statistics, wrong)
