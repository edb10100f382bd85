"""A recipe's fields by their dotted names ("heads.level"): to find one, to set one, to say in one sentence why one was refused.

Knows no field in particular: what is there and what it may hold is read from `engine.record.recipe`.
"""

import copy
import json
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from engine.record.errors import BadInput, UnknownName, shorten
from engine.record.knobs import Knob, knobs_of
from engine.record.recipe import Recipe


def explain(error: ValidationError) -> tuple[str, str]:
    """The first of pydantic's errors as (dotted field, one sentence naming field, value and what is allowed)."""
    first = error.errors()[0]
    context, value = first.get("ctx", {}), first.get("input")
    path = [str(part) for part in first["loc"]]
    if path[:1] == ["corpus"]:
        path = path[:1]  # pydantic goes on with the branch of the union that it tried
    field = ".".join(path)
    match first["type"]:
        case "json_invalid":
            return field, f"The recipe is not JSON: {context['error']}."
        case "value_error":  # a BadInput, which names its field
            return field, str(context["error"])
        case "impossible":
            field = ".".join(filter(None, [field, context["field"]]))
            return field, f"{field} {shorten(context['value'])} {context['why']}."
        case "literal_error" if model_field(field) is not None:
            allowed = get_args(_model_at(path[:-1]).model_fields[path[-1]].annotation)
            return field, str(UnknownName(field, value, allowed))
        case "extra_forbidden":
            known = [".".join([*path[:-1], name]) for name in _model_at(path[:-1]).model_fields]
            return field, str(UnknownName("field", field, known, besides=_all_fields()))
    if field and model_field(field) is None:  # of a command or an event, which bring fields of their own
        return field, f"{field} {shorten(value)} does not fit: {first['msg'].lower()}."
    given = json.dumps(value) if value is None or isinstance(value, bool) else shorten(value)  # as whoever wrote it wrote it
    return field, f"{field or 'The recipe'} {given} is not allowed; it takes {_takes(path)}."


def _takes(path: list[str]) -> str:
    knob = model_field(".".join(path)) if path else None
    if knob is None or isinstance(knob.default, BaseModel):
        return f"an object with the fields {', '.join(_model_at(path).model_fields)}"
    if isinstance(knob.default, bool):
        return "true or false"
    if knob.low is None:
        return "a text"
    if knob.low == knob.high:
        return f"only {_number(knob.low)}"
    kind = "whole number" if isinstance(knob.default, int) else "number"
    return f"a {kind} from {_number(knob.low)} to {_number(knob.high)}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.9f}".rstrip("0").rstrip(".")


def _model_at(path: list[str]) -> type[BaseModel]:
    at: type[BaseModel] = Recipe
    for part in path:
        at = at.model_fields[part].annotation
    return at


def _all_fields() -> list[str]:
    parts = {name: type(knob.default) for name, knob in knobs_of(Recipe).items() if isinstance(knob.default, BaseModel)}
    return [*Recipe.model_fields, *(f"{name}.{inner}" for name, part in parts.items() for inner in part.model_fields)]


def model_field(dotted: str) -> Knob | None:
    """The knob behind a dotted field such as "heads.level"; None where there is no such field."""
    at: type[BaseModel] = Recipe
    *path, last = dotted.split(".")
    for part in path:
        field = at.model_fields.get(part)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return None
        at = field.annotation
    return knobs_of(at).get(last)


def leaves(model: type[BaseModel] = Recipe, before: str = "") -> dict[str, Knob]:
    """The knobs of all fields that hold a value and no further fields, by dotted name, in the order of their definition."""
    found = {}
    for name, knob in knobs_of(model).items():
        if isinstance(knob.default, BaseModel):
            found |= leaves(type(knob.default), f"{before}{name}.")
        else:
            found[before + name] = knob
    return found


def assign(recipe: Any, changes: Iterable[str]) -> Any:
    """Apply "dotted.field=JSON value" texts to a recipe's plain form, as `json.loads` gives it, and return the changed copy.

    A value that is not JSON counts as a string, an element of a list is named by its index. Raises `BadInput` for a text
    without "=", and for a field inside of something that has none.
    """
    result = copy.deepcopy(recipe)
    for change in changes:
        dotted, equals, text = change.partition("=")
        if not equals:
            raise BadInput(f"{shorten(change)} is not of the form field=value; write for instance neurons.level=0.5.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        put(result, dotted, value)
    return result


def put(recipe: Any, dotted: str, value: Any) -> None:
    """Set one field of a recipe's plain form, in place; an element of a list is named by its index. Raises `BadInput` for a field
    inside of something that has none."""
    *path, last = dotted.split(".")
    at = recipe
    try:
        for part in path:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        at[int(last) if isinstance(at, list) else last] = value
    except (AttributeError, IndexError, TypeError, ValueError):
        change = f"{dotted}={json.dumps(value)}"
        raise BadInput(f"{shorten(change)} cannot be set: the recipe has no place for a field {shorten(dotted)}.") from None
