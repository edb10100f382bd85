"""How much the forms of an experiment take: tokens, levels, criteria, seeds, training steps; knows no experiment.

"short" is for a minute or two, on two cores with a built-in model, "medium" for ten, "full" for a night. A model of another size
reads less text in the first two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.record.catalogue import models
from engine.record.errors import UnknownName
from engine.record.sweep import Mode, Sweep

Form = Literal["short", "medium", "full"]
DURATIONS = {"short": "a minute or two", "medium": "ten minutes", "full": "a night"}  # with a built-in model
FORMS = tuple(DURATIONS)
SMALL = 5_000_000  # parameters, up to which a model reads 16,384 tokens a second on one core of today, or nearly
CHANCE = "random"  # the criterion whose seeds are replicates of the same measurement


def durations() -> str:
    """How long each form takes, in a line."""
    return "; ".join(f"{form}: {time}" for form, time in DURATIONS.items())


@dataclass(frozen=True)
class Scale:
    """`recipe` is what all recipes of the experiment have in common. `criteria` are those that repeat a measurement beside the
    `seeds` of random; what is trained is repeated by the first `trained` of them, with the same seeds. `draws` are the seeds of
    random where all others are held against it and nothing is trained: many are cheap there, and three leave a wide interval.
    `tuning` is the recovery, without a control: that is the same for all cells, and a cell of its own."""

    recipe: dict[str, Any]
    shares: tuple[float, ...]
    levels: tuple[float, ...]
    tuning: dict[str, Any]
    criteria: tuple[str, ...]
    seeds: tuple[int, ...]
    draws: tuple[int, ...]
    trained: int
    oracle: bool  # whether it affords a criterion of many passes


def scale_of(model: str, form: Form) -> Scale:
    """What an experiment on this model takes in this form; raises `UnknownName` for another form."""
    if form not in FORMS:
        raise UnknownName("form", form, FORMS)
    chosen = {"criteria": ("activation", "magnitude", "taylor"), "seeds": (0, 1, 2), "trained": 1, "oracle": True}
    chosen["draws"] = tuple(range(8 if _is_small(model) else 5 if form == "full" else 3))
    if form == "full":
        recipe, training = _recipe(model, 16384 if _is_small(model) else 8192, 16384), _training(200, 8, 128)
        chosen |= {"criteria": ("activation", "magnitude", "taylor", "energy"), "seeds": (0, 1, 2, 3, 4), "trained": 4}
        return Scale(recipe, _tenths(9), _tenths(6), training, **chosen)
    if form == "medium" and _is_small(model):
        return Scale(_recipe(model, 4096, 8192), (0.1, 0.3, 0.5, 0.7, 0.9), _tenths(6), _training(20, 8, 64), **chosen)
    chosen |= {"criteria": ("activation",), "oracle": False}
    few = {"shares": (0.3, 0.6, 0.9), "levels": (0.2, 0.4, 0.6)}
    if form == "medium":
        return Scale(_recipe(model, 1024, 2048), tuning=_training(6, 4, 64), **few, **chosen)
    chosen["draws"] = chosen["seeds"]
    if _is_small(model):
        return Scale(_recipe(model, 2048, 4096), tuning=_training(10, 4, 64), **few, **chosen)
    return Scale(_recipe(model, 512, 1024), tuning=_training(3, 2, 64), **few, **chosen)


def repeated(
    scale: Scale, name: str, recipe: Mapping[str, Any], axes: Mapping[str, Any], mode: Mode = "measure"
) -> dict[str, Sweep]:
    """One grid measured by each of the scale's criteria, and by random with each of its seeds: replicates of one another. What is
    trained draws its batches by the seed, so that there every criterion has them all."""
    criteria, seeds = (scale.criteria, None) if mode == "measure" else (scale.criteria[: scale.trained], scale.seeds)
    return {
        name: Sweep(recipe, axes | {"criterion": list(criteria)}, mode, seeds),
        both(name)[1]: Sweep(recipe | {"criterion": CHANCE}, axes, mode, scale.seeds),
    }


def both(name: str) -> tuple[str, str]:
    """The names of the two sweeps that `repeated` makes."""
    return name, f"{name}, {CHANCE}"


def _is_small(model: str) -> bool:
    return any(each.name == model and each.parameters <= SMALL for each in models())


def _training(steps: int, batch: int, length: int) -> dict[str, Any]:
    return {"steps": steps, "batch_size": batch, "sequence_length": length, "control": False}


def _tenths(count: int) -> tuple[float, ...]:
    return tuple(tenth / 10 for tenth in range(1, count + 1))


def _recipe(model: str, tokens: int, read: int) -> dict[str, Any]:
    return {
        "model": model,
        "heads": {"level": 0},
        "neurons": {"level": 0, "shape": "uniform"},
        "compensation": "none",
        "evaluation": {"tokens": tokens, "sequence_length": 256},
        "calibration": {"tokens": read, "sequence_length": 256},
    }
