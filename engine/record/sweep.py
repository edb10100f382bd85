"""Many recipes that differ in a few fields, as one frozen, validated description; knows no engine that could carry them out.

    {"recipe": {…}, "axes": {"neurons.blocks.0": [0, 0.25, 0.5], "criterion": ["random", "activation"]},
     "mode": "measure", "seeds": [0, 1, 2]}

An axis is a dotted recipe field with the values that it takes (`engine.record.axes`); every value of one axis meets every value
of the others, and that once for every seed. Draws by chance of several fields go together: the first draw of each makes a cell,
then the second of each.
"""

import copy
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from pydantic import ValidationError

from engine.record.axes import MOST, Axis, axis_of
from engine.record.beforehand import layer_count
from engine.record.errors import BadInput, UnknownName, shorten
from engine.record.fields import explain, model_field, put
from engine.record.recipe import Recipe, shares_of_kind

Mode = Literal["measure", "recover", "search"]
# Fields that change nothing of what a mode measures.
IDLE = {"measure": ("tuning", "recover", "revive", "precision", "prompt", "cut"), "recover": ("prompt", "cut")}
IDLE |= {"search": IDLE["measure"]}
KINDS = ("heads", "neurons")
OF_LAYERS = tuple(f"{kind}.layers." for kind in KINDS)


@dataclass(frozen=True)
class Cell:
    """One recipe of a sweep: what it sets on the axes, and its seed. `number` is its place in the order in which cells are done,
    `stage` 0 for the coarsest picture. A combination that makes no recipe has the reason in `error` instead of one."""

    number: int
    set: Mapping[str, Any]
    seed: int
    stage: int
    recipe: Recipe | None
    error: str = ""


