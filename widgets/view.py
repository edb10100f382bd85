"""What the charts and panels are given to draw: the run as it stands and what the controls would do; draws nothing itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ipywidgets

from engine.record.commands import Command, fingerprint, preview_of
from engine.record.errors import BadInput, blaming
from engine.record.events import ModelLoaded, Previewed
from engine.record.recipe import Recipe
from engine.record.schedules import count, lowest, parameters_saved
from engine.record.state import RunState
from widgets.requests import Request
from widgets.theme import Theme

Act = Callable[[Command | Request], None]


@dataclass(frozen=True)
class Draft:
    """What the controls would do if they were applied now, worked out in the page, at once.

    Counts and shares hold one number for each layer. `heads` names the (layer, head) that would go; it is empty while the
    criterion's scores are not there yet, although `head_counts` already says how many it will be. The head shares that a
    schedule asks for are `head_shares`; what whole heads make of them is in the counts.
    """

    heads: tuple[tuple[int, int], ...]
    head_counts: tuple[int, ...]
    neuron_counts: tuple[int, ...]
    head_shares: tuple[float, ...]
    neuron_shares: tuple[float, ...]
    parameters_before: int
    parameters_after: int


@dataclass(frozen=True)
class View:
    """One picture of the page. `draft` is None where the controls ask for nothing but what stands, or nothing is loaded.

    `recipe` is what the controls say (None while they say nothing that can be done), `folder` where the run lies.
    """

    state: RunState
    draft: Draft | None
    theme: Theme
    recipe: Recipe | None = None
    folder: Path | None = None

    @property
    def preview(self) -> Previewed | None:
        """What the draft was measured to cost; None while no measurement of just what the controls say is there."""
        found = self.state.preview
        if found is None or self.draft is None or self.recipe is None:
            return None
        # Just as many units of another criterion, or with another compensation, cost something else.
        return found if found.asked == fingerprint(preview_of(self.recipe)) else None


def draft_of(recipe: Recipe, state: RunState) -> Draft | None:
    """What a recipe would do to the model of a run; None while no model is loaded, or where it would change nothing.

    Raises `BadInput`, blaming the field, for shares that do not fit the model.
    """
    model = state.model
    if model is None:
        return None
    head_shares, neuron_shares = (_shares(recipe, kind, len(model.heads)) for kind in ("heads", "neurons"))
    head_counts = tuple(count(share, units) for share, units in zip(head_shares, model.heads, strict=True))
    neuron_counts = tuple(count(share, units) for share, units in zip(neuron_shares, model.neurons, strict=True))
    if _stands(recipe.criterion, head_counts, neuron_counts, state):
        return None
    heads = ()
    if state.scores is not None and state.scores.criterion == recipe.criterion:
        gone = [lowest(scores, how_many) for scores, how_many in zip(state.scores.heads, head_counts, strict=True)]
        heads = tuple((layer, head) for layer, of_layer in enumerate(gone) for head in of_layer)
    saved = _saved(model, head_counts, neuron_counts)
    return Draft(heads, head_counts, neuron_counts, head_shares, neuron_shares, model.parameters, model.parameters - saved)


def _shares(recipe: Recipe, kind: str, layers: int) -> tuple[float, ...]:
    schedule = getattr(recipe, kind)
    field = f"{kind}.{'level' if schedule.layers is None else 'layers'}"
    with blaming(field):
        try:
            return schedule.shares(layers)
        except BadInput as error:  # which speaks of a schedule, not knowing whose
            raise BadInput(f"{field}: {error}") from error


def _stands(criterion: str, head_counts: tuple[int, ...], neuron_counts: tuple[int, ...], state: RunState) -> bool:
    plan, gates = state.standing.plan, state.standing.gates
    if plan is None:
        closed = gates is not None and (any(gates.head_counts) or any(gates.neuron_counts))
        return not any(head_counts) and not any(neuron_counts) and not closed
    if (plan.criterion, plan.head_counts, plan.neuron_counts) != (criterion, head_counts, neuron_counts):
        return False
    # Gates that were moved by hand since are none that a recipe would close.
    return gates is None or (set(gates.heads), gates.neuron_counts) == (set(plan.heads), plan.neuron_counts)


def _saved(model: ModelLoaded, head_counts: tuple[int, ...], neuron_counts: tuple[int, ...]) -> int:
    group_counts = [
        gone * groups // max(1, heads) for gone, groups, heads in zip(head_counts, model.groups, model.heads, strict=True)
    ]
    return parameters_saved(group_counts, model.group_parameters) + parameters_saved(neuron_counts, model.neuron_parameters)


@dataclass(frozen=True)
class Drawn:
    """A part of the page: its widget, and how it shows a view. `draw` sets only what has changed since it was last called.

    `every` is the least number of seconds between two drawings while a command runs, for what need not be seen to move.
    """

    widget: ipywidgets.Widget
    draw: Callable[[View], None]
    every: float = 0.0
