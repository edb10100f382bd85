"""What is left makes up for what went: corrects the output projections, each by itself; knows no criterion and trains nothing.

An output projection computes y = W x + b from its channels x, of which the plan removes P and keeps K. On the calibration
text x has the mean μ and the covariance C. Then

    bias             b' = b + W_P μ_P
    least squares    W' = W_K + W_P C_PK (C_KK + λI)⁻¹,   b' = b + W_P μ_P − (W' − W_K) μ_K

with λ = ridge · mean(diag C_KK): at ridge 0 the best linear guess of what went from what is left, at ridge → ∞ the bias alone.
Sources: the bias of FLAP, An et al. 2023 (arXiv 2312.11983); ridge regression on the Gram matrix of the kept channels as in
GRAIL (arXiv 2602.23795), here with an intercept. Every projection is fitted to what came into it in the model that was
calibrated, not to what comes in once the layers before it have changed; for that there is `engine.pruning.sequential`.
"""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.models.anatomy import Anatomy, Layer, matrix, output_features
from engine.models.biases import give_bias, put
from engine.pruning.plan import Plan, check
from engine.pruning.regression import Equations, fit
from engine.pruning.statistics import Inputs, Statistics
from engine.record.errors import BadInput, UnknownName, counted, shorten
from engine.record.lifecycle import Progressed
from engine.record.steps import ended

# What each method reads of the statistics; the bias wants the covariance to foretell its error, sequential reads the text itself.
NEEDS = {"none": (), "bias": ("mean", "covariance"), "least-squares": ("mean", "covariance"), "sequential": ()}
TOKENS_PER_CHANNEL = 5  # with fewer the regression fits the calibration text rather than the language
RIDGE = 1e-3


@dataclass(frozen=True)
class Compensation:
    """What was done to one output projection.

    `dropped`, `compensated` and `variance` are means over the calibration tokens of a squared length in the projection's
    output: the error if the units just go, the error after the correction, and the spread of the whole output, beside
    which both can be judged. They are predicted from the statistics in float64. `wanted` is the number of tokens below which the
    fit is not to be trusted, 0 where no weight was fitted; `exact` is False where a pseudo-inverse had to do.
    """

    layer: int
    part: str  # "attention" or "mlp"
    method: str
    removed: int  # channels
    kept: int  # channels
    tokens: int
    dropped: float
    compensated: float
    variance: float
    bias: str  # "" (it has one), "added" or "none"
    wanted: int
    exact: bool


@dataclass(frozen=True)
class Spot:
    """One output projection: where it is, and which of its input channels go and which stay."""

    path: str
    layer: int
    part: str  # "attention" or "mlp"
    gone: tuple[int, ...]
    kept: tuple[int, ...]


Steps = Generator[Progressed, None, tuple[Compensation, ...]]


def compensate(
    model: nn.Module,
    plan: Plan,
    anatomy: Anatomy,
    statistics: Statistics | None,
    method: str,
    ridge: float = RIDGE,
    add_biases: bool = True,
) -> tuple[Compensation, ...]:
    """`compensating`, run to its end."""
    return ended(compensating(model, plan, anatomy, statistics, method, ridge, add_biases))


def compensating(
    model: nn.Module,
    plan: Plan,
    anatomy: Anatomy,
    statistics: Statistics | None,
    method: str,
    ridge: float = RIDGE,
    add_biases: bool = True,
) -> Steps:
    """Correct, in place, every output projection that loses units, and return a record of each; "none" corrects nothing.

    Changed are the kept columns of the weight, and the bias. The removed columns stay as they are: a closed gate or a cut takes
    them out, and `originals` and `restore` bring everything back. A projection without a bias is given one, unless `add_biases`
    is False: then "bias" leaves it alone, and "least-squares" fits it without the intercept, on second moments instead of
    covariances. `statistics` may be None for "none".

    Raises `UnknownName` for another method, and `BadInput` for a unit that the model does not have, for a ridge below 0, and for
    statistics that lack what the method needs or come from a model of other widths. Whoever stops halfway, or is stopped by an
    error, restores the originals.
    """
    if method not in NEEDS or method == "sequential":
        raise UnknownName("compensation", method, [each for each in NEEDS if each != "sequential"])
    check_ridge(ridge)
    check(plan, anatomy)
    if method == "none":
        return ()
    statistics.require(NEEDS[method])
    if len(statistics.mlp) != len(anatomy.layers):
        layers = f"{counted(len(statistics.mlp), 'layer')} and the model has {len(anatomy.layers)}"
        raise BadInput(f"The statistics are of {layers}; calibrate the model as it is now.")
    losing = [spot for layer in anatomy.layers for spot in spots(layer, plan) if spot.gone]
    records: list[Compensation] = []
    for spot in losing:
        yield Progressed("compensation", len(records), len(losing), "projections")
        inputs = getattr(statistics, spot.part)[spot.layer]
        equations, variance = _equations(matrix(model.get_submodule(spot.path)), spot, inputs)
        endless = math.inf if method == "bias" else ridge
        records.append(correct(model, spot, equations, variance, statistics.tokens, method, endless, add_biases))
    return tuple(records)


