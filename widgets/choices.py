"""What the controls say, as plain values, and what they mean: a recipe, and how moving one moves others; knows no widget."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from engine.record.commands import Command, Load, Preview, Prune, Sample, Score, Tune
from engine.record.recipe import Recipe, Schedule
from engine.record.schedules import block_of_layers, block_shares, fill, shares

KINDS = ("heads", "neurons")
BLOCK_SLIDERS = ("front", "middle", "back")
SCHEDULING = (*KINDS, "shape", "steepness", "apply_to", *BLOCK_SLIDERS)
OWN_FILE = "file:"


@dataclass(frozen=True)
class Choices:
    """The controls' values. `heads` and `neurons` are levels, `blocks` the block sliders' shares, front to back.

    `shape`, `steepness` and `blocks` go for the kinds of unit in `apply_to` ("neurons", "heads" or "both"); the other kind is
    pruned alike in every layer. A recipe from elsewhere may say more than that, for instance a share for each layer: it is
    kept in `given`, and counts, until one of these controls is moved.
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
        heads=_mean(_shares(recipe.heads, layers)),
        neurons=_mean(_shares(recipe.neurons, layers)),
        shape=shown.shape,
        steepness=shown.steepness,
        blocks=_blocks(_shares(shown, layers), (0.0, 0.0, 0.0)),
        apply_to=apply_to,
        steps=recipe.tuning.steps,
        prompt=recipe.prompt,
    )
    exact = all(Schedule(**_schedule(found, kind, getattr(recipe, kind))) == getattr(recipe, kind) for kind in KINDS)
    return found if exact else replace(found, given=(recipe.heads, recipe.neurons))


def recipe_of(choices: Choices, base: Recipe) -> Recipe:
    """The recipe that the controls stand for; what they do not show is as in `base`. Raises pydantic's `ValidationError`."""
    schedules = {kind: _schedule(choices, kind, getattr(base, kind)) for kind in KINDS}
    if choices.given is not None:
        schedules = {kind: schedule.model_dump() for kind, schedule in zip(KINDS, choices.given, strict=True)}
    plain: dict[str, Any] = base.model_dump() | schedules
    plain |= {"model": choices.model, "corpus": choices.corpus, "criterion": choices.criterion, "prompt": choices.prompt}
    plain["tuning"] |= {"steps": choices.steps}
    return Recipe.model_validate(plain)


def moved(choices: Choices, control: str, layers: int) -> Choices:
    """The controls after `control` was moved by hand: a block slider turns the shape to custom, all else moves the blocks."""
    if control not in SCHEDULING and control != "layers":
        return choices
    if control != "layers":
        choices = replace(choices, given=None)
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
    asked = shares(layers, getattr(choices, shown), choices.shape, choices.steepness)
    return replace(choices, blocks=_blocks(asked, choices.blocks))


def without_effect(choices: Choices, layers: int) -> dict[str, str]:
    """The controls that change nothing as the others stand, and why; for a model of `layers` layers."""
    found = {}
    if choices.shape == "uniform":
        found["steepness"] = "Shape is uniform, so every layer loses the same share; choose linear or exponential to use this."
    if choices.shape == "custom":
        found["steepness"] = "Shape is custom, so Front, Middle and Back say it all; choose linear or exponential to use this."
    there = set(block_of_layers(layers))
    for number, block in enumerate(BLOCK_SLIDERS):
        if number not in there:
            found[block] = f"This model has no layer in its {block} block."
    return found


def recipe_as_asked(recipe: Recipe, commands: Iterable[Command]) -> Recipe:
    """The recipe as later commands have changed it, so that a page that comes late shows what was asked for last."""
    changed: dict[str, Any] = {}
    for command in commands:
        match command:
            case Load():
                changed |= {"model": command.model, "corpus": command.corpus}
            case Score():
                changed |= {"criterion": command.criterion}
            case Preview() | Prune():
                changed |= {"criterion": command.criterion, "heads": command.heads, "neurons": command.neurons}
            case Sample():
                changed |= {"prompt": command.prompt}
            case Tune():
                changed |= {"tuning": command.tuning, "prompt": command.prompt}
    return recipe.model_copy(update=changed)


def _schedule(choices: Choices, kind: str, base: Schedule) -> dict[str, Any]:
    """One kind's schedule; where the level is not to be had under the base's cap, the cap gives way to the level."""
    level = round(getattr(choices, kind), 4)
    if kind in choices.shaped and choices.shape == "custom":
        return {"level": level, "shape": "custom", "blocks": tuple(round(share, 4) for share in choices.blocks)}
    schedule = {"level": level, "cap": max(base.cap, level)}
    if kind not in choices.shaped or choices.shape == "uniform":
        return schedule
    return schedule | {"shape": choices.shape, "steepness": round(choices.steepness, 3)}


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
