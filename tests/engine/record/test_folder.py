"""Tests of engine/record/folder.py on real folders: append, tail, mend, list."""

import json
import os
import re
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from engine.record import folder as files
from engine.record.client import open_run
from engine.record.commands import Pause, Resume, SetGate, Step
from engine.record.errors import BadInput
from engine.record.events import EVENTS
from engine.record.folder import (
    Tail,
    Writer,
    create,
    find_run,
    is_over,
    list_runs,
    post,
    read_commands,
    read_events,
    write_atomic,
)
from engine.record.lifecycle import (
    Degraded,
    MemorySampled,
    Progressed,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopped,
    WorkerStarted,
)
from engine.record.line import Unreadable, encode
from engine.record.recipe import Recipe


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A home of its own for every test."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def run() -> Path:
    """An empty run."""
    return create(Recipe())


def facts(path: Path) -> list:
    """What the lines of a file say."""
    return [stamped.fact for stamped in Tail(path).read()]


def write(run: Path, *events) -> None:
    """Append events and let go of the file."""
    writer = Writer(run / "events.jsonl")
    for event in events:
        writer.append(event)
    writer.close()


def test_a_run_is_named_by_time_model_and_chance(home):
    """Sorted by name they are sorted by time; two runs of one second differ."""
    first, second = create(Recipe(model="facebook/opt-125m")), create(Recipe(model="facebook/opt-125m"))
    assert first.parent == home / "runs" and first != second
    assert re.fullmatch(r"\d{8}T\d{6}Z-facebook-opt-125m-[0-9a-f]{6}", first.name)


@pytest.mark.parametrize("model", ["/some/where/" + "deep/" * 40, "../..", "///", "/ü", "/a b;c&d"])
def test_any_model_gives_a_plain_name(model):
    """A name that needs no quoting, goes nowhere and is not too long."""
    name = files.name_for(Recipe(model=model))
    assert re.fullmatch(r"\d{8}T\d{6}Z-[A-Za-z0-9][A-Za-z0-9.-]{0,39}-[0-9a-f]{6}", name), name


def test_a_run_folder_is_its_owners_alone(run):
    """Mode 0700, its files 0600."""
    write(run, RunFinished())
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in run.iterdir()} == {0o600}


def test_a_run_remembers_its_recipe(run):
    """Written as JSON, read back equal."""
    recipe = Recipe(neurons={"level": 0.5, "shape": "custom", "layers": [0.25, 0.75]}, seed=4)
    assert files.read_recipe(create(recipe)) == recipe
    assert files.plain_recipe(run) == Recipe().model_dump(mode="json")


