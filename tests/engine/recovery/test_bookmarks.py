"""Tests of engine/recovery/bookmarks.py and place.py: a training that goes on from one ends as one that was not interrupted."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.record import bookmark_names
from engine.record.errors import BadInput
from engine.record.events import Degraded, StepTrained, TrainingResumed, Validated
from engine.record.faults import VARIABLE as FAULTS
from engine.record.recipe import Tuning
from engine.recovery.bookmarks import FLOOR, SHARE, VARIABLE, Bookmarks
from engine.recovery.loop import train
from tests.engine.recovery.test_loop import text
from tests.families import CLASSES, gpt2

TUNING = Tuning(steps=8, learning_rate=1e-2, batch_size=4, sequence_length=8, warmup=0.25, weight_decay=0.1, clip=0.5)
WAYS = {
    "plain": ({}, torch.float32, ""),
    "in pieces": ({"accumulation": 3, "decay": "linear"}, torch.float32, ""),
    "bfloat16": ({}, torch.bfloat16, ""),
    "float16 with its scale": ({}, torch.float16, ""),
    "the best kept": ({"patience": 4, "learning_rate": 0.1}, torch.float32, ""),
    "behind a rail": ({"guard": 95.0, "learning_rate": 0.1}, torch.float32, ""),
    "at half the rate": ({}, torch.float32, "loss@2x2, gradient@5"),
    "in less memory": ({}, torch.float32, "memory@3x3"),
}


def model_of(seed: int) -> nn.Module:
    """A model that drops a tenth of what it computes while it trains."""
    torch.manual_seed(seed)
    return CLASSES["gpt2"](gpt2(resid_pdrop=0.1, embd_pdrop=0.1)).eval()


def shelf(folder: Path, **how) -> Bookmarks:
    """The bookmarks of the one training of these tests."""
    return Bookmarks(folder, {"arm": "tuned", "asked": "this", "part": 1}, **how)


def training(model: nn.Module, folder: Path, tuning: Tuning = TUNING, precision: torch.dtype = torch.float32, **how):
    """A training that writes bookmarks, as a generator of its events."""
    given = {"arm": "tuned", "seed": 3, "precision": precision, "marks": shelf(folder)} | how
    return train(model, text(), text(3, seed=1), tuning, **given)


def until(events, step: int) -> list:
    """The events of a training that dies before it tells what comes after that step and its validation."""
    told, made = [], 0
    for event in events:
        if made == step and not isinstance(event, Validated):
            break
        made = event.step if isinstance(event, StepTrained) else made
        told.append(event)
    return told


@pytest.fixture(autouse=True)
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bookmark after each."""
    monkeypatch.setenv(VARIABLE, "1")


@pytest.mark.parametrize("way", WAYS)
def test_a_training_that_goes_on_from_a_bookmark_ends_as_one_that_was_never_interrupted(way, tmp_path, monkeypatch):
    """After a step: the same events from there on, and the same weights, to the bit; dropout, moments, rate, scale, what the
    watch knows and has kept, the pieces and the halvings are all there, in a model that has other weights until then."""
    changes, precision, faults = WAYS[way]
    tuning = Tuning.model_validate(TUNING.model_dump() | changes)
    monkeypatch.setenv(FAULTS, faults)
    whole = model_of(0)
    events = list(training(whole, tmp_path / "whole", tuning, precision))
    made = max(event.step for event in events if isinstance(event, StepTrained))
    assert made > 3
    for step in range(1, made, 2):
        folder = tmp_path / f"{step}"
        told = until(training(model_of(0), folder, tuning, precision), step)
        mark, damaged = shelf(folder).newest()
        other = model_of(1)
        resumed, *rest = training(other, folder, tuning, precision, mark=mark)
        last = max(event.step for event in told if isinstance(event, Validated))
        assert damaged == [] and resumed == TrainingResumed("tuned", step, last)
        assert told + rest == events
        assert all(map(torch.equal, whole.parameters(), other.parameters()))


def test_what_does_not_train_is_there_as_well_where_it_is_wanted(tmp_path):
    """As in a control whose earlier parts changed it."""
    first, other = model_of(0), model_of(1)
    for one in (first, other):
        one.transformer.wte.weight.requires_grad_(False)
    marks = shelf(tmp_path, with_base=True)
    until(training(first, tmp_path, marks=marks), 2)
    list(training(other, tmp_path, mark=shelf(tmp_path).newest()[0]))
    assert torch.equal(first.transformer.wte.weight, other.transformer.wte.weight)


