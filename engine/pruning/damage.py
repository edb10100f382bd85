"""What it should cost, or was measured to cost, when a layer loses some of its units: one curve for every part; chooses nothing.

The curve of a part tells, for 0, 1, 2 … groups gone in its order, how much the loss rises, in nats for each token. Curves add
up: what goes in one layer is taken to do as much damage whatever goes in the others.
"""

import math
from collections.abc import Callable, Generator, Sequence

import torch
from torch import LongTensor, Tensor, nn

from engine.models.anatomy import Anatomy, matrix, output_features
from engine.models.modes import evaluating
from engine.pruning.allocate import Part, ladders, plan_of
from engine.pruning.gradients import token_losses
from engine.pruning.plan import Plan
from engine.pruning.regression import NOISE
from engine.pruning.sensitivity import Sensitivity
from engine.pruning.statistics import Statistics
from engine.record.lifecycle import Progressed
from engine.record.schedules import count

NEEDS = ("mean", "covariance")  # what a prediction reads of the statistics
POINTS = (0.25, 0.5, 0.75, 1.0)  # of what may go: where a curve is measured; in between it is a straight line
TOKENS = 4096  # of the calibration text on which it is measured

Curves = list[tuple[float, ...]]
Loss = Callable[[Plan], Generator[Progressed, None, float]]


def predicted(
    model: nn.Module,
    anatomy: Anatomy,
    parts: Sequence[Part],
    statistics: Statistics,
    sensitivity: Sensitivity,
    method: str,
    ridge: float,
    add_biases: bool,
) -> Curves:
    """½ tr(F Σ) for every part and every number of groups, Σ the second moments of the error that compensation leaves.

    One factorisation gives the whole curve. Let the channels of W stand in the order in which they stay, those that go first at
    the end, and let L Lᵀ be their covariance with λ on its diagonal. What linear regression on the others leaves of the last k
    channels has the last k rows and columns of L for its own factor, so that the error has the second moments
    Σ (W L)_j (W L)_jᵀ over the last k columns j, and the damage is a sum over them, with λ a little more than is left in truth.
    Where the method corrects the mean alone, or nothing, the error is what the channels themselves bring. "sequential" is
    predicted as "least-squares".
    """
    curves = []
    for part in parts:
        layer, heads = anatomy.layers[part.layer], part.kind == "heads"
        module = model.get_submodule(layer.attention_output if heads else layer.mlp_output)
        seen = (statistics.attention if heads else statistics.mlp)[part.layer]
        fisher = (sensitivity.attention if heads else sensitivity.mlp)[part.layer]
        if not part.groups:
            curves.append((0.0,))
            continue
        staying = [unit for group in reversed(part.groups) for unit in reversed(group)]
        order = [channel for unit in staying for channel in (output_features(layer, (unit,)) if heads else (unit,))]
        moments = seen.covariance[order][:, order]  # [channels, channels]
        if method == "none" or not (module.bias is not None or add_biases):
            mean = seen.mean[order]  # [channels]
            moments = moments + torch.outer(mean, mean)
        weight = matrix(module).detach().cpu().double()[:, order]  # [out, channels]
        fits = method in ("least-squares", "sequential") and math.isfinite(ridge)
        steps = _fitted(weight, moments, fisher, ridge) if fits else _alone(weight, moments, fisher)  # [channels]
        width = len(order) // len(staying)
        ends = torch.cumsum(torch.tensor([len(group) * width for group in part.groups]), 0) - 1  # [groups]
        curves.append((0.0, *torch.cumsum(steps.flip(0), 0)[ends].tolist()))
    return curves


def measuring(parts: Sequence[Part], by: str, loss: Loss) -> Generator[Progressed, None, Curves]:
    """The rise of the `loss` of a plan when a layer, or a block, loses 1/4, 1/2, 3/4 and all of what may go, by itself.

    One loss for each of these, and one for what is gone already. The rise of a block is shared out evenly among its layers.
    """
    gone = tuple(part.gone for part in parts)
    together = ladders(parts, by)
    before = yield from loss(plan_of(parts, gone))
    found: dict[int, list[tuple[int, float]]] = {at: [(part.gone, 0.0)] for at, part in enumerate(parts)}
    for done, (inside, rungs) in enumerate(together):
        for place in sorted({count(point, len(rungs) - 1) for point in POINTS} - {0}):
            asked = list(gone)
            for at, one in zip(inside, rungs[place], strict=True):
                asked[at] = one
            rise = (yield from loss(plan_of(parts, asked))) - before
            for at in inside:
                found[at].append((asked[at], rise / len(inside)))
        yield Progressed("measuring shares", done + 1, len(together), "parts")
    return [_between(found[at], len(part.groups)) for at, part in enumerate(parts)]