@dataclass(frozen=True)
class Sweep:
    """A recipe, as `Recipe` or as plain JSON, with axes of fields that change, a mode and seeds (None: the recipe's own).

    "measure" prunes and measures, without training; "recover" trains as well. "search" measures a tenth of the cells to find the
    best of those that leave at most the share `budget` of the model's parameters; its axes are fields of the heads' and neurons'
    schedules, and it has one seed. A sweep leaves no smaller models; with `latency`, which goes with "recover", one is made for
    each cell, to measure what it costs to run beside the dense one.

    Raises `BadInput`, in one sentence, for what can be no sweep: an axis that is empty or that no recipe has, too many cells, or
    none that is possible. A value that does not fit, by itself or beside some others, is an error of its cells.
    """

    recipe: Mapping[str, Any] | Recipe = field(default_factory=dict)
    axes: Mapping[str, Any] = field(default_factory=dict)
    mode: Mode = "measure"
    seeds: Sequence[int] | None = None
    budget: float | None = None
    latency: bool = False

    def __post_init__(self):
        plain = self.recipe.model_dump(mode="json") if isinstance(self.recipe, Recipe) else self.recipe
        if not isinstance(plain, Mapping):
            raise BadInput(f"recipe {shorten(plain)} is no recipe; give an object with a recipe's fields.")
        if self.mode not in get_args(Mode):
            raise UnknownName("mode", self.mode, get_args(Mode))
        if not isinstance(self.axes, Mapping):
            raise BadInput(f'axes {shorten(self.axes)} are none; give an object such as {{"neurons.level": [0.1, 0.3, 0.5]}}.')
        object.__setattr__(self, "recipe", copy.deepcopy(dict(plain)))
        object.__setattr__(self, "axes", dict(self.axes))
        object.__setattr__(self, "seeds", _seeds(self.seeds, self.recipe))
        _check_budget(self)
        if not isinstance(self.latency, bool) or (self.latency and self.mode != "recover"):
            raise BadInput(f"latency {shorten(self.latency)} does not go with the mode {self.mode!r}; give true with 'recover'.")
        _refuse(self.cells)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell in the order in which it is done: the corners and the middle of the axes first, then what lies between; of
        one stage the first seed first."""
        axes = [_axis(self, name) for name in self.axes]
        drawn, others = [axis for axis in axes if axis.drawn], [axis for axis in axes if not axis.drawn]
        draws = {len(axis.values) for axis in drawn} or {1}
        if len(draws) > 1:
            names = " and ".join(axis.field for axis in drawn)
            raise BadInput(f"axes {names} have different numbers of draws, and draws go together; give each as many.")
        count = max(draws) * len(self.seeds)
        for axis in others:
            count *= len(axis.values)
        if count > MOST:
            raise BadInput(f"The axes and seeds make {count:,} cells; at most {MOST:,} are allowed, so name fewer values.")
        ranks = [axis.ranks for axis in others]
        line = sorted(
            (_soon(ranks, places), seed, draw, places)
            for draw in range(max(draws))
            for places in itertools.product(*(range(len(axis.values)) for axis in others))
            for seed in range(len(self.seeds))
        )
        # By what comes first: the stage, then the seed, then the most central of the stage.
        line.sort(key=lambda one: (one[0][0], one[1], one[0][1], one[2], one[3]))
        found = []
        for number, (soon, seed, draw, places) in enumerate(line):
            values = {axis.field: axis.values[draw] for axis in drawn}
            values |= {axis.field: axis.values[place] for axis, place in zip(others, places, strict=True)}
            found.append(_cell(self, number, {name: values[name] for name in self.axes}, self.seeds[seed], soon[0]))
        return tuple(found)

    def plain(self) -> dict[str, Any]:
        """The sweep as plain JSON, from which `sweep_of` makes the same one."""
        plain = {"recipe": self.recipe, "axes": self.axes, "mode": self.mode, "seeds": list(self.seeds)}
        plain |= {} if self.budget is None else {"budget": self.budget}
        return plain | ({"latency": True} if self.latency else {})


def sweep_of(plain: Any) -> Sweep:
    """The sweep of a plain form; raises `BadInput` as `Sweep` does, and for an unknown field."""
    if not isinstance(plain, dict):
        raise BadInput(f"The sweep {shorten(plain)} is not allowed; it takes an object with the fields {', '.join(_FIELDS)}.")
    for name in plain:
        if name not in _FIELDS:
            raise UnknownName("field", name, _FIELDS)
    return Sweep(**plain)


def parse_sweep(text: str) -> Sweep:
    """The sweep that a JSON text describes; raises `BadInput` as `sweep_of` does, and for text that is not JSON."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:  # no JSON, numbers of thousands of digits, thousands of brackets
        raise BadInput(f"The sweep is not JSON: {shorten(str(error), 120)}.") from error
    return sweep_of(plain)


_FIELDS = tuple(Sweep.__dataclass_fields__)


def _seeds(given: Any, recipe: Mapping[str, Any]) -> tuple[int, ...]:
    if given is None:
        return (recipe.get("seed", 0),)  # which the recipes refuse where it is none
    if not isinstance(given, list | tuple) or not given:
        raise BadInput(f"seeds {shorten(given)} are none; give a list of at least one whole number.")
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) for seed in given)
    if not whole or len(set(given)) < len(given):
        raise BadInput(f"seeds {shorten(list(given))} must be whole numbers, each named once.")
    return tuple(given)


def _check_budget(sweep: Sweep) -> None:
    budget, is_search = sweep.budget, sweep.mode == "search"
    if not is_search and budget is not None:
        raise BadInput(f"budget {shorten(budget)} goes with the mode 'search' only, not with {sweep.mode!r}; leave it out.")
    number = isinstance(budget, int | float) and not isinstance(budget, bool)
    if is_search and not (number and 0 < budget < 1):
        raise BadInput(
            f"budget {shorten(budget)} is not allowed; a search takes the share of the parameters to leave, from 0 to 1."
        )
    if is_search and len(sweep.seeds) > 1:
        raise BadInput(f"seeds {shorten(list(sweep.seeds))} are too many; a search has one seed.")


