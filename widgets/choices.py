"""What the controls say, as plain values, and what they mean: a recipe, and how moving one moves others; knows no widget."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from engine.record.catalogue import CRITERIA
from engine.record.commands import Command, Cut, Evaluate, Load, Preview, Prune, Sample, Score, Tune
from engine.record.errors import BadInput
from engine.record.fields import leaves
from engine.record.recipe import Recipe, Schedule
from engine.record.schedules import block_of_layers, block_shares, fill, shares

KINDS = ("heads", "neurons")
BLOCK_SLIDERS = ("front", "middle", "back")
SCHEDULING = (*KINDS, "shape", "steepness", "apply_to", *BLOCK_SLIDERS)
OWN_FILE = "file:"
# The recipe's fields that the controls above the fold show; all others, whatever they are, are in the fold.
MAIN = ("model", "corpus", "criterion", "prompt", "tuning.steps") + tuple(
    f"{kind}.{name}" for kind in KINDS for name in ("level", "shape", "steepness", "blocks")
)
MORE = {name: knob for name, knob in leaves().items() if name not in MAIN}


@dataclass(frozen=True)
class Choices:
    """The controls' values. `heads` and `neurons` are levels, `blocks` the block sliders' shares, front to back.

    `shape`, `steepness` and `blocks` go for the kinds of unit in `apply_to` ("neurons", "heads" or "both"); the other kind is
    pruned alike in every layer. A recipe from elsewhere may say more than that, for instance a share for each layer: it is
    kept in `given`, and counts, until one of these controls is moved. `more` has the fields of the fold, by dotted name.
    """

    model: str
    corpus: str | dict[str, str]
    criterion: str
    heads: float
    neurons: float
    shape: str
    steepness: float
    blocks: tuple[float, float, float]
    apply_to: str
    steps: int
    prompt: str
    given: tuple[Schedule, Schedule] | None = None
    more: Mapping[str, Any] = field(default_factory=lambda: {name: knob.default for name, knob in MORE.items()})

    @property
    def shaped(self) -> tuple[str, ...]:
        """The kinds of unit that the shape acts on."""
        return KINDS if self.apply_to == "both" else (self.apply_to,)


def choices_of(recipe: Recipe, layers: int) -> Choices:
    """The controls' values that show a recipe best, for a model of `layers` layers."""
    uniform = [kind for kind in KINDS if getattr(recipe, kind).shape == "uniform"]
    apply_to = "neurons" if "heads" in uniform else "heads" if "neurons" in uniform else "both"
    shown = recipe.heads if apply_to == "heads" else recipe.neurons
    found = Choices(
        model=recipe.model,
        corpus=recipe.corpus,
        criterion=recipe.criterion,
        heads=_level(recipe.heads, layers),
        neurons=_level(recipe.neurons, layers),
        shape=shown.shape,
        steepness=shown.steepness,
        blocks=(0.0, 0.0, 0.0),
        apply_to=apply_to,
        steps=recipe.tuning.steps,
        prompt=recipe.prompt,
        more={name: _at(recipe, name) for name in MORE},
    )
    found = replace(found, blocks=_blocks_shown(found, shown, layers))
    bare = Schedule().model_dump()
    exact = all(bare | _schedule(found, kind) == getattr(recipe, kind).model_dump() for kind in KINDS)
    return found if exact else replace(found, given=(recipe.heads, recipe.neurons))


def recipe_of(choices: Choices, base: Recipe) -> Recipe:
    """The recipe that the controls stand for; what they do not show is as in `base`. Raises pydantic's `ValidationError`."""
    plain: dict[str, Any] = base.model_dump()
    for name, value in choices.more.items():
        *inside, last = name.split(".")
        (plain[inside[0]] if inside else plain)[last] = value
    schedules = {kind: Schedule().model_dump() | _schedule(choices, kind) for kind in KINDS}  # nothing left to a kind's default
    if choices.given is not None:
        given = zip(KINDS, choices.given, strict=True)
        schedules = {kind: schedule.model_dump() | _limits(choices, kind) for kind, schedule in given}
    plain |= schedules
    plain |= {"model": choices.model, "corpus": choices.corpus, "criterion": choices.criterion, "prompt": choices.prompt}
    plain["tuning"] |= {"steps": choices.steps}
    return Recipe.model_validate(plain)


def moved(choices: Choices, control: str, layers: int) -> Choices:
    """The controls after `control` was moved by hand: a block slider turns the shape to custom, all else moves the blocks."""
    kind, _, limit = control.partition(".")
    if limit == "layers" and kind in KINDS:
        return _by_layer(replace(choices, given=None), kind)
    if limit and (limit == "cap" or kind == "protect"):
        control = "layers"  # another model's, or as good as that
    if control not in SCHEDULING and control != "layers":
        return choices
    if control != "layers":
        acts_on = (control,) if control in KINDS else choices.shaped
        choices = replace(choices, given=None, more=choices.more | {f"{kind}.layers": None for kind in acts_on})
    elif choices.given is not None:
        return choices
    if control in BLOCK_SLIDERS or (choices.shape == "custom" and control in ("shape", "apply_to", "layers")):
        level = _mean(shares(layers, 0.0, "custom", blocks=choices.blocks))
        return replace(choices, shape="custom", **dict.fromkeys(choices.shaped, level))
    if choices.shape == "custom":
        if control not in choices.shaped:
            return choices
        of_layer = block_of_layers(layers)
        profile = [choices.blocks[block] + 1e-9 for block in of_layer]  # all at zero: they rise together
        scaled = _blocks(fill(profile, getattr(choices, control), 1.0), choices.blocks)
        return replace(choices, blocks=scaled, **dict.fromkeys(choices.shaped, getattr(choices, control)))
    shown = choices.shaped[-1]
    asked = Schedule.model_construct(level=getattr(choices, shown), shape=choices.shape, steepness=choices.steepness)
    return replace(choices, blocks=_blocks_shown(choices, asked, layers, shown))


