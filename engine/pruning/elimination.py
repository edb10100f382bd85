"""In which order units go if each time the cheapest goes and those that are left make up for it; knows no model, only matrices.

An output projection writes W x. Without the channels S of x, and with the weights of the others fitted anew to what S wrote,
the error is

    E(S) = tr(W_S ([H⁻¹]_SS)⁻¹ W_Sᵀ),   H = C + λ I,   C the covariance of x,   λ = ridge · mean(diag C),

the expected squared length of what is missing plus λ times the squared change of the weights: the optimal brain surgeon of
Hassibi and Stork (1993) for whole channels of a linear map. The greedy order takes the unit with the smallest rise of E, fits,
and goes on with V = H⁻¹ and G = WᵀW of what is left. With a = V_:u V_uu⁻¹ for the unit u that goes,

    rise = tr(V_uu⁻¹ G_uu),   V ← V − a V_u: ,   G ← G − a G_u: − G_:u aᵀ + a G_uu aᵀ.
"""

from collections.abc import Generator

import torch
from torch import Tensor

from engine.record.errors import BadInput
from engine.record.steps import ended

RIDGE = 1e-3  # that of the least-squares compensation, which is to make up for what goes
PENDING = 64  # channels that have gone and are taken out of the matrices together, in one product instead of many


def errors(weight: Tensor, covariance: Tensor, units: int, ridge: float = RIDGE, pending: int = PENDING) -> Tensor:
    """`eliminating`, run to its end."""
    return ended(eliminating(weight, covariance, units, ridge, pending))


def eliminating(
    weight: Tensor, covariance: Tensor, units: int, ridge: float = RIDGE, pending: int = PENDING
) -> Generator[int, None, Tensor]:
    """For each of the units, all as wide as one another, the error E that there is once it has gone: [units], in float64.

    Yields how many have gone whenever some are taken out of the matrices, so that a caller can report or stop.
    `weight` is [out, channels], `covariance` [channels, channels]; both are read in float64. The smallest error is that of
    the first to go. Of equal ones the lower index goes first. Takes about 3 channels³ operations and five float64 matrices of
    channels². Where nothing varies, nothing is lost: all errors are 0. Raises `BadInput` for a covariance that is none any more
    by the rounding of its sums, also with λ on its diagonal.
    """
    found = torch.zeros(units, dtype=torch.float64)  # [units]
    scale = ridge * float(covariance.diagonal().double().mean()) if units else 0.0
    if scale == 0:
        return found
    remaining = _Remaining(_inverse(covariance, scale), weight.double(), units, pending)
    total = 0.0
    for gone in range(1, units + 1):
        place, rise = remaining.cheapest()
        total += max(rise, 0.0)  # rounding may make a rise of nothing negative
        found[remaining.remove(place)] = total
        if not remaining.gone or gone == units:
            yield gone
    return found


def _inverse(covariance: Tensor, scale: float) -> Tensor:
    """H⁻¹, [channels, channels] in float64."""
    system = covariance.double().clone()  # [channels, channels]
    system.diagonal().add_(scale)
    factor, failed = torch.linalg.cholesky_ex(system)  # [channels, channels]
    if int(failed):
        # No pseudo-inverse, as a compensation takes: where the directions that are lost cost nothing, so would their units.
        raise BadInput(
            f"What {len(covariance)} channels have in common is lost in the rounding of its sums, so that no order of going can "
            "be told from it; read more calibration tokens, or choose another criterion."
        )
    return torch.cholesky_inverse(factor)


class _Remaining:
    """V and G of the units that are left, and what is to be taken out of them, as products of tall matrices:
    V is `inverse` − A Pᵀ and G is `gram` − A Qᵀ − Q Aᵀ."""

    def __init__(self, inverse: Tensor, weight: Tensor, units: int, pending: int):
        self.width = weight.shape[1] // units
        self.most = -(-pending // self.width)  # units
        self.inverse = inverse  # [channels, channels]
        self.gram = weight.T @ weight  # [channels, channels]
        self.names = torch.arange(units)  # [units left at the last settling]: their numbers among all
        self._settled()

    def cheapest(self) -> tuple[int, float]:
        """The place of the unit whose going makes the error rise least, and by how much."""
        if self.width == 1:
            rises = (self.grams / self.inverses).flatten()  # [units]
        else:
            # One by one: a batch of wide blocks in several threads is refused by MKL 2024.2 in torch 2.13, "Parameter 6 was
            # incorrect on entry to DLASWP", on some processors always.
            solved = map(torch.linalg.solve, self.inverses, self.grams)  # of [width, width]
            rises = torch.stack([one.trace() for one in solved])  # [units]
        rises[~self.left] = torch.inf
        least = rises.min()
        return int((rises == least).nonzero()[0]), float(least)

    def remove(self, place: int) -> int:
        """Take a unit out and return its number."""
        of_unit = slice(place * self.width, (place + 1) * self.width)
        a, p, q = (of[:, : self.gone * self.width] for of in (self.a, self.p, self.q))  # [channels, gone]
        inverse = self.inverse[:, of_unit] - a @ p[of_unit].T  # [channels, width]
        gram = self.gram[:, of_unit] - a @ q[of_unit].T - q @ a[of_unit].T  # [channels, width]
        share = torch.linalg.solve(inverse[of_unit], inverse.T).T  # [channels, width]
        half = gram - share @ gram[of_unit] / 2  # [channels, width]: the last term of G, one half on either side
        to = slice(self.gone * self.width, (self.gone + 1) * self.width)
        self.a[:, to], self.p[:, to], self.q[:, to] = share, inverse, half
        by_unit = (one.unflatten(0, (-1, self.width)) for one in (share, inverse, half))  # [units, width, width] each
        share, inverse, half = by_unit
        self.inverses -= share @ inverse.mT  # [units, width, width]
        self.grams -= share @ half.mT + half @ share.mT  # [units, width, width]
        self.left[place] = False
        self.inverses[place] = torch.eye(self.width, dtype=torch.float64)  # what is left of it is rounding, and solves nothing
        self.gone += 1
        name = int(self.names[place])
        if self.gone == self.most:
            self._settle()
        return name

    def _settle(self) -> None:
        """Take out what has gone, and keep only what is left."""
        gone = slice(self.gone * self.width)
        a, p, q = self.a[:, gone], self.p[:, gone], self.q[:, gone]  # [channels, gone]
        self.inverse.addmm_(a, p.T, alpha=-1)
        self.gram.addmm_(a, q.T, alpha=-1).addmm_(q, a.T, alpha=-1)
        channels = self.left.repeat_interleave(self.width)  # [channels]
        self.inverse, self.gram = (one[channels][:, channels] for one in (self.inverse, self.gram))
        self.names = self.names[self.left]
        self._settled()

    def _settled(self) -> None:
        units = len(self.names)
        self.gone = 0
        self.left = torch.ones(units, dtype=torch.bool)  # [units]
        self.inverses, self.grams = (self._blocks(one) for one in (self.inverse, self.gram))  # [units, width, width] each
        self.a, self.p, self.q = (self.inverse.new_empty(units * self.width, self.most * self.width) for _ in range(3))

    def _blocks(self, of: Tensor) -> Tensor:
        """The blocks of the units themselves on the diagonal of a matrix [channels, channels]."""
        parts = of.unflatten(0, (-1, self.width)).unflatten(2, (-1, self.width))  # [units, width, units, width]
        return parts.diagonal(dim1=0, dim2=2).permute(2, 0, 1).clone()  # [units, width, width]
