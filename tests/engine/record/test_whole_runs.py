"""Tests of engine/record/whole_runs.py without a worker: a run is made with all that is asked, known again, ended asleep."""

import errno
import math
import os
from pathlib import Path

import pytest

from engine.record import commands as ask
from engine.record.bookmark_names import folder_of
from engine.record.claim import is_held
from engine.record.client import is_waiting, open_run
from engine.record.disk import Unwritten
from engine.record.errors import BadInput
from engine.record.folder import Tail, Writer, create, is_over, list_runs, post, read_events
from engine.record.lifecycle import (
    CommandFinished,
    CommandRefused,
    CommandStarted,
    CommandStopped,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
)
from engine.record.line import TORN, encode
from engine.record.live import live_runs, resume, stop
from engine.record.recipe import Recipe
from engine.record.run_list import listed
from engine.record.whole_runs import asked_at_once, begin, end_of, is_whole, known_end, stop_asleep

ASKED = (*ask.commands_of(Recipe()), ask.Finish(whole=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that is one recipe, whose process died in its recovery, with a bookmark."""
    claim = begin(Recipe(), tmp_path / "runs" / "one", ASKED)
    folder = claim.folder
    writer = Writer(folder / "events.jsonl")
    for event in (RunStarted({"model": "gpt2-tiny"}, "1", len(ASKED)), CommandStarted(7, "Tune")):
        writer.append(event)
    writer.close()
    (folder_of(folder / "checkpoints") / "000001-tuned-5").mkdir(parents=True)
    claim.release()
    return folder


def test_a_run_is_made_with_all_that_is_asked_or_not_at_all(tmp_path):
    """Whoever dies before the last command is written leaves no run, which can be begun again in the same place."""
    folder = tmp_path / "one"
    with pytest.raises(ValueError, match="not JSON"):
        begin(Recipe(), folder, (*ASKED[:3], ask.SetGate(0, math.nan, False), *ASKED[3:]))
    assert list_runs(tmp_path) == [] and not (folder / "commands.jsonl").exists() and not is_held(folder)
    begin(Recipe(), folder, ASKED)
    assert tuple(stamped.fact for stamped in Tail(folder / "commands.jsonl").read()) == ASKED
    assert is_held(folder) and {path.name for path in folder.iterdir()} == {"commands.jsonl", "lock.json", "recipe.json"}


def test_a_folder_that_another_process_makes_a_run_in_is_refused(tmp_path):
    """Whichever comes second, also before the first has written its recipe."""
    begin(Recipe(), tmp_path / "one", ASKED)
    with pytest.raises(BadInput, match="holds a run already"):
        begin(Recipe(), tmp_path / "one", ASKED)
    (tmp_path / "one" / "recipe.json").unlink()
    with pytest.raises(BadInput, match="is held by another process"):
        begin(Recipe(), tmp_path / "one", ASKED)


def test_a_run_that_is_one_recipe_is_known_by_its_folder(folder, tmp_path):
    """A page's run is none, also once it is asked to finish."""
    other = create(Recipe(), tmp_path / "other")
    writer = Writer(other / "commands.jsonl")
    for command in (*ASKED[:-1], ask.Finish()):
        writer.append(command)
    writer.close()
    assert is_whole(folder) and not is_whole(other) and not is_whole(tmp_path / "none")


def posted(place: int) -> bytes:
    """The line of one more command, asked by somebody who counts so many lines."""
    return encode(ask.Evaluate("pruned"), "command", place, 5.0)


def gone(line: int) -> str:
    """What is said of a line of what the run began with."""
    return f"line {line} of commands.jsonl is gone, of {len(ASKED)} that the run began with"


@pytest.mark.parametrize(
    ("left", "why"),
    [
        (lambda lines: lines[:7], gone(8)),
        (lambda lines: lines[:-1], gone(len(ASKED))),
        (lambda lines: [*lines[:-1], lines[-1][:20]], gone(len(ASKED))),
        (lambda lines: [*lines[:-1], lines[-1][:20], TORN, posted(len(ASKED))], gone(len(ASKED))),
        (lambda lines: [*lines[:-1], posted(len(ASKED) - 1)], gone(len(ASKED))),
        (lambda lines: lines[:6] + lines[7:], "line 7 of commands.jsonl is gone, or not in its place"),
        (lambda lines: lines[4:], "lines 1 to 4 of commands.jsonl are gone, or not in their places"),
        (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], "line 5 of commands.jsonl is gone, or not in its place"),
        (lambda lines: [*lines[:6], lines[7], *lines[7:]], "line 7 of commands.jsonl is gone, or not in its place"),
        (lambda lines: [*lines[:8], lines[7], *lines[9:]], "line 9 of commands.jsonl is a copy of line 8"),
        (lambda lines: [*lines[:8], lines[7], *lines[8:]], "line 9 of commands.jsonl is a copy of line 8"),
        (lambda lines: [*lines[:-1], lines[-1].replace(b"Finish", b"Finisj")], ""),  # refused in its turn
        (lambda lines: [*lines, posted(len(ASKED))], ""),
    ],
    ids=[
        *(
            "cut",
            "without its end",
            "torn",
            "torn and gone on with",
            "gone on with",
            "without one",
            "without the first",
            "swapped",
        ),
        *("another twice", "twice, another gone", "twice", "damaged", "whole"),
    ],
)
def test_one_that_has_lost_what_was_asked_ends_in_one_sentence(folder, left, why):
    """It is known by the record, and does not become a run of the page, that idles for ever; one that began before the record
    knew how much was asked is known by what is there."""
    path = folder / "commands.jsonl"
    path.write_bytes(b"".join(left(path.read_bytes().splitlines(keepends=True))))
    end = RunFailed(f"The run cannot go on: {why}; start a new run.") if why else None
    assert is_whole(folder) and known_end(folder, read_events(folder)) == end
    writer = Writer(folder / "events.jsonl")
    writer.append(CommandFinished(len(ASKED) - 2, "Save"))  # all but the end
    writer.close()
    assert is_waiting(folder) and listed(folder).waiting


def test_a_run_of_the_page_whose_commands_are_not_in_their_places_ends_too(tmp_path):
    """Its record names them by their places, and whoever goes on would take one for another; several who ask at once may have
    counted the same lines."""
    folder = create(Recipe(), tmp_path / "page")
    for command in ASKED[:4]:
        post(folder, command)
    path = folder / "commands.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, posted(4), encode(ask.Reset(), "command", 4, 5.0)]))
    assert known_end(folder, ()) is None
    path.write_bytes(b"".join(lines[:1] + lines[2:]))
    why = "The run cannot go on: line 2 of commands.jsonl is gone, or not in its place; start a new run."
    assert known_end(folder, ()) == RunFailed(why)


def test_a_run_whose_last_line_is_damaged_has_finished_where_nothing_else_was_left(folder):
    """One in which something was left to do, or that was to be stopped, is not ended like that."""
    path, all_done = folder / "events.jsonl", CommandFinished(len(ASKED) - 2, "Save")
    for last, end in ((CommandFinished(7, "Tune"), None), (all_done, RunFinished())):
        writer = Writer(path)
        for event in (last, RunFinished()):
            writer.append(event)
        writer.close()
        assert is_over(folder)
        path.write_bytes(path.read_bytes().replace(b"RunFinished", b"RunFinishee"))
        assert not is_over(folder) and known_end(folder, read_events(folder)) == end
    assert is_waiting(folder)
    post(folder, ask.Stop())
    assert known_end(folder, read_events(folder)) is None


def test_the_record_of_an_earlier_version_is_read(folder):
    """It does not say how much was asked: that is what is there."""
    (folder / "events.jsonl").write_bytes(b'{"seq": 0, "at": 0.0, "event": "RunStarted", "recipe": {}, "version": "0"}\n')
    assert is_whole(folder) and asked_at_once(folder) == len(ASKED) and known_end(folder, read_events(folder)) is None
    path = folder / "commands.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert not is_whole(folder)


def test_it_ends_where_one_of_its_commands_is_refused_or_stopped():
    """Failed with the same reason and field, or stopped."""
    assert end_of(CommandRefused(3, "Score", "criterion", "It cannot be.")) == RunFailed("It cannot be.", "criterion")
    assert end_of(CommandStopped(3, "Score")) == RunStopped() and end_of(CommandFinished(3, "Score")) is None


def test_it_is_ended_while_it_sleeps(folder):
    """Nothing is woken for it: the record has its end, the bookmarks go, and it is in no list of what can go on."""
    assert live_runs(folder.parent)[0].state == "interrupted in Tune"
    assert stop(folder) == "one is over: stopped."
    assert [stamped.fact for stamped in read_events(folder)[-2:]] == [CommandStopped(7, "Tune"), RunStopped()]
    assert open_run(folder).status == "stopped" and live_runs(folder.parent) == []
    assert not is_held(folder) and not folder_of(folder / "checkpoints").exists() and not (folder / "worker.log").exists()
    with pytest.raises(BadInput, match="is over: it has stopped"):
        resume(folder)


def test_where_the_disk_takes_no_lock_its_end_is_refused_in_a_sentence(folder, monkeypatch):
    """And it has not ended."""

    def no_room(path, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("engine.record.claim.write_atomic", no_room)
    with pytest.raises(Unwritten, match="^The end of the run could not be written to disk"):
        stop_asleep(folder, open_run(folder))
    assert not is_over(folder)
