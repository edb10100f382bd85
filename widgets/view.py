"""What the charts and panels are given to draw: the run as it stands and what the controls would do; draws nothing itself."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import ipywidgets

from engine.record.commands import Command, Prune, Tune, fingerprint, preview_of, prune_of
from engine.record.events import ModelLoaded, Previewed
from engine.record.recipe import Recipe
from engine.record.schedules import parameters_saved
from engine.record.state import RunState
from widgets import drafting
from widgets.comparer import Compared
from widgets.experimenter import Tried
from widgets.requests import Part, Request
from widgets.roster import Runs
from widgets.sweeper import Sweeps
from widgets.theme import Theme

Act = Callable[[Command | Request], None]


@dataclass(frozen=True)
class Draft:
    """What the controls would do if they were applied now, worked out in the page, at once.

    Counts and shares hold one number for each layer. `heads` names the (layer, head) that would go; it is empty while the
    criterion's scores are not there yet, or will be others by then, although `head_counts` already says how many it will be.
    The head shares that a schedule asks for are `head_shares`; what whole heads make of them is in the counts. Those are empty
    where units compete for what goes, until a preview has found them.
    """

    heads: tuple[tuple[int, int], ...]
    head_counts: tuple[int, ...]
    neuron_counts: tuple[int, ...]
    head_shares: tuple[float, ...]
    neuron_shares: tuple[float, ...]
    parameters_before: int
    parameters_after: int

    @property
    def is_counted(self) -> bool:
        """Whether it is known how much would go; where units compete, a preview has to find out."""
        return bool(self.head_counts)


@dataclass(frozen=True)
class View:
    """One picture of the page. `draft` is None where the controls ask for nothing but what stands, or nothing is loaded.

    `recipe` is what the controls say (None while they say nothing that can be done), `folder` where the run lies. `leaving` says
    that another run is about to take this one's place, and would take with it what was begun here. `tune` is the recovery in
    hand, `runs` are the other runs of this machine. `part` is the part of the page that is shown, and `sweeps`,
    `tried` and `compared` are what the others than the laboratory have to show.
    """

    state: RunState
    draft: Draft | None
    theme: Theme
    recipe: Recipe | None = None
    folder: Path | None = None
    leaving: bool = False
    tune: Tune | None = None
    runs: Runs = Runs()
    part: Part = "laboratory"
    sweeps: Sweeps = Sweeps()
    tried: Tried = Tried()
    compared: Compared = Compared()

    @property
    def preview(self) -> Previewed | None:
        """What the draft was measured to cost; None while no measurement of just what the controls say is there."""
        return _previewed(self.recipe, self.state) if self.draft is not None and self.recipe is not None else None


def draft_of(recipe: Recipe, state: RunState, pruned_by: Prune | None = None) -> Draft | None:
    """What a recipe would do to the model of a run; None while no model is loaded, once the run is over, and
    where it would change nothing.

    `pruned_by` is the command whose plan is in force, where that is known. Raises `BadInput`, blaming the field, for shares that
    do not fit the model.
    """
    model = state.model
    if model is None or state.is_over:
        return None
    shares = [drafting.asked_shares(recipe, kind, len(model.heads)) for kind in ("heads", "neurons")]
    found = _previewed(recipe, state)
    if drafting.competes(recipe) and found is None:
        return Draft((), (), (), *shares, model.parameters, model.parameters)
    if drafting.competes(recipe):
        counts, heads, after = (found.head_counts, found.neuron_counts), found.heads, found.parameters_after
        shares = [_of(gone, there) for gone, there in zip(counts, (model.heads, model.neurons), strict=True)]
    else:
        counts = drafting.head_counts(recipe, model, shares[0]), drafting.neuron_counts(recipe, model, shares[1])
        heads, after = found.heads if found else _heads(recipe, state, counts[0]), model.parameters - _saved(model, *counts)
    stands = _stands(recipe, *counts, state) and (pruned_by is None or _beside(pruned_by) == _beside(prune_of(recipe)))
    return None if stands else Draft(heads, *counts, *shares, model.parameters, after)


def _previewed(recipe: Recipe, state: RunState) -> Previewed | None:
    """What a recipe was measured to do; None while no measurement of just this recipe is there."""
    # Just as many units of another criterion, or with another compensation, cost something else.
    return state.preview if state.preview is not None and state.preview.asked == fingerprint(preview_of(recipe)) else None


def _heads(recipe: Recipe, state: RunState, counts: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Which heads would go; none are named where their scores are not there, or will be others by the last round."""
    if state.scores is None or state.scores.criterion != recipe.criterion or recipe.rounds > 1:
        return ()
    return drafting.heads_that_go(state.model, state.scores.heads, counts)


def _of(counts: tuple[int, ...], units: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(gone / there if there else 0.0 for gone, there in zip(counts, units, strict=True))


def _stands(recipe: Recipe, head_counts: tuple[int, ...], neuron_counts: tuple[int, ...], state: RunState) -> bool:
    plan, gates, compensated = state.standing.plan, state.standing.gates, state.standing.compensated
    if plan is None:
        closed = gates is not None and (any(gates.head_counts) or any(gates.neuron_counts))
        return not any(head_counts) and not any(neuron_counts) and not closed
    if (plan.criterion, plan.head_counts, plan.neuron_counts) != (recipe.criterion, head_counts, neuron_counts):
        return False
    if plan.rounds != recipe.rounds or (compensated is not None and compensated.method != recipe.compensation):
        return False
    # Gates that were moved by hand since are none that a recipe would close.
    return gates is None or (set(gates.heads), gates.neuron_counts) == (set(plan.heads), plan.neuron_counts)


def _beside(prune: Prune) -> dict[str, object]:
    """All that a pruning goes by but its schedules, of which only what they come to matters."""
    return {each.name: getattr(prune, each.name) for each in fields(prune) if each.name not in ("heads", "neurons")}


def _saved(model: ModelLoaded, head_counts: tuple[int, ...], neuron_counts: tuple[int, ...]) -> int:
    group_counts = [
        gone * groups // max(1, heads) for gone, groups, heads in zip(head_counts, model.groups, model.heads, strict=True)
    ]
    return parameters_saved(group_counts, model.group_parameters) + parameters_saved(neuron_counts, model.neuron_parameters)


@dataclass(frozen=True)
class Drawn:
    """A part of the page: its widget, and how it shows a view. `draw` sets only what has changed since it was last called.

    `every` is the least number of seconds between two drawings while a command runs, for what need not be seen to move.
    `answers` says that it shows what the controls would do, and follows a hand that moves one.
    """

    widget: ipywidgets.Widget
    draw: Callable[[View], None]
    every: float = 0.0
    answers: bool = False