def test_only_the_two_newest_stay_and_they_are_their_owners(tmp_path):
    """Files of JSON and safetensors, mode 0700, nothing half written."""
    (tmp_path / ".writing-torn").mkdir()
    list(training(model_of(0), tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000006-tuned-6", "000007-tuned-7"]
    assert bookmark_names.reached(tmp_path) == ("tuned", 7)
    newest = tmp_path / "000007-tuned-7"
    assert stat.S_IMODE(newest.stat().st_mode) == 0o700
    files = {f"{part}.safetensors" for part in ("weights", "first", "second", "counts")}
    assert {path.name for path in newest.iterdir()} == files | {"state.json"}


def flip(path: Path) -> None:
    """Turn a bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def truncate(path: Path) -> None:
    """Leave a part of a file."""
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    """Leave nothing of a file but that it is JSON, without a checksum."""
    path.write_text("{}")


@pytest.mark.parametrize("harm", [flip, truncate, Path.unlink, empty])
@pytest.mark.parametrize("file", ["state.json", "weights.safetensors", "second.safetensors", "counts.safetensors"])
def test_a_damaged_bookmark_gives_way_to_the_one_before_it(file, harm, tmp_path):
    """It is gone then, and there is something to say; with both damaged there is none."""
    until(training(model_of(0), tmp_path), 5)
    harm(tmp_path / "000005-tuned-5" / file)
    mark, said = shelf(tmp_path).newest()
    assert mark.plain["step"] == 4 and len(said) == 1 and said[0].startswith(f"its {file} ")
    assert bookmark_names.names(tmp_path) == ["000004-tuned-4"]
    harm(tmp_path / "000004-tuned-4" / file)
    assert shelf(tmp_path).newest()[0] is None


def test_the_bookmark_of_another_training_is_none_of_this_one(tmp_path):
    """Another command, another arm: it is left alone, and not gone on from."""
    until(training(model_of(0), tmp_path), 2)
    assert Bookmarks(tmp_path, {"arm": "tuned", "asked": "that"}).newest() == (None, [])
    assert Bookmarks(tmp_path, {"arm": "control", "asked": "this"}).newest() == (None, [])
    assert Bookmarks(tmp_path, {"arm": "tuned", "asked": "this"}).newest()[0].plain["part"] == 1


@pytest.mark.parametrize("fault", ["bookmark@3x2", "no room"])
def test_a_full_disk_costs_bookmarks_and_not_the_training(fault, tmp_path, monkeypatch):
    """Said once for as long as it is full; nothing half written stays, and the ones before do."""
    how = {}
    if fault == "no room":  # what comes after it would have none
        how["marks"] = shelf(tmp_path, reserve=shutil.disk_usage(tmp_path).total)  # not what is free, which others change
    else:
        monkeypatch.setenv(FAULTS, fault)
    whole, other = model_of(0), model_of(0)
    events, plain = list(training(whole, tmp_path, **how)), list(training(other, tmp_path / "plain", marks=None))
    (told,) = (event for event in events if isinstance(event, Degraded))
    assert [event for event in events if event is not told] == plain
    assert all(map(torch.equal, whole.parameters(), other.parameters()))
    if fault == "no room":
        assert "MB are free" in told.why and bookmark_names.names(tmp_path) == []
    else:
        assert told.asked == "a bookmark of the recovery after step 3" and told.why == os.strerror(28)
        assert bookmark_names.names(tmp_path) == ["000005-tuned-7", "000004-tuned-6"]
    assert not list(tmp_path.glob(".*"))


def test_bookmarks_take_a_sixtieth_of_the_time_and_are_ten_seconds_apart(tmp_path, monkeypatch):
    """Each waits by how long the last one took, the first by its size."""
    monkeypatch.delenv(VARIABLE)
    now = [0.0]
    paced = Bookmarks(tmp_path, {"arm": "tuned"}, clock=lambda: now[0])

    def soon(at: float) -> bool:
        now[0] = at
        return paced.due(1)

    paced.begin(size=1000)
    assert not soon(FLOOR - 0.1) and soon(FLOOR)
    paced.begin(size=2 * 10**9)  # ten seconds' writing
    assert not soon(600 + FLOOR - 0.1) and soon(600 + FLOOR)
    monkeypatch.setattr(paced, "_write", lambda *given: now.__setitem__(0, now[0] + 0.5))
    paced.write(1, {}, {})
    wrote = now[0]
    assert paced.spent == 0.5 and not soon(wrote + 0.5 / SHARE - 0.1) and soon(wrote + 0.5 / SHARE)


@pytest.mark.parametrize("words", ["0", "-3", "often", "²"])
def test_a_number_of_steps_that_is_none_is_refused(words, tmp_path, monkeypatch):
    """In one sentence that names the variable."""
    monkeypatch.setenv(VARIABLE, words)
    with pytest.raises(BadInput, match=f"^{VARIABLE} is '{words}'; give it a number of steps"):
        shelf(tmp_path)


def test_a_bookmark_says_what_it_is_of_in_plain_json(tmp_path):
    """For who looks at the folder."""
    until(training(model_of(0), tmp_path), 1)
    plain = json.loads((tmp_path / "000001-tuned-1" / "state.json").read_text())
    assert (plain["arm"], plain["step"], plain["part"], plain["stepper"]["pace"]) == ("tuned", 1, 1, 1.0)
    assert plain["watch"]["lowest"] is None  # which nobody asked for: no infinity in JSON