def spots(layer: Layer, plan: Plan) -> tuple[Spot, Spot]:
    """The two output projections of a layer, the attention's and the MLP's, and what of their channels the plan removes."""
    heads = output_features(layer, plan.heads_of(layer.index))
    attention = _spot(layer.attention_output, layer.index, "attention", heads, layer.heads * layer.head_width)
    return attention, _spot(layer.mlp_output, layer.index, "mlp", list(plan.neurons_of(layer.index)), layer.neurons)


def correct(
    model: nn.Module, spot: Spot, equations: Equations, variance: float, tokens: int, method: str, ridge: float, add_biases: bool
) -> Compensation:
    """Fit the kept columns and the bias of one projection to the equations, in place, and say what came of it."""
    module = model.get_submodule(spot.path)
    bias = "" if module.bias is not None else "added" if add_biases else "none"
    found = fit(equations, ridge, intercept=bias != "none")
    if bias == "added":
        give_bias(module)
    view, kept = matrix(module), list(spot.kept)  # [out, in]
    with torch.no_grad():
        view[:, kept] = (view[:, kept].cpu().double() + found.change).to(view)  # [out, kept]
        if module.bias is not None:
            module.bias.copy_(module.bias.cpu().double() + found.shift)  # [out]
    wanted = TOKENS_PER_CHANNEL * len(kept) if math.isfinite(ridge) else 0
    sizes = (len(spot.gone), len(kept), tokens)
    return Compensation(spot.layer, spot.part, method, *sizes, found.before, found.after, variance, bias, wanted, found.exact)


def check_ridge(ridge: float) -> None:
    """Raise `BadInput` for a ridge below 0 and for one that is no number."""
    if not ridge >= 0:
        raise BadInput(f"ridge {shorten(ridge)} is not possible; give a number from 0 up.")


def originals(model: nn.Module, plan: Plan, anatomy: Anatomy, method: str = "least-squares") -> dict[str, Tensor | None]:
    """Copies of every weight and bias that a compensation along the plan may change, by parameter name; for `restore`.

    A bias that is not there, and that the projection may be given, is None. "sequential" may change the output projections of
    every layer.
    """
    both = [spot for layer in anatomy.layers for spot in spots(layer, plan)]
    copies: dict[str, Tensor | None] = {}
    for spot in both:
        if not spot.gone and not (method == "sequential" and (plan.heads or plan.neurons)):
            continue
        module = model.get_submodule(spot.path)
        for name in ("weight", "bias"):
            tensor = getattr(module, name)
            copies[f"{spot.path}.{name}"] = None if tensor is None else tensor.detach().clone()
    return copies


def restore(model: nn.Module, tensors: Mapping[str, Tensor | None]) -> None:
    """Put back what `originals` copied, bit for bit."""
    put(model, tensors)


def _spot(path: str, layer: int, part: str, gone: list[int], channels: int) -> Spot:
    taken = set(gone)
    return Spot(path, layer, part, tuple(gone), tuple(channel for channel in range(channels) if channel not in taken))


def _equations(view: Tensor, spot: Spot, inputs: Inputs) -> tuple[Equations, float]:
    """The equations whose error is what the gone channels gave, and the variance of the whole output."""
    weight = view.detach().cpu().double()  # [out, in]
    channels = weight.shape[1]
    if len(inputs.mean) != channels:
        raise BadInput(
            f"The statistics are of {len(inputs.mean)} channels in the {spot.part} of layer {spot.layer} and the model has "
            f"{channels}; calibrate the model as it is now."
        )
    gone, kept = list(spot.gone), list(spot.kept)
    covariance, lost = inputs.covariance, weight[:, gone]  # [in, in], [out, gone]
    return Equations(
        inputs=inputs.mean[kept],
        errors=lost @ inputs.mean[gone],
        among=covariance[kept][:, kept],
        across=covariance[kept][:, gone] @ lost.T,
        spread=_energy(lost, covariance[gone][:, gone]),
    ), _energy(weight, covariance)


def _energy(weight: Tensor, moments: Tensor) -> float:
    """tr(W M Wᵀ): the mean squared length of W x where M holds the second moments of x."""
    return float((weight @ moments * weight).sum())
