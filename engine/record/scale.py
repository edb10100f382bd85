"""How much the two forms of an experiment take: tokens, levels, criteria, seeds, training steps; knows no experiment.

"short" is for minutes, on two cores with the built-in models; "full" is for a night. A model of another size reads less text in
the short form.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from engine.record.catalogue import models
from engine.record.errors import UnknownName

Form = Literal["short", "full"]
FORMS = ("short", "full")
SMALL = 5_000_000  # parameters, up to which a model reads 16,384 tokens a second on one core of today, or nearly
CHANCE = "random"  # the criterion whose seeds are replicates of the same measurement


@dataclass(frozen=True)
class Scale:
    """`recipe` is what all recipes of the experiment have in common; `criteria` are those that repeat a measurement beside the
    `seeds` of random."""

    recipe: dict[str, Any]
    shares: tuple[float, ...]
    levels: tuple[float, ...]
    criteria: tuple[str, ...]
    seeds: tuple[int, ...]
    tuning: dict[str, Any] = field(default_factory=dict)


def scale_of(model: str, form: Form) -> Scale:
    """What an experiment on this model takes in this form; raises `UnknownName` for another form."""
    if form not in FORMS:
        raise UnknownName("form", form, FORMS)
    small = any(each.name == model and each.parameters <= SMALL for each in models())
    if form == "full":
        recipe = _recipe(model, 16384 if small else 8192, 16384)
        shares, levels = _tenths(9), _tenths(6)
        criteria, seeds = ("activation", "energy", "magnitude", "taylor"), (0, 1, 2, 3, 4)
        return Scale(recipe, shares, levels, criteria, seeds, {"steps": 200, "batch_size": 8, "sequence_length": 128})
    if not small:
        tuning = {"steps": 6, "batch_size": 4, "sequence_length": 64}
        return Scale(_recipe(model, 512, 2048), (0.3, 0.6, 0.9), (0.2, 0.4, 0.6), ("activation",), (0, 1, 2), tuning)
    recipe, tuning = _recipe(model, 4096, 8192), {"steps": 20, "batch_size": 8, "sequence_length": 128}
    shares, criteria = (0.1, 0.3, 0.5, 0.7, 0.9), ("activation", "magnitude", "taylor")
    return Scale(recipe, shares, _tenths(6), criteria, (0, 1, 2), tuning)


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
