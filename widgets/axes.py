"""What a sweep of the page may go over, in plain words, and what was typed for it: texts → a sweep; knows no widget, no folder.

A sweep begins with the recipe that the controls stand for. A field that takes another's place has its way: with shares of one
block as an axis the other blocks keep what the controls give them, with a level or a shape as one custom shares are left out.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.record.axes import axis_of
from engine.record.errors import BadInput, shorten
from engine.record.fields import leaves, model_field
from engine.record.knobs import Knob
from engine.record.recipe import Recipe, Schedule
from engine.record.schedules import BLOCKS, block_shares
from engine.record.sweep import Mode, Sweep
from widgets.choices import choices_of
from widgets.effects import without_effect

KINDS = ("neurons", "heads")
SHARES, STEEP = "0, 0.25, 0.5, 0.75", "0.5, 1, 2, 4"
SHAPES = "uniform, linear, exponential"
NONE = ""  # where no second field is asked for
# Words of a menu → the field, and values that are of use to begin with.
OF_KIND = {
    " removed": ("level", SHARES),
    **{f" removed, {block} block": (f"blocks.{number}", SHARES) for number, block in enumerate(BLOCKS)},
    ", shape": ("shape", SHAPES),
    ", steepness": ("steepness", STEEP),
}
MOSTLY: Mapping[str, tuple[str, str]] = {
    **{f"{kind.capitalize()}{words}": (f"{kind}.{name}", text) for kind in KINDS for words, (name, text) in OF_KIND.items()},
    "Criterion": ("criterion", "random, magnitude, activation, taylor"),
    "Compensation": ("compensation", "none, bias, least-squares, sequential"),
    "Allocation": ("allocation", "schedule, global, suggest"),
    "Rounds": ("rounds", "1, 2, 4"),
    "Calibration tokens": ("calibration.tokens", "1024, 4096, 16384"),
    "Model": ("model", "gpt2-tiny, opt-tiny, pythia-tiny"),
    "Recovery method": ("tuning.method", "full, lora, distil"),
    "Recovery steps": ("tuning.steps", "50, 100, 200"),
    "Learning rate": ("tuning.learning_rate", "0.0001, 0.0005, 0.002"),
}
FEW = {"corpus": "wikipedia-sample, wikitext-2", "tuning.guard": "0, 100"}
# Lists are gone over block by block, or layer by layer in a file; the others change no number.
LEFT_OUT = ("heads.blocks", "heads.layers", "neurons.blocks", "neurons.layers", "prompt", "cut", "device", "seed")
MODES: Mapping[str, Mode] = {
    "measure": "measure",
    "measure and recover": "recover",
    "search for the best": "search",
}
NUMBER = r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?"
RANGE, LOG = rf"({NUMBER})\s*(?:to|–|-)\s*({NUMBER})", r"(\s*,\s*log)?\s*"
GRID = re.compile(rf"\s*{RANGE}\s*(?:in|–|-)\s*([0-9]+)(?:\s*steps)?{LOG}")
DRAWS = re.compile(rf"\s*([0-9]+)\s*draws\s*(?:from)?\s*{RANGE}{LOG}")
HOW = (
    "Write values such as 0, 0.25, 0.5, a range such as 0 to 0.8 in 5 steps, or 8 draws from 0 to 0.8 for chance; with “, log” at"
    " the end a range or draws go by ratios."
)


def in_words(name: str) -> str:
    """Words made of a field's name, where it has no others: "tuning.batch_size" is "Recovery batch size"."""
    return re.sub(r"^tuning\b", "recovery", name).replace(".", " ").replace("_", " ").capitalize()


def _few(name: str, knob: Knob) -> str:
    """Some values of a field to begin with: all of its choices, or what it is by default and something else."""
    if isinstance(knob.default, bool):
        return "false, true"
    if knob.choices or not isinstance(knob.default, int | float):
        return FEW.get(name, ", ".join(knob.choices))
    other = 2 * knob.default or 1
    return FEW.get(name, f"{knob.default}, {other if other <= knob.high else knob.default / 2}")


def _others() -> dict[str, tuple[str, str]]:
    known = {name for name, _ in MOSTLY.values()}
    return {in_words(name): (name, _few(name, knob)) for name, knob in leaves().items() if name not in {*known, *LEFT_OUT}}