def test_a_folder_holds_one_run_only(run):
    """The second is refused and changes nothing."""
    with pytest.raises(BadInput, match="holds a run already"):
        create(Recipe(seed=1), run)
    assert files.read_recipe(run).seed == 0


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    """A file in the way is named in one sentence."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be made"):
        create(Recipe(), tmp_path / "file" / "run")


@pytest.mark.parametrize(
    "text, why", [(None, "no recipe.json"), ("{", "is not JSON"), ('{"seed": -1}', "seed -1"), ("[]", "recipe")]
)
def test_a_folder_without_a_recipe_that_can_be_used_is_refused(tmp_path, text, why):
    """Nothing there, half a file, a recipe of another version."""
    if text is not None:
        (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(BadInput, match=why):
        files.read_recipe(tmp_path)


@pytest.mark.parametrize("text, wrong", [("", "is not JSON"), ('{"model": "gp', "is not JSON"), ("[]", "holds []")])
def test_a_recipe_that_is_damaged_is_that_of_the_record_until_it_is_written_anew(run, text, wrong):
    """The run can be shown and gone on with, and says so."""
    recipe = Recipe(seed=7)
    write(run, RunStarted(recipe.model_dump(mode="json"), "1"))
    (run / "recipe.json").write_text(text)
    said = Degraded("the recipe of recipe.json", "that of the record", f"recipe.json {wrong}")
    assert files.read_recipe(run) == recipe and open_run(run).degraded == (said,)
    assert files.mend_recipe(run) == said and json.loads((run / "recipe.json").read_text()) == recipe.model_dump(mode="json")
    assert files.mend_recipe(run) is None and open_run(run).degraded == ()


def test_lines_are_numbered_by_their_place_whoever_else_writes(run):
    """A worker that was stopped, and goes on while another one has told of it."""
    first = Writer(run / "events.jsonl")
    numbers = [first.append(RunPaused()).seq]
    write(run, RunResumed(), RunPaused())
    numbers.append(first.append(RunResumed()).seq)
    first.close()
    assert numbers == [0, 3]
    assert [json.loads(line)["seq"] for line in (run / "events.jsonl").read_bytes().splitlines()] == [0, 1, 2, 3]


def test_homes(home, monkeypatch, tmp_path):
    """ESPALIER_HOME moves runs and caches; without it they lie in the working folder and in the user's cache."""
    assert (files.home(), files.cache_home()) == (home / "runs", home / "cache")
    monkeypatch.delenv("ESPALIER_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert (files.home(), files.cache_home()) == (tmp_path / "runs", tmp_path / "cache" / "espalier")


def test_a_tail_gives_each_line_once_and_only_when_it_is_whole(run):
    """Half a line waits for its other half."""
    tail, path = Tail(run / "events.jsonl"), run / "events.jsonl"
    assert tail.read() == []
    write(run, RunPaused(), RunFinished())
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert [stamped.fact for stamped in tail.read()] == [RunPaused()]
    assert tail.read() == []
    path.write_bytes(whole)
    assert [(stamped.seq, stamped.fact) for stamped in tail.read()] == [(1, RunFinished())]
    assert tail.read() == []


def test_a_torn_last_line_is_passed_over_and_mended_by_the_next_writer(run):
    """The line that was being written is lost; the next one is not, and keeps its place in the file."""
    write(run, RunPaused())
    with open(run / "events.jsonl", "ab") as file:
        file.write(b'{"seq": 1, "at": 1.0, "event": "RunFin')
    assert facts(run / "events.jsonl") == [RunPaused()]
    assert not is_over(run)
    write(run, RunFinished())
    read = read_events(run)
    assert [(stamped.seq, stamped.fact) for stamped in read] == [(0, RunPaused()), (2, RunFinished())]
    assert is_over(run)


def test_a_writer_mends_what_another_one_tore_meanwhile(run):
    """The page's writer stays open for hours; a worker may die at any time."""
    writer = Writer(run / "events.jsonl")
    writer.append(RunPaused())
    with open(run / "events.jsonl", "ab") as file:
        file.write(b'{"torn')
    writer.append(RunFinished())
    writer.close()
    assert facts(run / "events.jsonl") == [RunPaused(), RunFinished()]


def test_a_line_that_is_damaged_is_told_with_its_number_and_a_torn_one_is_not(run):
    """Both in the middle of the file: what was torn was never said, what was changed since was."""
    write(run, RunPaused())
    with open(run / "events.jsonl", "ab") as file:
        file.write(b'{"seq": 1, "at": 1.0, "event": "CommandStarted", "x": {}')
    write(run, RunResumed(), RunFinished())
    path = run / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b"RunResumed", b"RunResumee"))
    paused, damaged, finished = Tail(path).read()
    assert (paused.fact, finished.fact, finished.seq) == (RunPaused(), RunFinished(), 3)
    assert damaged.seq == 2 and damaged.at == paused.at
    assert damaged.fact == Unreadable("", "", "line 3 of events.jsonl is not as it was written.", damaged=True)