def mean_loss(model: nn.Module, blocks: LongTensor) -> float:
    """Nats per predicted token on the first `TOKENS` tokens of `blocks` [n, length]."""
    blocks = blocks[: max(1, TOKENS // blocks.shape[1])].to(next(model.parameters()).device)  # [n, length]
    with evaluating(model), torch.no_grad():
        losses = [token_losses(model(input_ids=one, use_cache=False).logits, one, None).cpu() for one in blocks.split(8)]
    # In float64 here: not every device has it.
    return float(torch.cat(losses).double().sum()) / (blocks.numel() - len(blocks))


def even_damage(parts: Sequence[Part], curves: Curves, budget: float) -> float:
    """The damage of one share of every part, as far as each may go, at which exactly `budget` parameters are gone.

    Where that share is no whole number of groups it is read from the straight line between two of them. Rounded part by part it
    would not take the budget: layers of one width all round the same way, and of three groups each a tenth is none.
    """

    def taken(share: float) -> list[float]:
        return [max(part.gone, min(part.most, share * len(part.groups))) for part in parts]

    low, high = 0.0, 1.0
    for _ in range(60):  # what goes never falls as the share rises, so that halving finds the share, to the last digit
        share = (low + high) / 2
        enough = math.fsum(part.price * gone for part, gone in zip(parts, taken(share), strict=True)) >= budget
        low, high = (low, share) if enough else (share, high)
    there = zip(parts, curves, taken(high), strict=True)
    return math.fsum(_at(curve, gone) - curve[part.gone] for part, curve, gone in there)


def damage_of(parts: Sequence[Part], curves: Curves, counts: Sequence[int]) -> float:
    """The sum of the curves at these counts, less what is gone already."""
    return math.fsum(curve[gone] - curve[part.gone] for part, curve, gone in zip(parts, curves, counts, strict=True))


def _at(curve: Sequence[float], gone: float) -> float:
    """A curve between its points."""
    below = min(int(gone), len(curve) - 1)
    above = min(below + 1, len(curve) - 1)
    return curve[below] + (gone - below) * (curve[above] - curve[below])


def _fitted(weight: Tensor, moments: Tensor, fisher: Tensor, ridge: float) -> Tensor:
    scale = float(moments.diagonal().mean())
    if not scale:
        return torch.zeros(len(moments), dtype=torch.float64)  # nothing varies here, so that nothing is lost
    system = moments.clone()  # [channels, channels]
    system.diagonal().add_(ridge * scale)
    written = weight @ _factor(system)  # [out, channels]
    return ((fisher @ written) * written).sum(0) / 2  # [channels]


def _factor(system: Tensor) -> Tensor:
    """The lower triangle L with L Lᵀ = `system` [channels, channels].

    A ridge near 0 leaves the system singular where tokens are fewer than channels, or channels say the same. Then variances lost
    in the rounding of float32 sums count as that rounding. Not as 0: a pivot of 0 would have some direction by chance, and take
    from the channels behind it what they have in that.
    """
    factor, failed = torch.linalg.cholesky_ex(system)  # [channels, channels]
    if not int(failed) and float(factor.diagonal().min()) ** 2 > NOISE * float(system.diagonal().max()):
        return factor
    values, vectors = torch.linalg.eigh(system)  # [channels], [channels, channels]
    root = vectors * values.clamp_min(NOISE * float(values[-1])).sqrt()  # [channels, channels]: root rootᵀ is the system
    return torch.linalg.qr(root.T).R.T


def _alone(weight: Tensor, moments: Tensor, fisher: Tensor) -> Tensor:
    pairs = moments * (weight.T @ fisher @ weight) / 2  # [channels, channels]: what two channels do together
    return pairs.diagonal() + 2 * pairs.tril(-1).sum(0)  # [channels]: with those that went before, which stand behind


def _between(points: Sequence[tuple[int, float]], groups: int) -> tuple[float, ...]:
    """Straight lines between the points (groups gone, rise); beyond the ends as at the ends."""
    points = sorted(dict(points).items())
    curve = []
    for gone in range(groups + 1):
        below = max((point for point in points if point[0] <= gone), default=points[0])
        above = min((point for point in points if point[0] >= gone), default=points[-1])
        step = (gone - below[0]) / (above[0] - below[0]) if above[0] > below[0] else 0.0
        curve.append(below[1] + step * (above[1] - below[1]))
    return tuple(curve)
