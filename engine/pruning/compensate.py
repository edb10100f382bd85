"""What is left makes up for what went: corrects the output projections, each by itself; knows no criterion and trains nothing.

An output projection computes y = W x + b from its channels x, of which the plan removes P and keeps K. On the calibration
text x has the mean μ and the covariance C. Then

    bias             b' = b + W_P μ_P
    least squares    W' = W_K + W_P C_PK (C_KK + λI)⁻¹,   b' = b + W_P μ_P − (W' − W_K) μ_K

with λ = ridge · mean(diag C_KK): at ridge 0 the best linear guess of what went from what is left, at ridge → ∞ the bias alone.
Sources: the bias of FLAP, An et al. 2023 (arXiv 2312.11983); ridge regression on the Gram matrix of the kept channels as in
GRAIL (arXiv 2602.23795), here with an intercept. Every projection is fitted to what came into it in the model that was
calibrated, not to what comes in once the layers before it have changed.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.models.anatomy import Anatomy, matrix, output_features
from engine.pruning.calibration import Inputs, Statistics
from engine.pruning.plan import Plan, check
from engine.record.errors import BadInput, UnknownName, shorten

NEEDS = {"none": (), "bias": ("mean",), "least-squares": ("mean", "covariance")}  # what each method reads of the statistics
TOKENS_PER_CHANNEL = 5  # with fewer the regression fits the calibration text rather than the language


@dataclass(frozen=True)
class Compensation:
    """What was done to one output projection.

    `dropped`, `compensated` and `variance` are means over the calibration tokens of a squared length in the projection's
    output: the error if the units just go, the error after the correction, and the spread of the whole output, beside
    which both can be judged. They are predicted from the statistics in float64, and None where no covariance was gathered.
    `notes` says in words what could not be done and what to be careful about.
    """

    layer: int
    part: str  # "attention" or "mlp"
    method: str
    removed: int  # channels
    kept: int  # channels
    tokens: int
    dropped: float | None
    compensated: float | None
    variance: float | None
    notes: tuple[str, ...]


def compensate(
    model: nn.Module, plan: Plan, anatomy: Anatomy, statistics: Statistics | None, method: str, ridge: float = 1e-3
) -> tuple[Compensation, ...]:
    """`compensating`, run to its end."""
    return tuple(compensating(model, plan, anatomy, statistics, method, ridge))


def compensating(
    model: nn.Module, plan: Plan, anatomy: Anatomy, statistics: Statistics | None, method: str, ridge: float = 1e-3
) -> Iterator[Compensation]:
    """Correct, in place, every output projection that loses units, and yield a record after each; "none" corrects nothing.

    Changed are the kept columns of the weight, and the bias. The removed columns stay as they are: a closed gate or a cut takes
    them out, and `originals` and `restore` bring everything back. A projection without a bias cannot be given one: "bias"
    leaves it alone and says so in a note, "least-squares" fits it without the intercept, on second moments instead of
    covariances. `statistics` may be None for "none".

    Raises `UnknownName` for another method, and `BadInput` for a unit that the model does not have, for a ridge below 0, for
    statistics that lack what the method needs or come from a model of other widths, and for a singular system, which only a
    ridge of 0 can give. Whoever stops halfway, or is stopped by an error, restores the originals.
    """
    if method not in NEEDS:
        raise UnknownName("compensation", method, NEEDS)
    if not ridge >= 0:
        raise BadInput(f"ridge {shorten(ridge)} is not possible; give a number from 0 up.")
    check(plan, anatomy)
    if method == "none":
        return
    statistics.require(NEEDS[method])
    if len(statistics.mlp) != len(anatomy.layers):
        layers = f"{len(statistics.mlp)} layers and the model has {len(anatomy.layers)}"
        raise BadInput(f"The statistics are of {layers}; calibrate the model as it is now.")
    for path, layer, part, gone, inputs in _projections(plan, anatomy, statistics):
        yield _correct(model.get_submodule(path), layer, part, gone, inputs, statistics.tokens, method, ridge)


def originals(model: nn.Module, plan: Plan, anatomy: Anatomy) -> dict[str, Tensor]:
    """Copies of every weight and bias that a compensation along the plan may change, by parameter name; for `restore`."""
    paths = [layer.attention_output for layer in anatomy.layers if plan.heads_of(layer.index)]
    paths += [layer.mlp_output for layer in anatomy.layers if plan.neurons_of(layer.index)]
    return {
        f"{path}.{name}": parameter.detach().clone()
        for path in paths
        for name, parameter in model.get_submodule(path).named_parameters(recurse=False)
    }


def restore(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `originals` copied, bit for bit."""
    with torch.no_grad():
        for name, tensor in tensors.items():
            model.get_parameter(name).copy_(tensor)


