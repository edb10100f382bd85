"""How alike criteria rank the units of one model, as one JSON file with all that its numbers depend on; compares nothing itself.

The file has a line for each two criteria and kind of unit. Correlations are kept to six digits.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.record.agreement import RankCorrelation
from engine.record.catalogue import CRITERIA
from engine.record.errors import BadInput, shorten

HEAD = ("model", "form", "at", "versions", "machine", "corpus", "tokens", "sequence_length", "seconds", "units")
KINDS = ("heads", "neurons")


@dataclass(frozen=True)
class Agreed:
    """The `criteria` that were compared on one model, each two on every kind of unit that both of them score, by the seed.

    What has no chance in it stands under the first seed alone. `tokens` of the calibration split of `corpus` were read, in
    sequences of `sequence_length`; `at` is the day (UTC), with which `versions` on what `machine`, in so many `seconds`;
    `units` says how many heads and neurons the largest layer has.
    """

    model: str
    form: str
    at: str
    versions: Mapping[str, str]
    machine: str
    corpus: str
    tokens: int
    sequence_length: int
    seconds: float
    units: Mapping[str, int]
    criteria: tuple[str, ...]
    found: Mapping[int, tuple[RankCorrelation, ...]]

    @property
    def pairs(self) -> tuple[RankCorrelation, ...]:
        """Every two criteria on every kind of unit, by the first seed."""
        return next(iter(self.found.values()), ())


def as_json(agreed: Agreed) -> str:
    """The text of the file."""
    head = json.dumps({name: getattr(agreed, name) for name in HEAD}, indent=1, ensure_ascii=False)[:-2]
    lines = [json.dumps({"seed": seed} | _plain(one)) for seed, found in agreed.found.items() for one in found]
    pairs = ",\n".join(f"  {line}" for line in lines)
    return f'{head},\n "criteria": {json.dumps(agreed.criteria)},\n "correlations": [\n{pairs}\n ]\n}}\n'


def read_agreed(path: Path) -> Agreed:
    """What is in such a file; raises `BadInput` for a file that holds none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        criteria, found = tuple(CRITERIA.entry(name).name for name in told["criteria"]), {}
        for line in told["correlations"]:
            seed, one = line.pop("seed"), RankCorrelation(**line)
            _check(one, criteria)
            found.setdefault(int(seed), []).append(one)
        named = {name: told[name] for name in HEAD} | {"units": {kind: int(told["units"][kind]) for kind in KINDS}}
    except OSError as error:
        raise BadInput(f"file {shorten(path)} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"file {shorten(path)} holds no comparison of criteria: {type(error).__name__}: {error}.") from error
    return Agreed(**named, criteria=criteria, found={seed: tuple(pairs) for seed, pairs in found.items()})


def _plain(one: RankCorrelation) -> dict[str, Any]:
    return asdict(one if one.correlation is None else replace(one, correlation=round(one.correlation, 6)))


def _check(one: RankCorrelation, criteria: tuple[str, ...]) -> None:
    """Raise `ValueError` for a pair that says what no comparison can."""
    if one.one == one.other or not {one.one, one.other} <= set(criteria) or one.kind not in KINDS:
        raise ValueError(f"{one.one} and {one.other} are no two of the criteria, on heads or on neurons")
    if one.correlation is not None and not -1 <= one.correlation <= 1:
        raise ValueError(f"{one.correlation} is no correlation")
