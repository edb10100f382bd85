"""What a Prune, a Preview or a Suggest comes to, as events; knows no screen, and leaves the model as it was.

`engine.pruning.rounds` finds the units that are to go; this file tells of it on the way.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from torch import LongTensor

from engine.desk import Desk
from engine.models.anatomy import Anatomy
from engine.pruning.allocate import plan_of, shares_at
from engine.pruning.plan import Scores, parameters_removed
from engine.pruning.rounds import Round
from engine.pruning.statistics import Statistics
from engine.pruning.suggest import Proposal
from engine.record.commands import Preview, Prune, Suggest
from engine.record.events import Evaluated, Event, PlanMade, Suggested, SuggestionMeasured, UnitsScored
from engine.record.lifecycle import Progressed
from engine.record.recipe import Calibration
from engine.report import write_scores

Tell = Callable[[str, Scores, Calibration, int], Iterator[Event]]


def planning(
    desk: Desk, folder: Path | None, wish: Preview | Prune, tell: Tell
) -> Generator[Event, None, tuple[Round, Statistics | LongTensor | None]]:
    """The last round that `wish` asks for, whose plan is to go, and what its compensation goes by.

    `tell` tells the scores of the model as it is; what the rounds of a Prune come to is told here, the last round's plan is not.
    """
    further = isinstance(wish, Prune) and wish.only > 1  # the model was trained with the units of the round before gone
    if further and not wish.revive:
        desk.silence()
    with closing(desk.rounds(wish)) as steps:
        for step in steps:
            if isinstance(step, Progressed):
                yield step
                continue
            last = step
            if last.number == 1:
                yield from tell(wish.criterion, last.scores, wish.calibration, wish.seed)
            if isinstance(wish, Prune):
                yield from _told(desk, folder, last, wish)
    if further and wish.revive:  # not before: what they would write by the weights that they had is what they are scored by
        desk.silence()
    return last, (yield from desk.known(wish.compensation, wish.calibration))


def _told(desk: Desk, folder: Path | None, found: Round, wish: Prune) -> Iterator[Event]:
    if found.number > 1:
        artifact = write_scores(folder, wish.criterion, found.scores, found.number)
        read = desk.calibration_blocks(wish.calibration).numel()
        yield UnitsScored(wish.criterion, found.scores.heads, read, artifact, found.number)
    if found.proposal is not None:
        yield suggested(found.proposal, wish, desk.loaded.anatomy, found.number)
    if found.number < wish.rounds and not wish.only:
        yield planned(found, wish, desk.counts(found.plan))


def planned(found: Round, wish: Prune, what: Mapping[str, Any]) -> PlanMade:
    """The plan of a round as an event; `what` is its `counts`."""
    shares = {"head_shares": found.shares["heads"], "neuron_shares": found.shares["neurons"]}
    how = {"allocation": wish.allocation, "notes": found.notes, "round": found.number, "rounds": wish.rounds}
    how |= {"laid": bool(wish.only), "promised": None if wish.only > 1 else found.promised}
    return PlanMade(**what, **shares, criterion=wish.criterion, **how)


def suggested(proposal: Proposal, wish: Prune | Suggest, anatomy: Anatomy, number: int = 1) -> Suggested:
    """A proposal as an event, of the round of that `number`."""
    shares = shares_at(proposal.parts, proposal.counts, len(anatomy.layers))
    after = anatomy.parameters - parameters_removed(plan_of(proposal.parts, proposal.counts), anatomy)
    how = (wish.suggestion.by, wish.suggestion.damage, proposal.damage, proposal.uniform)
    return Suggested(wish.criterion, shares["heads"], shares["neurons"], *how, anatomy.parameters, after, number)


def kept_promise(promised: float | None, before: Evaluated | None, after: Evaluated) -> Iterator[SuggestionMeasured]:
    """What a suggestion that was followed has come to; nothing where none was, or without a baseline of the same protocol."""
    if promised is not None and before is not None and before.protocol == after.protocol:
        yield SuggestionMeasured(promised, after.nll / after.tokens - before.nll / before.tokens)
