"""A recipe in a file or on standard input, as somebody has written it, with fields changed on the way; knows no command line."""

import json
import sys
from pathlib import Path

from pydantic import ValidationError

from engine.record.errors import BadInput, shorten
from engine.record.fields import assign, explain
from engine.record.recipe import Recipe


def read_recipe(path: str, changes: list[str]) -> Recipe:
    """The recipe in a file, with some fields changed; raises `BadInput` with one sentence for whatever is wrong with it."""
    text = read_text(path, "recipe")
    try:
        return Recipe.model_validate(assign(json.loads(text), changes)) if changes else Recipe.model_validate_json(text)
    except ValidationError as error:
        raise BadInput(explain(error)[1]) from error
    except BadInput:
        raise
    except (ValueError, RecursionError) as error:  # no JSON, numbers of thousands of digits, thousands of brackets
        raise BadInput(f"The recipe is not JSON: {shorten(str(error), 120)}.") from error


def read_text(path: str, what: str) -> str:
    """The text of a file, - standing for standard input; raises `BadInput`, calling it a file of `what`."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{what} file {shorten(path)} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{what} file {shorten(path)} is not UTF-8 text; save it as UTF-8.") from error
