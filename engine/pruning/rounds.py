"""From a wish to the units that go, in one round or several; knows neither commands' answers nor files.

A round scores the units, allocates the level that is reached by then, and makes a plan. Before the next one that plan is laid
over the model and compensated, so that units are scored in the company that they will have: two that say the same are both
dispensable at first, and neither once the other is gone. What has gone stays gone. The level rises along a ramp, and the last
round reaches what was asked for.
"""

from collections.abc import Generator
from dataclasses import dataclass

from torch import LongTensor

from engine.pruning.allocate import (
    KINDS,
    Shares,
    by_ranking,
    by_schedule,
    group_notes,
    parts_of,
    plan_of,
    price_of,
    share_notes,
    shares_at,
    shares_of,
)  # fmt: skip
from engine.pruning.evidence import Evidence
from engine.pruning.overlay import Overlay
from engine.pruning.plan import Plan, Scores
from engine.pruning.suggest import Proposal, Wish, check_criterion, compensation_goes_by, suggesting
from engine.record.errors import blaming
from engine.record.lifecycle import Progressed
from engine.record.schedules import reached


@dataclass(frozen=True)
class Round:
    """What one round came to. `shares` are those asked for by a schedule, and those that came out where units compete; `notes`
    says which heads go together and, of shares that were asked for, what that and limits made of them. Where proposals were
    followed, the last one is in `proposal`, and `promised` is by how much the loss should rise by it and those of the earlier
    rounds that were planned along with it, in nats per token; of a round that was planned alone, by it alone."""

    number: int
    scores: Scores
    plan: Plan
    shares: Shares
    notes: tuple[str, ...]
    proposal: Proposal | None = None
    promised: float | None = None


def planning(
    evidence: Evidence, overlay: Overlay, blocks: LongTensor, wish: Wish, only: int = 0, gone: Plan | None = None
) -> Generator[Progressed | Round, None, None]:
    """Yield a `Round` for each of the rounds that `wish` asks for, or for that one `only`; the last one's plan is what is to go.

    `gone` are units that have to go in every round.

    `evidence` is of the bare model, from which the caller has taken whatever lay over it; between rounds a plan lies there, and
    after the last one that of the round before. Raises `BadInput`, blaming the field, for what does not fit the model.
    """
    check_criterion(wish)
    anatomy, schedules = evidence.anatomy, {kind: getattr(wish, kind) for kind in KINDS}
    asked = shares_of(schedules, len(anatomy.layers), wish.protect)
    plan, now, budget, promised = gone or Plan(), evidence, None, None
    for number in (only,) if only else range(1, wish.rounds + 1):
        if number > 1 and not only:
            known = yield from compensation_goes_by(evidence, blocks, wish.compensation)
            with blaming("compensation"):
                yield from overlay.laying(plan, wish.compensation, known, wish.ridge, wish.add_biases)
            now = Evidence(evidence.model, anatomy)  # of the model with that plan over it
        with blaming("criterion"):
            scores = yield from now.scores(wish.criterion, blocks, wish.seed)
        parts = whole = tuple(one for one in parts_of(scores, anatomy, schedules, wish.protect, plan) if any(asked[one.kind]))
        if budget is None:
            # Of the model with nothing gone: what a layer has lost beyond its share would else be asked for on top.
            if plan != Plan():
                whole = tuple(one for one in parts_of(scores, anatomy, schedules, wish.protect) if any(asked[one.kind]))
            budget = price_of(whole, by_schedule(whole, asked))
        part, proposal = reached(wish.ramp, number, wish.rounds), None
        shares = {kind: tuple(part * share for share in of_kind) for kind, of_kind in asked.items()}
        counts, said = by_schedule(parts, shares), group_notes(parts)
        if wish.allocation == "schedule":
            said += share_notes(parts, counts, shares)
        elif wish.allocation == "global":
            counts = by_ranking(parts, part * budget)
        elif wish.allocation == "suggest":
            proposal = yield from suggesting(now, evidence, overlay, blocks, wish, parts, part * budget)
            counts, promised = proposal.counts, (promised or 0.0) + proposal.damage
        if wish.allocation != "schedule":
            shares = shares_at(parts, counts, len(anatomy.layers))
        plan = plan_of(parts, counts)
        yield Round(number, scores, plan, shares, said, proposal, promised)
