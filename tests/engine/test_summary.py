"""Tests of engine/summary.py: a run as one object and as a few lines."""

import json
from dataclasses import replace

from engine.record.events import Evaluated, GatesChanged, ModelCut, ModelLoaded
from engine.record.lifecycle import (
    CommandFinished,
    CommandRefused,
    CommandStarted,
    Degraded,
    RunFailed,
    RunFinished,
    RunStarted,
    WorkerRestarted,
)
from engine.record.line import Stamped
from engine.record.state import RunState, fold
from engine.summary import in_words, summary

KEYS = ["status", "doing", "stopped_process", "recipe", "family", "device", "parameters", "file", "perplexity", "protocol"]
KEYS += ["degradations", "restarts", "refused", "seconds", "failure"]
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
    assert told["file"] == {"before": None, "after": None, "stored": None}
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


def test_files_are_compared_in_one_dtype_and_the_stored_one_told_beside():
    """A run of an earlier version knows no stored one, an older one no file."""
    cut = ModelCut(1000, 850, 4000, 3400, (), 0.0, (), 7_900_000, 6_100_000, "", 4_000_000)
    assert summary(state(*STORY, cut))["file"] == {"before": 7_900_000, "after": 6_100_000, "stored": 4_000_000}
    line = "  weights     7.9 MB → 6.1 MB as files in float32"
    assert f"{line}; as it is stored, the dense model has 4.0 MB" in in_words(state(*STORY, cut)).splitlines()
    assert line in in_words(state(*STORY, replace(cut, file_stored=None))).splitlines()
    assert "as files" not in in_words(state(*STORY, replace(cut, file_before=None, file_after=None)))


def test_the_words_say_the_same():
    """For people: thousands apart, what was not measured by that name."""
    lines = in_words(state(*STORY, RunFailed("The disk is full."))).splitlines()
    assert lines[:3] == ["failed: m on text", "  The disk is full.", "  parameters  1,000 → 900 (90.0%)"]
    assert "  perplexity  baseline  1,234.50" in lines and "  perplexity  pruned    not measured" in lines
    assert "  measured on text, 40 tokens, length 32, float32" in lines
    assert "  instead of cuda: cpu, because it broke" in lines
    assert lines[-1] == "  seconds     load 0.5"


def test_what_was_refused_is_told():
    """All of it, whatever was done afterwards; a reason for which the run has failed once."""
    refused = [CommandRefused(line, "Tune", "", f"Tune was given up: reason {line}.") for line in (1, 2)]
    told = state(*STORY, *refused, CommandStarted(3, "Cut"), CommandFinished(3, "Cut"), RunFailed(refused[1].reason))
    assert summary(told)["refused"] == [{"command": "Tune", "why": each.reason} for each in refused]
    lines = in_words(told).splitlines()
    assert lines[1] == f"  {refused[1].reason}" and f"  Tune was refused: {refused[0].reason}" in lines
    assert sum("reason 2" in line for line in lines) == 1


def test_a_run_that_nobody_carries_out_is_interrupted_and_its_restarts_are_told():
    """In which command it was left, or that something was still to come; one that is awake, over or has nothing to do is not."""
    died = WorkerRestarted("the worker ended with status -9 while doing Tune", "step-000001")
    again = state(*STORY, CommandStarted(1, "Tune"), died, CommandStarted(1, "Tune"))
    told = summary(again, asleep=True)
    assert (told["status"], told["doing"]) == ("interrupted", "Tune") and summary(again)["status"] == "busy"
    assert told["restarts"] == [{"why": died.why, "checkpoint": died.checkpoint}]
    assert in_words(again, asleep=True).startswith("interrupted in Tune, asleep: m on text\n")
    assert f"  {died.why}; gone on with from step-000001" in in_words(again).splitlines()
    before = state(*STORY, CommandStarted(1, "Tune"), replace(died, checkpoint=None))
    assert in_words(before, asleep=True, waiting=True).startswith("interrupted in Tune, asleep: ")
    assert "; gone on with from the start" in in_words(before)
    between = state(*STORY)
    assert in_words(between, asleep=True, waiting=True).startswith("interrupted, asleep: ")
    assert summary(between, asleep=True)["status"] == "idle"
    assert summary(state(*STORY, RunFinished()), asleep=True, waiting=True)["status"] == "finished"


def test_a_run_that_has_not_begun_has_words_too():
    """Its recipe, and that nothing was measured."""
    lines = in_words(RunState(recipe={"model": "m", "corpus": "text"})).splitlines()
    assert lines[0] == "new: m on text" and all(line.endswith("not measured") for line in lines[1:]) and len(lines) == 6
