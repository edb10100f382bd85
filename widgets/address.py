"""What the page's address asks for: a theme, a run, a recipe; reads text that anybody may have typed, and opens nothing."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args
from urllib.parse import parse_qs, urlencode

from pydantic import ValidationError

from engine.record.fields import explain
from engine.record.recipe import Recipe
from widgets.requests import Part
from widgets.theme import NAMES

PARTS: tuple[Part, ...] = get_args(Part)
DEFAULTS = (NAMES[0], PARTS[0])


@dataclass(frozen=True)
class Address:
    """`run` is the name of a run to attach to, or "", and `part` the part of the page that is shown. `wrong` is the recipe's
    field that was refused and the sentence why."""

    theme: str = "light"
    run: str = ""
    recipe: Recipe = Recipe()
    wrong: tuple[str, str] | None = None
    part: Part = PARTS[0]

    def query(self, run: str = "", theme: str = "", part: str = "") -> str:
        """This address with another run, theme or part of the page, from the question mark on; defaults go unsaid."""
        asked = {"run": run or self.run, "theme": theme or self.theme, "part": part or self.part}
        return "?" + urlencode({name: value for name, value in asked.items() if value and value not in DEFAULTS})


def read_address(query: str) -> Address:
    """The address behind the question mark. What cannot be used is said in `wrong`, and the default stands in its place."""
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    theme = asked.get("theme") if asked.get("theme") in NAMES else "light"
    run, part = asked.get("run", ""), asked.get("part") if asked.get("part") in PARTS else PARTS[0]
    if "recipe" not in asked:
        return Address(theme, run, part=part)
    try:
        return Address(theme, run, Recipe.model_validate_json(asked["recipe"]), part=part)
    except ValidationError as error:
        return Address(theme, run, wrong=explain(error), part=part)


def this_address(environment: Mapping[str, str] = os.environ) -> Address:
    """The address of the page that this kernel belongs to; a notebook outside Voilà has none and gets the defaults."""
    return read_address(environment.get("QUERY_STRING", "") if in_voila(environment) else "")


def in_voila(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether Voilà serves this page: it names itself to the kernels it starts."""
    return environment.get("SERVER_SOFTWARE", "").startswith("voila")
