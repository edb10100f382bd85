"""Tests of engine/pruning/damage.py and sensitivity.py: against plain regressions and finite differences."""

import pytest
import torch

from engine.evaluation.perplexity import evaluate
from engine.models.anatomy import dissect, matrix, output_features
from engine.pruning.allocate import Part, parts_of, price_of
from engine.pruning.calibration import calibrate
from engine.pruning.damage import NEEDS, damage_of, even_damage, mean_loss, measuring, predicted
from engine.pruning.plan import Plan, Scores
from engine.pruning.sensitivity import sensing
from engine.record.recipe import Protection, Schedule
from tests.elsewhere import elsewhere
from tests.engine.pruning.small import GROUPED, LAYERS, VOCABULARY, small, text

ANY = {"heads": Schedule(), "neurons": Schedule()}


def finish(steps):
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def parts_with(model: torch.nn.Module, **limits) -> tuple:
    """Every part of a model, in the order of random scores."""
    draw, anatomy = torch.Generator().manual_seed(3), dissect(model)
    scores = Scores(
        heads=tuple(tuple(torch.rand(one.heads, generator=draw).tolist()) for one in anatomy.layers),
        neurons=tuple(tuple(torch.rand(one.neurons, generator=draw).tolist()) for one in anatomy.layers),
    )
    return parts_of(scores, anatomy, ANY, Protection(**limits))