@pytest.mark.parametrize(
    ("left", "said", "kept"),
    [
        (lambda one, two, three, four: [one, three, four], "line 2 of events.jsonl is gone, or not in its place", "RSF"),
        (lambda one, two, three, four: [four], "lines 1 to 3 of events.jsonl are gone, or not in their places", "F"),
        (lambda one, two, three, four: [one, three, two, four], "line 2 of events.jsonl is gone, or not in its place", "RSPF"),
        (lambda one, two, three, four: [one, two, two, three, four], "line 3 of events.jsonl is a copy of line 2", "RPSF"),
        (lambda one, two, three, four: [one, two, two, four], "line 3 of events.jsonl is a copy of line 2", "RPF"),
    ],
    ids=["gone", "the first gone", "swapped", "twice", "twice, another gone"],
)
def test_lines_that_are_gone_or_elsewhere_are_told_once_with_their_numbers(run, left, said, kept):
    """Whatever else is there is read, the end of the run too, and whoever shows it says so; lines without checksums, of an older
    version, are where they are."""
    names = {"R": RunResumed(), "P": RunPaused(), "S": WorkerStarted(1, 1), "F": RunFinished()}
    write(run, *(names[each] for each in "RPSF"))
    path = run / "events.jsonl"
    path.write_bytes(b"".join(left(*path.read_bytes().splitlines(keepends=True))))
    read, at_once = [], [stamped.fact for stamped in read_events(run)]
    tail = Tail(path)
    while came := tail.read(1):
        read += [stamped.fact for stamped in came]
    assert read == at_once and [fact for fact in read if not isinstance(fact, Unreadable)] == [names[each] for each in kept]
    told = [fact for fact in read if isinstance(fact, Unreadable)]
    assert told == [Unreadable("", "", f"{said}.", damaged=True, astray=True)]
    degraded = Degraded("every event of the run", "those that are there", said)
    assert is_over(run) and open_run(run).status == "finished" and open_run(run).degraded == (degraded,)
    path.write_bytes(re.sub(rb', "check": "[0-9a-f]{8}"', b"", path.read_bytes()))
    assert not any(isinstance(fact, Unreadable) for fact in facts(path))


@pytest.mark.parametrize(("what", "read"), [("events", read_events), ("commands", read_commands)])
def test_a_record_that_is_no_file_is_told_in_a_sentence(what, read, run):
    """Whoever reads it, for whatever."""
    (run / f"{what}.jsonl").unlink(missing_ok=True)
    (run / f"{what}.jsonl").mkdir()
    with pytest.raises(BadInput, match=f"holds a run whose {what} cannot be read: Is a directory.$"):
        read(run)


def test_the_beginning_of_a_run_is_found_behind_other_events(run):
    """With the recipe that it began with, and its place; there is none before the run has begun."""
    assert files.beginning(run) is None
    write(run, WorkerStarted(1, 1), RunStarted(Recipe().model_dump(mode="json"), "1"), RunPaused())
    assert files.beginning(run).fact.recipe["seed"] == 0 and files.beginning(run).seq == 1


def test_two_writers_share_a_file(run):
    """Neither overwrites the other; their numbers may meet, so the place in the file is what counts."""
    one, other = Writer(run / "commands.jsonl"), Writer(run / "commands.jsonl")
    for writer, command in ((one, Pause()), (other, Step()), (one, Resume())):
        writer.append(command)
    one.close()
    other.close()
    read = Tail(run / "commands.jsonl").read()
    assert [(stamped.seq, stamped.fact) for stamped in read] == [(0, Pause()), (1, Step()), (2, Resume())]


def test_writers_that_count_the_same_lines_damage_nothing(run):
    """Both have counted before either has written: that is no line in another's place, nor one that is there twice."""
    lines = (
        encode(command, "command", number, 1.0) for number, command in ((0, Pause()), (0, Step()), (1, Resume()), (3, Pause()))
    )
    (run / "commands.jsonl").write_bytes(b"".join(lines))
    assert facts(run / "commands.jsonl") == [Pause(), Step(), Resume(), Pause()]


def test_many_processes_may_post_at_once(run):
    """Every line arrives whole."""
    code = "import sys; from engine.record.folder import post; from engine.record.commands import SetGate\n"
    code += "for i in range(50): post(sys.argv[1], SetGate(int(sys.argv[2]), i, True))"
    root = Path(__file__).parents[3]
    posting = [subprocess.Popen([sys.executable, "-c", code, str(run), str(who)], cwd=root) for who in range(3)]
    assert [process.wait(60) for process in posting] == [0, 0, 0]
    posted = facts(run / "commands.jsonl")
    assert len(posted) == 150
    for who in range(3):
        assert [command.head for command in posted if command.layer == who] == list(range(50))


def test_the_time_is_the_writers_clock(run):
    """Stamped when the line is written."""
    times = iter([10.0, 11.5])
    writer = Writer(run / "events.jsonl", clock=lambda: next(times))
    assert [writer.append(RunPaused()).at, writer.append(RunFinished()).at] == [10.0, 11.5]
    writer.close()
    writer.close()
    assert [stamped.at for stamped in read_events(run)] == [10.0, 11.5]


