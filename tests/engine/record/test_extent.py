"""Tests of engine/record/extent.py: what lies beside a record says how far it had come."""

import torch

from engine.record.bookmark_names import folder_of
from engine.record.extent import lines_of, lost_end
from engine.recovery import checkpoints
from engine.recovery.bookmarks import Bookmarks
from engine.recovery.checkpoints import LOADED


def test_a_record_that_is_shorter_than_it_was_has_lost_its_end(tmp_path):
    """By the most lines that something was written at: a checkpoint, its control, a bookmark; what is damaged says nothing."""
    record, at = tmp_path / "events.jsonl", tmp_path / "checkpoints"
    assert lines_of(tmp_path) == 0 and lost_end(tmp_path, 0) == ""

    def grown(lines: int) -> None:
        record.write_bytes(b"{}\n" * lines + b"half")
        assert lines_of(tmp_path) == lines

    grown(3)
    stand = checkpoints.write(at, LOADED, {}, None)
    assert lost_end(tmp_path, 3) == "" and "had 3 lines when checkpoint step-000001 was written" in lost_end(tmp_path, 2)
    grown(7)
    Bookmarks(folder_of(at), {"arm": "tuned"}).write(5, {}, {"weights": {"a": torch.ones(2)}})
    assert lost_end(tmp_path, 7) == "" and "had 7 lines when a bookmark was written" in lost_end(tmp_path, 6)
    grown(9)
    checkpoints.add_control(at, stand, torch.nn.Linear(2, 2))
    assert lost_end(tmp_path, 9) == "" and "had 9 lines when checkpoint step-000001" in lost_end(tmp_path, 8)
    (at / "step-000001" / "state.json").write_text("{")
    assert lost_end(tmp_path, 7) == "" and "had 7 lines" in lost_end(tmp_path, 2)