@pytest.mark.parametrize("family", ["gpt2", GROUPED])
@pytest.mark.parametrize("method, ridge", [("least-squares", 1e-2), ("bias", 0.0), ("none", 0.0)])
def test_a_curve_is_the_fisher_weighted_error_of_every_plan_by_itself(family, method, ridge):
    """Each point by a regression of its own on the raw vectors, which knows nothing of factorisations and orders."""
    model, blocks = small(family, biases=False), text(24)
    anatomy, parts = dissect(model), parts_with(model)
    statistics, sensitivity = calibrate(model, blocks, NEEDS), finish(sensing(model, anatomy, blocks))
    curves = predicted(model, anatomy, parts, statistics, sensitivity, method, ridge, add_biases=True)
    for part, curve in zip(parts, curves, strict=True):
        heads, layer = part.kind == "heads", anatomy.layers[part.layer]
        path = layer.attention_output if heads else layer.mlp_output
        fisher = (sensitivity.attention if heads else sensitivity.mlp)[part.layer]
        vectors = inputs_of(model, path, blocks)  # [tokens, channels]
        deviations = vectors if method == "none" else vectors - vectors.mean(0)
        weight = matrix(model.get_submodule(path)).detach()  # [out, channels]
        power = deviations.square().mean()
        for gone in {0, 1, len(part.groups) // 2, len(part.groups)}:
            units = [unit for group in part.groups[:gone] for unit in group]
            lost = output_features(layer, units) if heads else units
            kept = [channel for channel in range(weight.shape[1]) if channel not in set(lost)]
            error, penalty = deviations[:, lost], torch.eye(len(lost), dtype=torch.float64)
            if method == "least-squares":
                system = deviations[:, kept].T @ deviations[:, kept] / len(vectors) + ridge * power * torch.eye(len(kept))
                weights = torch.linalg.solve(system, deviations[:, kept].T @ error / len(vectors))  # [kept, lost]
                error = error - deviations[:, kept] @ weights
                penalty = penalty + weights.T @ weights
            moments = error.T @ error / len(vectors) + (ridge * power * penalty if method == "least-squares" else 0)
            written = weight[:, lost] @ moments @ weight[:, lost].T  # [out, out]
            assert curve[gone] == pytest.approx(float((fisher * written).sum()) / 2, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("noise", [0.0, 1e-7])
@pytest.mark.parametrize("tokens", [(4, 8), (24, 16)])
def test_without_a_ridge_a_curve_is_that_of_the_least_squares_fit_where_many_fit_alike(tokens, noise):
    """Fewer tokens than channels, or neurons that say the same, and sums with the rounding of float32: all that goes is guessed
    from what stays as well as the pseudo-inverse does."""
    model, blocks = small("opt"), text(*tokens)
    with torch.no_grad():
        for layer in model.model.decoder.layers:
            for module in (layer.fc1.weight, layer.fc1.bias):
                module[20:] = module[:20]
    anatomy, parts, draw = dissect(model), parts_with(model), torch.Generator().manual_seed(0)
    statistics, sensitivity = calibrate(model, blocks, NEEDS), finish(sensing(model, anatomy, blocks))
    for inputs in (*statistics.attention, *statistics.mlp):
        error = torch.randn(inputs.summed.shape, generator=draw, dtype=torch.float64)
        inputs.summed.add_(noise * float(inputs.summed.diagonal().max()) * (error + error.T))
    curves = predicted(model, anatomy, parts, statistics, sensitivity, "least-squares", 0.0, add_biases=True)
    for part, curve in zip(parts, curves, strict=True):
        heads, layer = part.kind == "heads", anatomy.layers[part.layer]
        path = layer.attention_output if heads else layer.mlp_output
        fisher = (sensitivity.attention if heads else sensitivity.mlp)[part.layer]
        vectors = inputs_of(model, path, blocks)  # [tokens, channels]
        deviations, weight = vectors - vectors.mean(0), matrix(model.get_submodule(path)).detach()
        for gone in {0, 1, len(part.groups) // 2, len(part.groups)}:
            units = [unit for group in part.groups[:gone] for unit in group]
            lost = output_features(layer, units) if heads else units
            kept = [channel for channel in range(weight.shape[1]) if channel not in set(lost)]
            error = deviations[:, lost] - deviations[:, kept] @ (torch.linalg.pinv(deviations[:, kept]) @ deviations[:, lost])
            written = weight[:, lost] @ (error.T @ error / len(vectors)) @ weight[:, lost].T  # [out, out]
            assert curve[gone] == pytest.approx(float((fisher * written).sum()) / 2, rel=1e-4, abs=1e-3 * curve[-1])


def inputs_of(model: torch.nn.Module, path: str, blocks: torch.Tensor) -> torch.Tensor:
    """What comes into a module, [tokens, channels]."""
    seen = []
    hook = model.get_submodule(path).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(0, -2)))
    with torch.no_grad():
        model(blocks)
    hook.remove()
    return torch.cat(seen)


@pytest.mark.parametrize("family", ["gpt2", "opt"])
def test_the_sensitivity_is_that_of_finite_differences(family):
    """A nudge at every place and in every direction of one projection's output, in a text of two tokens."""
    model, blocks = small(family), text(1, 3)
    anatomy = dissect(model)
    found = finish(sensing(model, anatomy, blocks)).attention[1]  # [out, out]
    module, nudge = model.get_submodule(anatomy.layers[1].attention_output), {}

    def add(_module, _inputs, output):
        return output + nudge["by"].view(output.shape)

    def loss() -> float:
        logits = model(blocks).logits[0]  # [3, vocabulary]
        return float(torch.nn.functional.cross_entropy(logits[:-1], blocks[0, 1:], reduction="sum"))

    handle, gradients = module.register_forward_hook(add), torch.zeros(3, len(found), dtype=torch.float64)
    with torch.no_grad():
        for place in range(3):
            for at in range(len(found)):
                values = []
                for step in (1e-5, -1e-5):
                    nudge["by"] = torch.zeros(3, len(found), dtype=torch.float64)
                    nudge["by"][place, at] = step
                    values.append(loss())
                gradients[place, at] = (values[0] - values[1]) / 2e-5
    handle.remove()
    torch.testing.assert_close(found, gradients.T @ gradients / 2, rtol=1e-5, atol=1e-7)


def test_reading_the_sensitivity_leaves_the_model_as_it_was():
    """Mode, gradients and hooks."""
    model = small("gpt2").train()
    finish(sensing(model, dissect(model), text(4)))
    assert model.training and all(one.requires_grad and one.grad is None for one in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_for_small_errors_the_prediction_is_the_curvature_on_average():
    """Where the text is the model's own, F is the second derivative: random small errors raise the loss as predicted."""
    model, draw = small("gpt2"), torch.Generator().manual_seed(0)
    anatomy = dissect(model)
    blocks = torch.randint(0, VOCABULARY, (256, 2), generator=draw)  # [n, 2]: one predicted token each
    with torch.no_grad():
        chances = model(blocks).logits[:, 0].softmax(1)  # [n, vocabulary]
        blocks[:, 1] = torch.multinomial(chances, 1, generator=draw)[:, 0]
    module = model.get_submodule(anatomy.layers[2].mlp_output)
    fisher = finish(sensing(model, anatomy, blocks)).mlp[2]  # [out, out]
    before, rises, size = loss_of(model, blocks), [], 0.02
    for _ in range(64):
        error = size * torch.randn(len(blocks), 1, len(fisher), generator=draw, dtype=torch.float64)
        for sign in (1, -1):  # what is linear in the error cancels
            hook = module.register_forward_hook(
                lambda _m, _i, output, by=sign * error: torch.cat([output[:, :1] + by, output[:, 1:]], 1)
            )
            rises.append(loss_of(model, blocks) - before)
            hook.remove()
    promised = size**2 * float(fisher.trace()) / 2
    assert sum(rises) / len(rises) == pytest.approx(promised, rel=0.25)


def loss_of(model: torch.nn.Module, blocks: torch.Tensor) -> float:
    """Nats per predicted token, in one go."""
    with torch.no_grad():
        logits = model(blocks).logits[:, :-1]  # [n, length - 1, vocabulary]
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), blocks[:, 1:].flatten()))


