"""Tests of engine/summary.py: a run as one object and as a few lines."""

import json

from engine.record.events import Evaluated, GatesChanged, ModelCut, ModelLoaded
from engine.record.lifecycle import CommandFinished, CommandStarted, Degraded, RunFailed, RunStarted
from engine.record.line import Stamped
from engine.record.state import RunState, fold
from engine.summary import in_words, summary

KEYS = ["status", "recipe", "family", "device", "parameters", "perplexity", "protocol", "degradations", "seconds", "failure"]
LOADED = ModelLoaded("m", "opt", 1000, 64, 300, (3,), (8,), (10,), (5,), "cpu", "float32")
GATES = GatesChanged(((0, 1),), (1,), (2,), 1000, 900, "prune")
STORY = [
    RunStarted({"model": "m", "corpus": "text"}, "1"),
    CommandStarted(0, "Load"),
    LOADED,
    CommandFinished(0, "Load"),
    Evaluated("baseline", 1234.5, 100.0, 40, "text", 32, "float32"),
    GATES,
    Degraded("cuda", "cpu", "it broke"),
]


def state(*events) -> RunState:
    """Events, a quarter of a second apart, folded."""
    return fold(RunState(), [Stamped(number, number / 4, event) for number, event in enumerate(events)])


def test_what_was_not_measured_is_null():
    """Every key is there from the start."""
    told = json.loads(json.dumps(summary(RunState()), allow_nan=False))
    assert list(told) == KEYS
    assert told["parameters"] == {"before": None, "after": None}
    assert told["perplexity"] == dict.fromkeys(("baseline", "pruned", "tuned", "control", "cut"))
    assert told["family"] is told["device"] is told["protocol"] is told["failure"] is None


def test_what_was_measured_is_told():
    """With its protocol, what was done instead, and how long each command took."""
    told = summary(state(*STORY))
    assert (told["family"], told["device"], told["parameters"]) == ("opt", "cpu", {"before": 1000, "after": 900})
    assert told["perplexity"]["baseline"] == 1234.5 and told["perplexity"]["pruned"] is None
    assert told["protocol"] == {"corpus": "text", "tokens": 40, "sequence_length": 32, "dtype": "float32"}
    assert told["degradations"] == [{"asked": "cuda", "did": "cpu", "why": "it broke"}]
    assert told["seconds"] == {"load": 0.5}


def test_a_cut_model_counts_as_it_is():
    """What was cut is what is left, not what was planned."""
    cut = ModelCut(1000, 850, 4000, 3400, (), 0.0)
    assert summary(state(*STORY, cut))["parameters"] == {"before": 1000, "after": 850}


def test_the_words_say_the_same():
    """For people: thousands apart, what was not measured by that name."""
    lines = in_words(state(*STORY, RunFailed("The disk is full."))).splitlines()
    assert lines[:3] == ["failed: m on text", "  The disk is full.", "  parameters  1,000 → 900 (90.0%)"]
    assert "  perplexity  baseline  1,234.50" in lines and "  perplexity  pruned    not measured" in lines
    assert "  measured on text, 40 tokens, length 32, float32" in lines
    assert "  instead of cuda: cpu, because it broke" in lines
    assert lines[-1] == "  seconds     load 0.5"


def test_a_run_that_has_not_begun_has_words_too():
    """Its recipe, and that nothing was measured."""
    lines = in_words(RunState(recipe={"model": "m", "corpus": "text"})).splitlines()
    assert lines[0] == "new: m on text" and all(line.endswith("not measured") for line in lines[1:]) and len(lines) == 6