FIELDS: Mapping[str, tuple[str, str]] = {**MOSTLY, **_others()}
LABELS = {name: words for words, (name, _) in FIELDS.items()}


@dataclass(frozen=True)
class Asked:
    """What the form of a sweep says: fields by their dotted names, all else as it was typed."""

    first: str = "neurons.level"
    first_values: str = SHARES
    second: str = "criterion"
    second_values: str = FIELDS["Criterion"][1]
    mode: Mode = "measure"
    budget: str = "0.8"
    seeds: str = "0"


@dataclass(frozen=True)
class Planned:
    """What the form comes to: so many `cells` of that `plain` sweep; or, where that is None, a sentence in `wrong` for each field
    of the form that cannot be."""

    plain: Mapping[str, Any] | None = None
    cells: int = 0
    wrong: Mapping[str, str] = field(default_factory=dict)


def label_of(name: str) -> str:
    """A dotted field in the words of the menu; one that is not there in words made of its name."""
    return LABELS.get(name) or in_words(name)


def usual(name: str) -> str:
    """Values of a field that are of use to begin with."""
    return FIELDS[LABELS[name]][1]


def is_searched(name: str) -> bool:
    """Whether a search may go over a field: those of the heads' and the neurons' schedules."""
    return name == NONE or name.startswith(tuple(f"{kind}." for kind in KINDS))


def planned(asked: Asked, recipe: Recipe) -> Planned:
    """The sweep that the form asks for, beginning with what the controls say, or what is wrong with it."""
    wrong, axes = {}, {}
    names = [name for name in (asked.first, asked.second) if name != NONE]
    why = _clash(asked, recipe)
    if why:
        wrong["second" if asked.second else "first"] = why
    for place, name, text in (("first", asked.first, asked.first_values), ("second", asked.second, asked.second_values)):
        if name == NONE or place in wrong:
            continue
        try:
            axes[name] = read_values(name, text)
            budget = 0.5 if asked.mode == "search" else None
            alone = Sweep(fitted(recipe, [name]), {name: axes[name]}, asked.mode, budget=budget)
            if impossible := [cell.error for cell in alone.cells if cell.recipe is None]:
                raise BadInput(impossible[0])
        except BadInput as error:
            wrong[f"{place}_values"] = _in_words(str(error), name)
    for name, read in (("seeds", _seeds), ("budget", _budget)):
        try:
            if name == "seeds" or asked.mode == "search":
                axes[name] = read(getattr(asked, name))
        except BadInput as error:
            wrong[name] = str(error)
    wrong |= {} if wrong else _idle(asked, recipe, axes)
    if wrong:
        return Planned(wrong=wrong)
    seeds, budget = axes.pop("seeds"), axes.pop("budget", None)
    plain = {"recipe": fitted(recipe, names), "axes": axes, "mode": asked.mode, "seeds": seeds}
    plain |= {} if budget is None else {"budget": budget}
    found = [axis_of(name, values, _is_whole(name)) for name, values in axes.items()]
    sizes = [len(axis.values) for axis in found if not axis.drawn]
    draws = max((len(axis.values) for axis in found if axis.drawn), default=1)  # those of two fields go together
    return Planned(plain, math.prod(sizes) * draws * len(seeds))


def read_values(name: str, text: str) -> list[Any] | dict[str, Any]:
    """The values of a field as they were typed, in the plain form that a sweep takes. Raises `BadInput` for none."""
    if (grid := GRID.fullmatch(text)) is not None:
        low, high, steps, log = grid.groups()
        return {"from": float(low), "to": float(high), "steps": int(steps)} | ({"scale": "log"} if log else {})
    if (draws := DRAWS.fullmatch(text)) is not None:
        count, low, high, log = draws.groups()
        return {"from": float(low), "to": float(high), "draws": int(count)} | ({"scale": "log"} if log else {})
    words = [word.strip() for word in re.split(r"[,;\n]", text) if word.strip()]
    if not words:
        raise BadInput(f"No value is given. {HOW}")
    knob = model_field(name)
    if knob is not None and isinstance(knob.default, bool):
        return [{"true": True, "false": False}.get(word.lower(), word) for word in words]
    is_number = name.rpartition(".")[2].isdecimal() or (knob is not None and isinstance(knob.default, int | float))
    return [_number(word) if is_number else word for word in words]


