"""The runs of this machine side by side, what each was asked for and what came of it: read on while somebody looks; not drawn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from engine.record.recipe import Recipe
from engine.record.run_list import RunList
from engine.record.state import RunState
from widgets.choices import recipe_as_asked

PAUSE = 2.0  # seconds between two looks
STAGES = {"baseline": "baseline", "pruned": "pruned", "tuned": "recovered", "control": "control", "cut": "cut"}


@dataclass(frozen=True)
class Ran:
    """A run: its name, its recipe by dotted fields as what was asked of it has changed it, and its state."""

    name: str
    recipe: Mapping[str, Any]
    state: RunState

    @property
    def is_pruned(self) -> bool:
        """Whether anything came of it that can be set beside another run."""
        return bool(set(self.state.standing.perplexity) - {"baseline"})


@dataclass(frozen=True)
class Compared:
    """The runs that were read, newest first, and the names of those that somebody has chosen."""

    found: tuple[Ran, ...] = ()
    chosen: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[Ran, ...]:
        """The chosen runs; while none is chosen those of which something came."""
        return tuple(ran for ran in self.found if ran.name in self.chosen) or tuple(ran for ran in self.found if ran.is_pruned)


class Comparer:
    """Remembers what was read of the runs, and which were chosen."""

    def __init__(self, clock: Callable[[], float]):
        self._clock, self._looked = clock, -1e9
        self._list: RunList | None = None
        self._compared = Compared()

    def look(self, is_open: bool) -> Compared:
        """The runs as they stand; nothing is read while the part of the page that shows them is not open."""
        clock = self._clock()
        if is_open and (clock - self._looked >= PAUSE or not self._list.is_read):
            self._looked = clock
            self._list = self._list or RunList()
            self._list.look()
            before = {ran.name: ran for ran in self._compared.found}
            found = []
            for one in self._list.followed:
                if one.state is not None and one.state.status != "new":
                    kept = before.get(one.folder.name)
                    same = kept is not None and kept.state is one.state
                    found.append(kept if same else Ran(one.folder.name, _recipe(one.state, one.asked), one.state))
            if tuple(found) != self._compared.found:
                self._compared = replace(self._compared, found=tuple(found))
        return self._compared

    def choose(self, names: Sequence[str]) -> None:
        """Set these runs beside each other."""
        self._compared = replace(self._compared, chosen=tuple(names))


def differing(runs: Sequence[Ran]) -> tuple[str, ...]:
    """The fields in which the recipes of some runs are not all alike, in the order of the recipe."""
    fields = dict.fromkeys(field for ran in runs for field in ran.recipe)
    return tuple(field for field in fields if len({repr(ran.recipe.get(field)) for ran in runs}) > 1)


def cells_of(runs: Sequence[Ran]) -> tuple[tuple[str, ...], list[list[object]]]:
    """The table of some runs as a head and rows: what differs in their recipes, perplexities, parameters; None is unknown."""
    fields, stages = differing(runs), [stage for stage in STAGES if any(stage in ran.state.standing.perplexity for ran in runs)]
    head = ("run", *fields, *(f"perplexity {STAGES[stage]}" for stage in stages), "parameters before", "parameters after")
    rows = []
    for ran in runs:
        standing, gates = ran.state.standing, ran.state.standing.gates
        measured = [standing.perplexity[stage].perplexity if stage in standing.perplexity else None for stage in stages]
        whole = ran.state.model.parameters if ran.state.model is not None else None
        after = gates.parameters_after if gates is not None else whole
        rows.append([ran.name, *(ran.recipe.get(field) for field in fields), *measured, whole, after])
    return head, rows


def _recipe(state: RunState, asked: Mapping[type, Any]) -> Mapping[str, Any]:
    """A run's recipe as later commands have changed it, by dotted fields; one of another version as it is written."""
    try:
        plain = recipe_as_asked(Recipe.model_validate(state.recipe), asked.values()).model_dump(mode="json")
    except ValidationError:
        plain = dict(state.recipe)
    return _flat(plain)


def _flat(plain: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found = {}
    for name, value in plain.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {before + name: value}
    return found
