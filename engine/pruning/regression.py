"""Ridge regression from second moments: which change of weights, and which shift, explains an error; knows no model and no plan.

Let x be what comes into a linear map and e the error in what it gives, both varying over the tokens of a text. Wanted are a
change D of the weights and a shift s of the bias that minimise

    E ‖e − D x − s‖² + λ ‖D‖²        λ = ridge · mean(diag Cov x)

The answer needs no token again, only moments: D = Cov(e, x) (Cov x + λI)⁻¹ and s = μ_e − D μ_x. D = 0 is the map as it is, and so
what is left of the error is never more than what there was. Hoerl and Kennard (1970), "Ridge regression: biased estimation for
nonorthogonal problems".
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.pruning.running_sums import workable

# Below this share of the largest eigenvalue nothing is told apart: the moments were summed from float32 activations.
NOISE = torch.finfo(torch.float32).eps


@dataclass(frozen=True, eq=False)
class Equations:
    """The normal equations: first and second moments of inputs and errors, all in float64 on the CPU."""

    inputs: Tensor  # [in]: the mean of x
    errors: Tensor  # [out]: the mean of e
    among: Tensor  # [in, in]: the covariance of x
    across: Tensor  # [in, out]: the covariance of x and e
    spread: float  # the mean of ‖e − mean e‖²


@dataclass(frozen=True, eq=False)
class Fit:
    """A change of the weights and a shift of the bias, and the mean of ‖error‖² before and after them."""

    change: Tensor  # [out, in]
    shift: Tensor  # [out]: what is added to the bias; zeros without an intercept
    before: float
    after: float
    exact: bool  # False where the system had no single solution and the smallest of them was taken


def fit(equations: Equations, ridge: float, intercept: bool) -> Fit:
    """The change and the shift that explain the error best; without an intercept the best change alone, by raw second moments.

    `ridge` ≥ 0; at infinity the weights stay and only the mean is corrected. The system is solved in float64 by Cholesky
    factorisation. Where that fails, or a pivot is lost in the rounding of the sums (which only a ridge near 0 can bring
    about), the pseudo-inverse over the eigenvectors above `NOISE` takes its place, and `exact` is False.
    """
    before = equations.spread + float(equations.errors.square().sum())
    among, across, spread = equations.among, equations.across, equations.spread
    if not intercept:
        among = among + torch.outer(equations.inputs, equations.inputs)  # [in, in]
        across = across + torch.outer(equations.inputs, equations.errors)  # [in, out]
        spread = before
    change, exact = torch.zeros_like(across.T), True  # [out, in]
    if math.isfinite(ridge) and len(among):
        change, exact = _solve(among, across, ridge, silence=float((NOISE * equations.inputs).square().max()))
    after = spread - 2 * float((change * across.T).sum()) + float((change @ among * change).sum())
    shift = torch.zeros_like(equations.errors)  # [out]
    if intercept:
        shift = equations.errors - change @ equations.inputs  # [out]
    return Fit(change, shift, before, after, exact)


def _solve(among: Tensor, across: Tensor, ridge: float, silence: float) -> tuple[Tensor, bool]:
    largest = float(among.diagonal().max())
    if largest <= silence:
        return torch.zeros_like(across.T), True  # nothing varies but by rounding, so that nothing can be told from it
    system = among.clone()  # [in, in]
    system.diagonal().add_(ridge * float(among.diagonal().mean()))
    factor, failed = torch.linalg.cholesky_ex(system)  # [in, in]
    if not int(failed) and float(factor.diagonal().min()) ** 2 > NOISE * largest:
        return torch.cholesky_solve(across, factor).T, True  # [out, in]
    values, vectors = torch.linalg.eigh(system)  # [in], [in, in]
    kept = values > NOISE * len(values) * float(values[-1])  # [in]
    directions = vectors[:, kept]  # [in, kept]
    return (directions @ ((directions.T @ across) / values[kept, None])).T, False  # [out, in]


class Gathering:
    """The equations of a stream of inputs and errors, each token with a weight of its own; holds sums only.

    Batches are joined around their own means (Chan, Golub and LeVeque 1979); products are formed in the precision of the
    activations, at least float32, and summed in float64.
    """

    def __init__(self) -> None:
        self.weight = 0.0
        self._sums: Equations | None = None  # `among`, `across` and `spread` are sums, the means are means

    def add(self, inputs: Tensor, errors: Tensor, weights: Tensor) -> None:
        """Take in `inputs` [tokens, in], `errors` [tokens, out] and `weights` [tokens], each above 0."""
        weights, inputs, errors = workable(weights), workable(inputs), workable(errors)
        total = float(weights.double().sum())
        means = [(weights @ each / total).double() for each in (inputs, errors)]  # [in], [out]
        roots = weights.sqrt()[:, None]  # [tokens, 1]
        x, e = ((each - mean.to(each)) * roots for each, mean in zip((inputs, errors), means, strict=True))
        now = Equations(
            *(mean.cpu() for mean in means),
            among=(x.T @ x).double().cpu(),  # [in, in]
            across=(x.T @ e).double().cpu(),  # [in, out]
            spread=float(torch.linalg.vector_norm(e, dtype=torch.float64)) ** 2,
        )
        self._sums = now if self._sums is None else _joined(self._sums, self.weight, now, total)
        self.weight += total

    def equations(self) -> Equations:
        """What was gathered; there must have been a token."""
        sums = self._sums
        return Equations(sums.inputs, sums.errors, sums.among / self.weight, sums.across / self.weight, sums.spread / self.weight)


def _joined(first: Equations, weight: float, second: Equations, other: float) -> Equations:
    share, steps = other / (weight + other), weight * other / (weight + other)
    x, e = second.inputs - first.inputs, second.errors - first.errors  # [in], [out]
    return Equations(
        inputs=first.inputs + share * x,
        errors=first.errors + share * e,
        among=first.among.add_(second.among).addr_(x, x, alpha=steps),
        across=first.across.add_(second.across).addr_(x, e, alpha=steps),
        spread=first.spread + second.spread + steps * float(e.square().sum()),
    )