def fitted(recipe: Recipe, names: list[str]) -> dict[str, Any]:
    """The recipe, plain, with room for the fields in `names` as axes."""
    plain = recipe.model_dump(mode="json")
    for kind in KINDS:
        inside = {name.removeprefix(f"{kind}.") for name in names if name.startswith(f"{kind}.")}
        schedule = plain[kind]
        if any(name.startswith("blocks.") for name in inside):
            if schedule["blocks"] is None:
                schedule |= {"shape": "custom", "layers": None, "blocks": _blocks(getattr(recipe, kind))}
        elif inside & {"level", "shape", "steepness"}:
            if schedule["shape"] == "custom":
                schedule |= {"shape": "uniform", "layers": None, "blocks": None}
            if "steepness" in inside and "shape" not in inside and schedule["shape"] == "uniform":
                schedule["shape"] = "linear"
    return plain


def _clash(asked: Asked, recipe: Recipe) -> str:
    """Why the two fields make no sweep together, or one none alone; empty where they do."""
    names = [name for name in (asked.first, asked.second) if name != NONE]
    if len(set(names)) < len(names):
        return "Choose another field than above."
    for kind in KINDS:
        inside = {name.removeprefix(f"{kind}.").partition(".")[0] for name in names if name.startswith(f"{kind}.")}
        if "blocks" in inside and inside & {"level", "shape", "steepness"}:
            return "Shares of one block take the place of a level or a shape; choose blocks for both fields, or for neither."
        if inside and inside <= {"shape", "steepness"} and not getattr(recipe, kind).takes_any:
            return f"None of the {kind} are to go, so this changes nothing; raise {kind.capitalize()} in the laboratory first."
    return ""


def _idle(asked: Asked, recipe: Recipe, axes: Mapping[str, Any]) -> dict[str, str]:
    """Of each field that changes nothing, whatever the other one is, why that is."""
    names, found = [name for name in (asked.first, asked.second) if name != NONE], {}
    for place, name in zip(("first", "second"), names, strict=False):
        others = {other: axes[other] for other in names if other != name}
        around = [cell.recipe for cell in Sweep(fitted(recipe, names), others, "recover").cells if cell.recipe is not None]
        why = [without_effect(choices_of(each, len(each.neurons.layers or BLOCKS)), len(BLOCKS)).get(name) for each in around]
        if why and all(why):
            found[place] = why[0]
    return found


def _blocks(schedule: Schedule) -> list[float]:
    """What the front, middle and back block lose by a schedule."""
    shares = schedule.shares(len(schedule.layers or ()) or len(BLOCKS))
    return [round(share or 0.0, 4) for share in block_shares(shares)]


def _seeds(text: str) -> list[int]:
    words = [word for word in re.split(r"[,;\s]+", text) if word]
    if not words or not all(word.isdecimal() for word in words) or len(set(map(int, words))) < len(words):
        raise BadInput(f"Seeds must be whole numbers, each once, such as 0, 1, 2; {shorten(text)} is not allowed.")
    return [int(word) for word in words]


def _budget(text: str) -> float:
    number = _number(text.strip())
    if isinstance(number, str) or not 0 < number < 1:
        raise BadInput(f"A budget of {shorten(text)} is not possible; write the share of the parameters to leave, such as 0.8.")
    return number


def _number(word: str) -> Any:
    """A number as it was typed; what is none stays as it is, for the recipe to refuse."""
    if not re.fullmatch(NUMBER, word):
        return word
    return int(word) if word.lstrip("+-").isdecimal() else float(word)


def _is_whole(name: str) -> bool:
    knob = model_field(name)
    return knob is not None and isinstance(knob.default, int) and not isinstance(knob.default, bool)


def _in_words(sentence: str, name: str) -> str:
    """A sentence that begins with a field's dotted name, with the words of the menu in its place."""
    for start in (f"axis {name}", name):
        if sentence.startswith(start):
            return label_of(name) + sentence.removeprefix(start)
    return sentence