@pytest.mark.parametrize("by", ["layer", "block"])
def test_a_measured_curve_goes_through_what_was_measured(by):
    """A made-up loss, the square of what is gone in every layer: at the points it is exact, in between it is a straight line."""
    parts, asked = parts_with(small("gpt2"), last=1), []

    def loss(plan: Plan):
        asked.append(plan)
        yield "progress"
        return 3.0 + sum(len(plan.neurons_of(layer)) ** 2 for layer in range(LAYERS))

    curves = finish(measuring(parts, by, loss))
    assert asked[0] == Plan() and all(not plan.heads_of(2) and not plan.neurons_of(2) for plan in asked)
    for part, curve in zip(parts, curves, strict=True):
        assert len(curve) == len(part.groups) + 1
        wanted = [gone**2 if part.kind == "neurons" and part.most else 0 for gone in (0, 10, 20, 30, 40)]
        if part.kind == "neurons":
            assert [curve[gone] for gone in (0, 10, 20, 30, 40)] == pytest.approx(wanted)
            assert curve[5] == pytest.approx(wanted[1] / 2)
        else:
            assert set(curve) == {0.0}


def test_damage_counts_from_what_is_gone_already():
    """A part that has lost one group of two has done the damage of one."""
    parts = parts_with(small("gpt2"))
    curves = [tuple(float(gone) for gone in range(len(part.groups) + 1)) for part in parts]
    assert damage_of(parts, curves, [len(part.groups) for part in parts]) == 3 * (4 + 40)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.15, 0.5, 0.9, 1.0])
def test_one_share_of_everything_takes_exactly_the_parameters_that_it_is_held_against(share):
    """Damage that is the price: three groups in every layer, a floor, a cap and layers that have lost some already."""
    heads = [Part("heads", at, ((0,), (1,), (2,)), (0.0,) * 3, 1000, at % 2, (3, 2, 3, 1)[at]) for at in range(4)]
    neurons = [Part("neurons", at, tuple((one,) for one in range(10)), (0.0,) * 10, 7, 0, 8) for at in range(4)]
    parts = (*heads, *neurons)
    gone, most = (price_of(parts, [getattr(part, of) for part in parts]) for of in ("gone", "most"))
    curves = [tuple(part.price * one for one in range(len(part.groups) + 1)) for part in parts]
    budget = gone + share * (most - gone)
    assert even_damage(parts, curves, budget) == pytest.approx(budget - gone, abs=1e-9)


@pytest.mark.parametrize("most, damage", [(3, (5.0 + 11.0) / 2 + 2.0), (1, 5.0 + (2.0 + 4.0) / 2)])
def test_one_share_of_everything_is_read_between_the_points_of_the_curves(most, damage):
    """By hand: 4.5 of 3 and 6 parameters are half of both; or, where but one of the first may go, 1 and 3.5."""
    parts = (
        Part("neurons", 0, tuple((one,) for one in range(3)), (0.0,) * 3, 1, 0, most),
        Part("neurons", 1, tuple((one,) for one in range(6)), (0.0,) * 6, 1, 0, 6),
    )
    curves = [(0.0, 5.0, 11.0, 18.0), (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)]
    assert even_damage(parts, curves, 4.5) == pytest.approx(damage)


def test_the_mean_loss_is_that_of_an_evaluation():
    """On a device without float64 too, which tensors stand in for that refuse it while they are elsewhere."""
    model, blocks = small("gpt2").float(), text(24)
    found = evaluate(model, blocks)
    wanted = mean_loss(model, blocks)
    assert wanted == pytest.approx(found.nll / found.tokens, rel=1e-6)
    assert mean_loss(elsewhere(model), blocks) == wanted