def test_lines_of_unknown_classes_keep_their_place(run):
    """A newer worker may tell what this version does not know."""
    write(run, RunPaused())
    with open(run / "events.jsonl", "ab") as file:
        file.write(b'{"seq": 1, "at": 1.0, "event": "RunImagined"}\n{"seq": 2, "at": 1.0, "event": "MemorySampled"}\n')
    write(run, RunFinished())
    read = read_events(run)
    assert [stamped.seq for stamped in read] == [0, 2, 3]
    assert isinstance(read[1].fact, Unreadable)


def test_a_line_that_cannot_be_written_leaves_the_file_as_it_was(run):
    """Refused before a byte is written."""
    write(run, RunPaused())
    with pytest.raises(ValueError):
        write(run, Progressed("x", 1, float("nan"), "y"))
    write(run, RunFinished())
    assert [stamped.seq for stamped in read_events(run)] == [0, 1]


def test_a_line_that_does_not_fit_on_the_disk_is_an_error_and_is_mended(run):
    """A process that may write 200 bytes only says so; the next one closes its half line off."""
    code = "import resource, sys; from engine.record.folder import post; from engine.record.commands import Sample\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200)); post(sys.argv[1], Sample('baseline', 'x' * 500))"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code, str(run)], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "What was asked could not be written to disk (No space left on device)" in done.stderr
    assert (run / "commands.jsonl").stat().st_size == 200
    post(run, Pause())
    assert facts(run / "commands.jsonl") == [Pause()]


ENDINGS = {"RunFinished": RunFinished(), "RunStopped": RunStopped(), "RunFailed": RunFailed("why", "model")}


def test_nothing_is_written_into_a_file_that_was_deleted(run):
    """Nobody would read it: whoever writes hears of it in a sentence, and whatever is in its place is left as it is."""
    with closing(Writer(run / "events.jsonl")) as writer:
        writer.append(RunFinished())
        (run / "events.jsonl").unlink()
        for _ in range(2):
            with pytest.raises(BadInput, match=r"events\.jsonl' was deleted while something went on there;"):
                writer.append(RunFinished())
            (run / "events.jsonl").write_bytes(b"")
    assert (run / "events.jsonl").read_bytes() == b""


@pytest.mark.parametrize("name", EVENTS)
def test_a_run_is_over_after_its_last_event_and_no_other(name, run):
    """Whatever came before, however long the file."""
    assert not is_over(run)
    write(run, WorkerStarted(1, 1))
    assert not is_over(run)
    with open(run / "events.jsonl", "ab") as file:
        file.write(b'{"seq": 0, "at": 1.0, "event": "RunImagined", "x": "' + b"y" * 70_000 + b'"}\n')
    write(run, ENDINGS.get(name, MemorySampled(1, 2, 3, None, None)))
    assert is_over(run) == (name in ENDINGS)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    """Text that cannot be encoded leaves the old file, and nothing beside it."""
    path = tmp_path / "file.json"
    write_atomic(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "new \ud800")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    write_atomic(path, "new")
    assert path.read_text() == "new"


def test_whoever_interrupts_a_writing_leaves_the_old_file_alone(tmp_path, monkeypatch):
    """With nothing beside it."""
    path = tmp_path / "file.json"
    write_atomic(path, "old")

    def interrupted(*paths: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_runs_are_listed_newest_first(home):
    """By their names, which begin with the time; folders without a recipe are none."""
    assert list_runs() == []
    for name in ("20260101T000000Z-a-000000", "20270101T000000Z-a-000000", "20260601T000000Z-a-000000"):
        create(Recipe(), home / "runs" / name)
    (home / "runs" / "99999999-notes").mkdir()
    assert [run.name[:6] for run in list_runs()] == ["202701", "202606", "202601"]
    assert find_run("20260601T000000Z-a-000000") == home / "runs" / "20260601T000000Z-a-000000"


@pytest.mark.parametrize("name", ["", ".", "..", "../secret", "secret", "/etc", "a/../b", "\0", "x" * 5000, "*", "nothing"])
def test_no_name_leads_out_of_the_home(home, run, name):
    """A folder beside the runs is none of them, even where it holds a recipe."""
    create(Recipe(), home / "secret")
    create(Recipe(), home)
    with pytest.raises(BadInput, match="^run .* is not in "):
        find_run(name)


def test_post_appends_a_command(run):
    """One line each, numbered by place."""
    post(run, Pause())
    post(run, SetGate(0, 1, open=False))
    assert facts(run / "commands.jsonl") == [Pause(), SetGate(0, 1, open=False)]
