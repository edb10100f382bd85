"""A field with a range and a reason, so that a form can draw itself; knows no particular field and no widget."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, Field


@dataclass(frozen=True)
class Knob:
    """What a form needs to draw one field: its name, default, inclusive range (None: none), help text and choices (): any."""

    name: str
    default: Any
    low: float | None
    high: float | None
    reason: str
    choices: tuple[str, ...] = ()


def knob(default: Any = None, low: float | None = None, high: float | None = None, *, reason: str, make: Callable | None = None):
    """A pydantic field with an inclusive range and the reason for it; `make` builds a default that is itself a model."""
    start = {"default_factory": make} if make else {"default": default}
    return Field(**start, ge=low, le=high, description=reason)


def knobs_of(model: type[BaseModel]) -> dict[str, Knob]:
    """Every field of a model as a `Knob`, by name, in the order of their definition."""
    found = {}
    for name, field in model.model_fields.items():
        low = next((mark.ge for mark in field.metadata if isinstance(mark, Ge)), None)
        high = next((mark.le for mark in field.metadata if isinstance(mark, Le)), None)
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        found[name] = Knob(name, field.get_default(call_default_factory=True), low, high, field.description or "", choices)
    return found
