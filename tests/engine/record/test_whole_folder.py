"""Tests of engine/record/whole_folder.py with real processes, killed at every moment at which a folder changes its place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.record.whole_folder import put_whole

ROOT = Path(__file__).parents[3]
# Writes "after" to the folder, and kills itself before the rename of that number, from 0; with 2 once all is done.
DIE = """
import os, sys
from pathlib import Path
from engine.record.whole_folder import put_whole
folder, when, renames, rename = Path(sys.argv[1]), int(sys.argv[2]), [], os.rename
def count(*paths):
    if len(renames) == when:
        os.kill(os.getpid(), 9)
    renames.append(paths)
    rename(*paths)
os.rename = count
put_whole(folder, lambda place: (place / "word").write_text("after"))
"""


def word(folder: Path) -> str:
    """What is in the folder."""
    return (folder / "word").read_text()


def die(folder: Path, when: int) -> None:
    """A process that writes the folder and is killed at that moment."""
    done = subprocess.run([sys.executable, "-c", DIE, str(folder), str(when)], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == (0 if when == 2 else -9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that is there already; its name means something to a glob."""
    place = tmp_path / "model [1]"
    put_whole(place, lambda new: (new / "word").write_text("before"))
    return place


@pytest.mark.parametrize(("when", "before"), [(0, "before"), (1, "before"), (2, "after")])
def test_the_next_writer_clears_away_what_a_killed_one_left_and_puts_back_what_it_had_moved(when, before, folder):
    """Also where that next one fails itself: what was there before is there again."""
    die(folder, when)

    def fail(new: Path) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        put_whole(folder, fail)
    assert word(folder) == before and os.listdir(folder.parent) == [folder.name]
    put_whole(folder, lambda new: (new / "word").write_text("at last"))
    assert word(folder) == "at last" and os.listdir(folder.parent) == [folder.name]


def test_a_writer_that_is_at_work_is_left_alone(folder):
    """Two write to one place at once: each is whole, and the later one stays."""

    def slowly(new: Path) -> None:
        (new / "word").write_text("slow")
        put_whole(folder, lambda other: (other / "word").write_text("quick"))
        assert word(folder) == "quick"

    put_whole(folder, slowly)
    assert word(folder) == "slow" and os.listdir(folder.parent) == [folder.name]


def test_a_writer_that_was_killed_before_it_had_its_lock_leaves_nothing_for_long(folder):
    """Its folder is empty; one that is not, and has no lock, may be anybody's."""
    for name in (".model [1]-abcdefgh", ".model [1]-ijklmnop"):
        (folder.parent / name).mkdir()
    (folder.parent / ".model [1]-ijklmnop" / "mine").touch()
    put_whole(folder, lambda new: (new / "word").write_text("after"))
    assert sorted(os.listdir(folder.parent)) == [".model [1]-ijklmnop", folder.name]


def test_folders_of_other_names_are_left_alone(folder):
    """Whatever they are called."""
    for name in (".model [1]-mine", ".model 1-abc", ".other-abc"):
        (folder.parent / name).mkdir()
    put_whole(folder, lambda new: (new / "word").write_text("after"))
    assert len(os.listdir(folder.parent)) == 4
