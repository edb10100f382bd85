"""Tests of engine/record/faults.py: a fault comes when it is asked for, and not otherwise."""

import pytest

from engine.record.errors import BadInput
from engine.record.faults import VARIABLE, Faults, without


def struck(faults: Faults, kind: str, tries: int = 6) -> list[int]:
    """The steps, from 1, of so many that a fault of that kind hits."""
    return [step + 1 for step in range(tries) if faults.strikes(kind, step)]


def test_nothing_is_asked_for_unless_somebody_does(monkeypatch):
    """The variable is not there, or empty."""
    monkeypatch.delenv(VARIABLE, raising=False)
    assert struck(Faults(), "loss") == []
    monkeypatch.setenv(VARIABLE, "")
    assert struck(Faults(), "loss") == []


def test_a_fault_comes_once_or_as_often_as_asked(monkeypatch):
    """Tries are counted, each kind by itself: the second try of a step is a try."""
    monkeypatch.setenv(VARIABLE, "loss@2, gradient@3x2,loss@5")
    faults = Faults()
    assert struck(faults, "loss") == [2, 5] and struck(faults, "gradient") == [3, 4]
    twice = Faults("loss@1x2")
    assert [twice.strikes("loss", 0) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("words", ["nan", "loss@0", "loss@3x0", "smoke@1", "loss@3; loss@4"])
def test_what_is_no_fault_is_refused(words):
    """Rather than a test that tests nothing."""
    with pytest.raises(BadInput, match=f"^{VARIABLE} has .*; write KIND@STEP or KIND@STEPxTIMES, KIND one of "):
        Faults(words)


def test_a_kind_that_cannot_happen_is_left_out(monkeypatch):
    """The others stay as they were asked for."""
    monkeypatch.setenv(VARIABLE, "device@3, loss@2x4,device@9x2")
    assert without("device") == {VARIABLE: "loss@2x4"}
    monkeypatch.delenv(VARIABLE)
    assert without("device") == {}
