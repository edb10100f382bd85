"""Tests of engine/record/agreement_file.py: a comparison that was written is read as it was, and nothing else is read as one."""

import json

import pytest

from engine.record.agreement import RankCorrelation
from engine.record.agreement_file import Agreed, as_json, read_agreed
from engine.record.errors import BadInput

FOUND = {
    0: (
        RankCorrelation("ablation", "random", "heads", -1 / 7, 6),
        RankCorrelation("ablation", "taylor", "heads", 1.0, 6),
        RankCorrelation("random", "taylor", "heads", None, 0),
        RankCorrelation("random", "taylor", "neurons", 0.031, 5),
    ),
    3: (RankCorrelation("ablation", "random", "heads", 0.25, 6),),
}
NAMES = ("ablation", "random", "taylor")
UNITS = {"heads": 6, "neurons": 9}
VERSIONS = {"espalier": "0"}
AGREED = Agreed("gpt2-tiny", "short", "2026-11-22", VERSIONS, "a machine", "some text", 512, 32, 1.5, UNITS, NAMES, FOUND)


def test_a_comparison_is_read_as_it_was_written(tmp_path) -> None:
    """To six digits; pairs are there once, whatever was drawn how often."""
    path = tmp_path / "agreement.json"
    path.write_text(as_json(AGREED))
    again = read_agreed(path)
    assert again.found[0][0].correlation == -0.142857 and again.found[0][1:] == FOUND[0][1:] and again.found[3] == FOUND[3]
    for name in ("criteria", "model", "form", "at", "versions", "corpus", "tokens", "sequence_length", "seconds", "units"):
        assert getattr(again, name) == getattr(AGREED, name)
    assert len(again.pairs) == 4
    assert as_json(again) == as_json(AGREED)


@pytest.mark.parametrize(
    "damage",
    [
        lambda told: told.pop("versions"),
        lambda told: told["units"].pop("heads"),
        lambda told: told["correlations"][0].pop("seed"),
        lambda told: told["correlations"][0].update(correlation=1.25),
        lambda told: told["correlations"][0].update(correlation="much"),
        lambda told: told["correlations"][0].update(kind="layers"),
        lambda told: told["correlations"][0].update(one="taylor", other="taylor"),
        lambda told: told["correlations"][0].update(one="magnitude"),
        lambda told: told.update(criteria=["ablation", "random", "tailor"]),
    ],
)
def test_a_damaged_file_is_refused(damage, tmp_path) -> None:
    """In one sentence that names it: what is missing, what is no number or none that a correlation can be, what nobody knows."""
    told = json.loads(as_json(AGREED))
    damage(told)
    path = tmp_path / "agreement-other.json"
    path.write_text(json.dumps(told))
    with pytest.raises(BadInput, match=r"agreement-other\.json' holds no comparison of criteria"):
        read_agreed(path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"criteria": [], "correlations": [1]}'])
def test_another_file_is_refused(text, tmp_path) -> None:
    """And so is one that is not there, or is no text."""
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"other\.json' holds no comparison of criteria"):
        read_agreed(path)
    with pytest.raises(BadInput, match=r"none\.json' cannot be read"):
        read_agreed(tmp_path / "none.json")
