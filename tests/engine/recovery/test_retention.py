"""Tests of engine/recovery/retention.py: what an undo can reach keeps its tensors, the rest loses them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.record.disk import Unwritten
from engine.recovery import checkpoints, retention
from engine.recovery.checkpoints import LOADED, Checkpoint

ONE = {"a": torch.ones(3)}


def put(folder: Path, parent: Checkpoint, trained: bool = False) -> Checkpoint:
    """A change after another one, with tensors."""
    return checkpoints.write(folder, replace(parent, parent=parent.name or None, reason="by hand"), ONE, ONE if trained else None)


def with_tensors(folder: Path) -> list[int]:
    """The numbers of the checkpoints that still have any."""
    return sorted({int(path.parent.name[5:]) for path in folder.glob("step-*/*.safetensors")})


def test_what_was_undone_before_something_else_was_done_goes(tmp_path):
    """1 → 2, undone, → 3: no undo leads to 2 any more, and an earlier model's checkpoints are gone in the same way."""
    put(tmp_path, LOADED)  # of a model that was loaded before
    first = put(tmp_path, LOADED)
    put(tmp_path, first, trained=True)
    last = put(tmp_path, first)
    retention.tidy(tmp_path, last, {})
    assert with_tensors(tmp_path) == [2, 4]
    assert len(list(tmp_path.glob("step-*/state.json"))) == 4
    assert put(tmp_path, last).name == "step-000005", "a name is never given twice"


def test_the_line_is_kept_as_far_back_as_an_undo_goes(tmp_path):
    """64 changes, and the weights that the oldest of them stands on however old they are."""
    stand = trained = put(tmp_path, LOADED, trained=True)
    for _ in range(retention.CHANGES + 4):
        stand = put(tmp_path, stand)
    retention.tidy(tmp_path, stand, {})
    count = retention.CHANGES + 5
    assert with_tensors(tmp_path) == [1, *range(count - retention.CHANGES, count + 1)] and stand.weights == trained.name


def test_copies_of_all_weights_are_bounded(tmp_path):
    """The last eight trainings; the stand and the one before it are kept whatever they hold."""
    stand = LOADED
    for _ in range(retention.TRAINED + 3):
        stand = put(tmp_path, stand, trained=True)
    retention.tidy(tmp_path, stand, {})
    assert with_tensors(tmp_path) == list(range(4, retention.TRAINED + 4))


def test_a_damaged_state_hides_nothing_of_what_came_before_it(tmp_path):
    """The run's events still know its parent, and going back past it must find something."""
    first = put(tmp_path, LOADED)
    second = put(tmp_path, first)
    last = put(tmp_path, second)
    (tmp_path / second.name / "state.json").write_text("{")
    retention.tidy(tmp_path, last, {second.name: first.name})
    assert with_tensors(tmp_path) == [1, 3]


def test_what_a_dead_process_left_half_written_goes(tmp_path):
    """Beside a checkpoint's place, and a control beside its own."""
    last = put(tmp_path, LOADED)
    (tmp_path / ".writing-x").mkdir()
    (tmp_path / ".writing-x" / "weights.safetensors").write_bytes(b"half")
    (tmp_path / ".writing-x" / "deeper").mkdir()
    (tmp_path / ".writing-y").write_bytes(b"a file")
    (tmp_path / last.name / ".control.safetensors").write_bytes(b"half")
    retention.tidy(tmp_path, last, {})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["fitted.safetensors", "state.json", last.name]


def test_a_recovery_without_room_for_its_checkpoint_is_refused_before_it(tmp_path):
    """Rather than after a night; what is free is what the system says."""
    retention.check_room(tmp_path, 1)
    with pytest.raises(Unwritten, match=r"^The checkpoint after the recovery could not be written to disk \(it takes 1,152,9"):
        retention.check_room(tmp_path, 2**60)