def adopted(choices: Choices, shares: Mapping[str, tuple[float, ...]]) -> Choices:
    """The controls after they were given a share for each layer and kind; where nothing is to go the level is 0."""
    choices = replace(choices, given=None, more=choices.more | {"allocation": "schedule"})
    for kind, of_layers in shares.items():
        choices = replace(choices, more=choices.more | {f"{kind}.layers": of_layers if any(of_layers) else None})
        choices = _by_layer(choices, kind) if any(of_layers) else replace(choices, **{kind: 0.0})
    takes = [kind for kind in KINDS if any(shares[kind])]
    if not takes:
        return replace(choices, shape="uniform")
    blocks = _blocks(shares[takes[-1]], choices.blocks)
    return replace(choices, shape="custom", blocks=blocks, apply_to="both" if len(takes) == 2 else takes[0])


def criterion_help(name: str) -> str:
    """What a criterion goes by, with what it costs, and what it scores where that is not everything."""
    entry = CRITERIA.entry(name)
    only = "" if set(entry.facts["UNITS"]) == set(KINDS) else f" Scores {' and '.join(entry.facts['UNITS'])} only."
    return f"Cost: {entry.facts['COST']}.{only} {entry.help}"


def recipe_as_asked(recipe: Recipe, commands: Iterable[Command]) -> Recipe:
    """The recipe as later commands have changed it, so that a page that comes late shows what was asked for last."""
    changed: dict[str, Any] = {}
    for command in commands:
        if isinstance(command, Load | Score | Preview | Prune | Sample | Evaluate | Tune | Cut):
            changed |= {each.name: getattr(command, each.name) for each in fields(command) if each.name in Recipe.model_fields}
    return recipe.model_copy(update=changed)


def _at(recipe: Recipe, name: str) -> Any:
    """The value of a field, by its dotted name."""
    for part in name.split("."):
        recipe = getattr(recipe, part)
    return recipe


def _limits(choices: Choices, kind: str) -> dict[str, Any]:
    """What the fold says of one kind's schedule."""
    return {name.partition(".")[2]: value for name, value in choices.more.items() if name.startswith(f"{kind}.")}


def _schedule(choices: Choices, kind: str) -> dict[str, Any]:
    """One kind's schedule, as the controls and the fold say."""
    limits, schedule = _limits(choices, kind), {"level": round(getattr(choices, kind), 4)}
    if limits["layers"] is not None:
        return schedule | {"shape": "custom"} | limits
    if kind not in choices.shaped or choices.shape == "uniform":
        return schedule | limits
    if choices.shape == "custom":
        return schedule | {"shape": "custom", "blocks": tuple(round(share, 4) for share in choices.blocks)} | limits
    return schedule | {"shape": choices.shape, "steepness": round(choices.steepness, 3)} | limits


def _by_layer(choices: Choices, kind: str) -> Choices:
    """The controls after shares by layer were written: their mean is the level, if they have one."""
    given = choices.more[f"{kind}.layers"]
    if isinstance(given, str) or given is None or not all(0 <= share <= 1 for share in given):
        return choices
    return replace(choices, **{kind: _mean(given)})


def _level(schedule: Schedule, layers: int) -> float:
    return (
        _mean(schedule.shares(len(schedule.layers or ()) or layers)) if schedule.shape == "custom" else round(schedule.level, 4)
    )


def _blocks_shown(choices: Choices, schedule: Schedule, layers: int, kind: str = "") -> tuple[float, float, float]:
    """The three sliders' places for a schedule, under the fold's cap and with its protected layers; where so much cannot go,
    as they are."""
    if schedule.shape == "custom":
        return _blocks(_shares(schedule, layers), choices.blocks)
    cap = choices.more[f"{kind}.cap"] if kind else schedule.cap
    protected = tuple(max(0, choices.more[f"protect.{end}"]) for end in ("first", "last"))
    try:
        return _blocks(
            shares(layers, schedule.level, schedule.shape, schedule.steepness, cap=cap, protected=protected), choices.blocks
        )
    except BadInput:
        return choices.blocks


def _shares(schedule: Schedule, layers: int) -> tuple[float, ...]:
    # A share for each layer of another model cannot be shown in blocks of this one; the engine refuses it by name.
    if schedule.layers is not None:
        layers = len(schedule.layers)
    return schedule.shares(layers)


def _mean(values: tuple[float, ...]) -> float:
    return round(sum(values) / len(values), 4)


def _blocks(of_layers: tuple[float, ...], before: tuple[float, float, float]) -> tuple[float, float, float]:
    """The three sliders' places; a block without layers stays where it was."""
    found = zip(block_shares(of_layers), before, strict=True)
    return tuple(round(old if share is None else share, 4) for share, old in found)