def _projections(plan: Plan, anatomy: Anatomy, statistics: Statistics) -> Iterator[tuple[str, int, str, list[int], Inputs]]:
    for layer, attention, mlp in zip(anatomy.layers, statistics.attention, statistics.mlp, strict=True):
        heads, neurons = plan.heads_of(layer.index), plan.neurons_of(layer.index)
        if heads:
            yield layer.attention_output, layer.index, "attention", output_features(layer, heads), attention
        if neurons:
            yield layer.mlp_output, layer.index, "mlp", list(neurons), mlp


def _correct(
    module: nn.Module, layer: int, part: str, gone: list[int], inputs: Inputs, tokens: int, method: str, ridge: float
) -> Compensation:
    view = matrix(module)  # [out, in]
    weight = view.detach().cpu().double()  # [out, in]
    channels = weight.shape[1]
    if len(inputs.mean) != channels:
        raise BadInput(
            f"The statistics are of {len(inputs.mean)} channels in the {part} of layer {layer} and the model has {channels}; "
            "calibrate the model as it is now."
        )
    taken = set(gone)
    kept = [channel for channel in range(channels) if channel not in taken]
    notes = _notes(module, method, ridge, tokens, len(kept))
    moments = _moments(inputs, centred=module.bias is not None)  # [in, in] or None
    lost = weight[:, gone]  # [out, gone]
    change = torch.zeros(weight.shape[0], len(kept), dtype=torch.float64)  # [out, kept]
    if method == "least-squares" and kept and math.isfinite(ridge):
        change = _regress(moments, lost, gone, kept, ridge, f"the {part} of layer {layer}")  # [out, kept]
    # Before the weights change: on the CPU and in float64 `weight` is the parameter's own memory.
    dropped, compensated, variance = _errors(weight, inputs, moments, change, gone, kept)
    with torch.no_grad():
        view[:, kept] = (weight[:, kept] + change).to(view)  # [out, kept]
        if module.bias is not None:
            shift = lost @ inputs.mean[gone] - change @ inputs.mean[kept]  # [out]
            module.bias += shift.to(module.bias)
    return Compensation(layer, part, method, len(gone), len(kept), tokens, dropped, compensated, variance, notes)


def _moments(inputs: Inputs, centred: bool) -> Tensor | None:
    if inputs.covariance is None or centred:
        return inputs.covariance
    return inputs.covariance + torch.outer(
        inputs.mean, inputs.mean
    )  # [in, in]: without an intercept the mean is to be fitted too


def _regress(moments: Tensor, lost: Tensor, gone: list[int], kept: list[int], ridge: float, where: str) -> Tensor:
    system = moments[kept][:, kept]  # [kept, kept]
    scale = float(system.diagonal().mean())
    if scale == 0:
        return torch.zeros(lost.shape[0], len(kept), dtype=torch.float64)  # nothing varies, so that nothing can be told from it
    system.diagonal().add_(ridge * scale)
    factor, failed = torch.linalg.cholesky_ex(system)  # [kept, kept]
    if int(failed):
        raise BadInput(
            f"The kept channels of {where} depend on one another, so that ridge {ridge} has no solution; raise it, say to 0.001."
        )
    return torch.cholesky_solve(moments[kept][:, gone] @ lost.T, factor).T  # [out, kept]


def _errors(
    weight: Tensor, inputs: Inputs, moments: Tensor | None, change: Tensor, gone: list[int], kept: list[int]
) -> tuple[float | None, float | None, float | None]:
    if inputs.covariance is None:
        return None, None, None
    lost = weight[:, gone]  # [out, gone]
    own = _energy(lost, moments[gone][:, gone])
    compensated = own - 2 * float((change @ moments[kept][:, gone] * lost).sum()) + _energy(change, moments[kept][:, kept])
    dropped = _energy(lost, inputs.covariance[gone][:, gone]) + float((lost @ inputs.mean[gone]).square().sum())
    return dropped, compensated, _energy(weight, inputs.covariance)


def _energy(weight: Tensor, moments: Tensor) -> float:
    """tr(W M Wᵀ): the mean squared length of W x where M holds the second moments of x."""
    return float((weight @ moments * weight).sum())


def _notes(module: nn.Module, method: str, ridge: float, tokens: int, kept: int) -> tuple[str, ...]:
    notes = []
    if module.bias is None and (method == "bias" or math.isinf(ridge)):
        notes.append("This projection has no bias, so nothing was corrected here.")
    elif module.bias is None:
        notes.append("This projection has no bias, so its weights were fitted without one.")
    if method == "least-squares" and tokens < TOKENS_PER_CHANNEL * kept:
        notes.append(
            f"{tokens} tokens are few for {kept} kept channels (better {TOKENS_PER_CHANNEL * kept} or more): calibrate on more "
            "text or raise the ridge."
        )
    return tuple(notes)
