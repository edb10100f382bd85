"""How to carry a recipe out again with nothing else at hand; starts nothing."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from engine.record.recipe import Recipe


def changed(plain: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe, as plain JSON, has that the default one has not."""
    return _differences(plain, Recipe().model_dump(mode="json"))


def command_line(plain: Mapping[str, Any]) -> str:
    """A line for the shell that carries a recipe out."""
    # printf, since some shells' echo reads the backslashes of JSON
    return f"printf %s {shlex.quote(json.dumps(changed(plain)))} | python -m engine run -"


def _differences(plain: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in plain.items():
        if isinstance(value, dict) and isinstance(default.get(name), dict):
            inner = _differences(value, default[name])
            found |= {name: inner} if inner else {}
        elif value != default.get(name):
            found[name] = value
    return found
