"""Made-up values for every class of event and command, drawn from their type hints; plain data, and no run behind it."""

import random
import types
import typing
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from engine.record.recipe import Calibration, Measuring, Protection, Schedule, Suggestion, Tuning

TEXTS = ["", "word", 'quo"te', "zwei\nZeilen\ttab", "ü🌳\u2028", "\\n", "{", "null", "x" * 500]
PARTS = {
    Schedule: Schedule(level=0.25, shape="custom", layers=(0.0, 1.0)),
    Protection: Protection(first=1, last=2),
    Suggestion: Suggestion(by="block", damage="measured"),
    Tuning: Tuning(steps=3, learning_rate=1e-3),
    Calibration: Calibration(tokens=300, sequence_length=32),
    Measuring: Measuring(tokens=64, sequence_length=8),
}


def example(of: type, draw: random.Random) -> Any:
    """An instance of a dataclass, or a value of any type that the fields of one have."""
    if is_dataclass(of):
        hints = get_type_hints(of)
        return of(**{field.name: example(hints[field.name], draw) for field in fields(of)})
    if of in PARTS:
        return PARTS[of]
    if get_origin(of) is Literal:
        return draw.choice(get_args(of))
    if get_origin(of) in (typing.Union, types.UnionType):
        return example(draw.choice(get_args(of)), draw)
    if get_origin(of) is tuple:
        inner = get_args(of)
        if inner[-1] is Ellipsis:
            return tuple(example(inner[0], draw) for _ in range(draw.randint(0, 3)))
        return tuple(example(each, draw) for each in inner)
    if get_origin(of) is dict:
        return {draw.choice(TEXTS): example(get_args(of)[1], draw) for _ in range(2)}
    plain = {int: lambda: draw.choice([0, 1, -3, 2**40]), float: lambda: draw.choice([0.0, -1e-300, 0.1 + 0.2, 1e300])}
    plain |= {str: lambda: draw.choice(TEXTS), bool: lambda: draw.random() < 0.5, type(None): lambda: None}
    return plain[str if of is Any else of]()
