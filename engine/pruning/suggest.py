"""The counts that should do the least damage for a number of parameters; knows the model and its text, changes neither.

What a damage is comes from `engine.pruning.damage`, which counts do least of it from `engine.pruning.allocate.by_damage`.
"""

from collections.abc import Generator
from dataclasses import dataclass

from torch import LongTensor

from engine.pruning.allocate import KINDS, Counts, Part, by_damage, parts_of, price_of
from engine.pruning.compensate import NEEDS as COMPENSATION_NEEDS
from engine.pruning.damage import NEEDS, Curves, damage_of, even_damage, mean_loss, measuring, predicted
from engine.pruning.evidence import Evidence
from engine.pruning.overlay import Overlay
from engine.pruning.plan import Plan
from engine.pruning.sensitivity import sensing
from engine.record.catalogue import unscored
from engine.record.commands import Preview, Prune, Suggest
from engine.record.errors import BadInput, blaming, shorten
from engine.record.lifecycle import Progressed
from engine.record.recipe import Recipe

Wish = Recipe | Prune | Preview | Suggest


@dataclass(frozen=True)
class Proposal:
    """What should go of each part, and by how much the loss should rise for it (nats per token), beside the rise for one share
    of every part that takes exactly as many parameters, which may lie between two whole numbers of groups."""

    parts: tuple[Part, ...]
    counts: Counts
    damage: float
    uniform: float


def suggesting(
    evidence: Evidence, bare: Evidence, overlay: Overlay, blocks: LongTensor, wish: Wish, parts: tuple[Part, ...], budget: float
) -> Generator[Progressed, None, Proposal]:
    """The counts of least damage at which `budget` parameters are gone, as `wish` wants damage found.

    `evidence` is of the model as it stands, with what lies over it, `bare` of the model without. Given up halfway, what lies over
    the model is as it was.
    """
    curves = yield from _curves(evidence, bare, overlay, blocks, wish, parts)
    counts = by_damage(parts, curves, budget, wish.suggestion.by)
    even = even_damage(parts, curves, price_of(parts, counts))
    return Proposal(parts, counts, damage_of(parts, curves, counts), even)


def suggesting_share(
    evidence: Evidence, overlay: Overlay, blocks: LongTensor, wish: Suggest
) -> Generator[Progressed, None, Proposal]:
    """The same for a share of the bare model's parameters, out of those kinds of unit of which any is to go; raises `BadInput`
    where so many cannot go."""
    check_criterion(wish)
    anatomy, schedules = evidence.anatomy, {kind: getattr(wish, kind) for kind in KINDS}
    if not 0 <= wish.share <= 1:
        raise BadInput(f"share {wish.share} is not possible; it takes a number from 0 to 1, of all parameters of the model.")
    with blaming("criterion"):
        scores = yield from evidence.scores(wish.criterion, blocks, wish.seed)
    parts = tuple(one for one in parts_of(scores, anatomy, schedules, wish.protect) if schedules[one.kind].takes_any)
    budget, most = wish.share * anatomy.parameters, sum(part.price * part.most for part in parts)
    if budget > most:
        raise BadInput(
            f"share {wish.share} of the parameters cannot go: all units that may go make {most / anatomy.parameters:.3f} of the "
            "model; ask for less, or loosen caps, floors, protected layers and levels of 0."
        )
    return (yield from suggesting(evidence, evidence, overlay, blocks, wish, parts, budget))


def check_criterion(wish: Wish) -> None:
    """Raise `BadInput`, blaming the criterion, where it does not score all that is to go: before it has scored anything."""
    with blaming("criterion"):
        why = unscored(wish.criterion, [kind for kind in KINDS if getattr(wish, kind).takes_any])
        if why:
            raise BadInput(f"criterion {shorten(wish.criterion)} {why}.")


def compensation_goes_by(bare: Evidence, blocks: LongTensor, method: str) -> Generator:
    """What `Overlay.laying` wants to know for a method: nothing, the text, or statistics of the bare model."""
    if method == "sequential":
        return blocks
    return (yield from bare.statistics(blocks, COMPENSATION_NEEDS[method]))


def _curves(
    evidence: Evidence, bare: Evidence, overlay: Overlay, blocks: LongTensor, wish: Wish, parts: tuple[Part, ...]
) -> Generator[Progressed, None, Curves]:
    model, anatomy, how = evidence.model, evidence.anatomy, (wish.compensation, wish.ridge, wish.add_biases)
    if wish.suggestion.damage == "predicted":
        statistics = yield from evidence.statistics(blocks, NEEDS)
        sensitivity = yield from sensing(model, anatomy, blocks)
        return predicted(model, anatomy, parts, statistics, sensitivity, *how)
    with overlay.lifted():
        known = yield from compensation_goes_by(bare, blocks, wish.compensation)

        def loss(plan: Plan) -> Generator[Progressed, None, float]:
            yield from overlay.laying(plan, wish.compensation, known, wish.ridge, wish.add_biases)
            return mean_loss(model, blocks)

        return (yield from measuring(parts, wish.suggestion.by, loss))
