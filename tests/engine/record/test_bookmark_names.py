"""Tests of engine/record/bookmark_names.py: bookmarks are told by their names."""

from engine.record import bookmark_names


def test_the_newest_is_the_one_with_the_highest_number(tmp_path):
    """Of any width; what is no bookmark is none."""
    assert bookmark_names.names(tmp_path / "nowhere") == [] and bookmark_names.reached(tmp_path) is None
    assert bookmark_names.name_of(tmp_path, "tuned", 5) == "000001-tuned-5"
    for name in ("999999-tuned-9", "1000000-control-3", "000002-tuned-8", ".writing-x-y", "000001-other-1", "notes"):
        (tmp_path / name).mkdir()
    assert bookmark_names.names(tmp_path) == ["1000000-control-3", "999999-tuned-9", "000002-tuned-8"]
    assert bookmark_names.reached(tmp_path) == ("control", 3)
    assert bookmark_names.name_of(tmp_path, "control", 4) == "1000001-control-4"


def test_released_ones_are_gone_and_checkpoints_are_not(tmp_path):
    """Also where there are none."""
    folder = bookmark_names.folder_of(tmp_path / "checkpoints")
    (folder / "000001-tuned-5").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-000001").mkdir()
    for _ in range(2):
        bookmark_names.release(tmp_path)
        assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000001"]