def _axis(sweep: Sweep, name: str) -> Axis:
    if name == "seed":
        raise BadInput("axis 'seed' is named by the sweep's own field seeds; give the list there.")
    inside = [other for other in sweep.axes if other.startswith(f"{name}.")]
    if inside:
        raise BadInput(f"axes {name} and {inside[0]} set the same place; leave one of them out.")
    if name.partition(".")[0] in IDLE[sweep.mode]:
        raise BadInput(f"axis {name} changes nothing in the mode {sweep.mode!r}; leave it out or choose another mode.")
    if sweep.mode == "search" and name.partition(".")[0] not in KINDS:
        raise BadInput(f"axis {name} is no share of units; a search goes over fields of heads and neurons.")
    knob = model_field(name)
    whole = knob is not None and isinstance(knob.default, int) and not isinstance(knob.default, bool)
    return axis_of(name, sweep.axes[name], whole)


def _soon(ranks: Sequence[Sequence[int]], places: Sequence[int]) -> tuple[int, int]:
    """The stage of a cell, the finest of its places; and inside of it how soon it comes, the more of its places are that fine."""
    fine = [of_axis[place] for of_axis, place in zip(ranks, places, strict=True)]
    stage = max(fine, default=0)
    return stage, -fine.count(stage)


def _cell(sweep: Sweep, number: int, values: dict[str, Any], seed: int, stage: int) -> Cell:
    try:
        return Cell(number, values, seed, stage, _recipe(sweep, values, seed))
    except ValidationError as error:
        return Cell(number, values, seed, stage, None, explain(error)[1])
    except BadInput as error:
        return Cell(number, values, seed, stage, None, str(error))


def _recipe(sweep: Sweep, values: Mapping[str, Any], seed: int) -> Recipe:
    plain = copy.deepcopy(sweep.recipe)
    _make_room(plain, values)
    of_layers = [name for name in values if name.startswith(OF_LAYERS)]  # what they are put into may hang on the other values
    for name in (name for name in values if name not in of_layers):
        put(plain, name, values[name])
    for name in of_layers:
        _spread(plain, name)
        put(plain, name, values[name])
    made = Recipe.model_validate(plain | {"seed": seed})
    idle = {"tuning": made.tuning.model_copy(update={"steps": 0})} if sweep.mode == "measure" else {}
    return made.model_copy(update={"cut": sweep.latency, **idle})


def _make_room(plain: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Where an axis is the share of one block and the recipe says nothing of the blocks, the others lose nothing."""
    for kind in KINDS:
        schedule = plain.get(kind, {})
        wanted = any(name.startswith(f"{kind}.blocks.") for name in values)
        if wanted and isinstance(schedule, dict) and schedule.get("blocks") is None:
            plain[kind] = {"shape": "custom"} | schedule | {"blocks": [0.0, 0.0, 0.0]}


def _spread(plain: dict[str, Any], axis: str) -> None:
    """Where an `axis` is the share of one layer and the recipe has none by layer, the others lose what its schedule takes of
    them; raises `BadInput` where nobody knows yet how many there are."""
    kind = axis.partition(".")[0]
    schedule = plain.get(kind, {})
    if not isinstance(schedule, dict) or schedule.get("layers") is not None:
        return
    recipe = Recipe.model_validate(plain)
    layers = layer_count(recipe.model)
    if layers is None:
        raise BadInput(
            f"axis {axis} is the share of one layer, and how many {shorten(recipe.model)} has is not known here until it was "
            f"loaded; give the recipe {kind}.layers, one share for each layer."
        )
    shares = shares_of_kind(kind, getattr(recipe, kind), layers, recipe.protect)
    plain[kind] = schedule | {"shape": "custom", "blocks": None, "layers": list(shares)}


def _refuse(cells: Sequence[Cell]) -> None:
    """Raise `BadInput` where no cell is possible, as none is on an axis that no recipe has."""
    if all(cell.recipe is None for cell in cells):
        raise BadInput(cells[0].error)
