"""Tests of engine/__main__.py: exit statuses, what goes to stdout, and one line on stderr for everything that goes wrong."""

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.record.catalogue import models
from engine.record.claim import take_lock
from engine.record.client import Client, open_run
from engine.record.commands import Evaluate, Stop, Tune
from engine.record.folder import Writer, create, post
from engine.record.lifecycle import CommandStarted, RunStarted
from engine.record.live import live_runs
from engine.record.recipe import Recipe
from engine.record.run_list import LiveRun

ROOT = Path(__file__).parents[2]
KEYS = {"status", "recipe", "family", "device", "parameters", "perplexity", "protocol", "degradations", "seconds"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """Runs of these tests lie nowhere else."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def written(recipe, tmp_path) -> Path:
    """The tiny recipe as a file, without a recovery."""
    path = tmp_path / "recipe.json"
    path.write_text(recipe.model_copy(update={"tuning": recipe.tuning.model_copy(update={"steps": 0})}).model_dump_json())
    return path


def last_line(capsys: pytest.CaptureFixture) -> str:
    """The line of stderr that says why; no traceback comes before it."""
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.splitlines()[-1]


def test_the_catalogue_is_listed_for_programs_and_for_people(capsys):
    """Name, family, parameters, source and whether a network is needed."""
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in listed] == [model.name for model in models()]
    assert set(listed[0]) == {"name", "family", "parameters", "source", "ready", "needs", "size", "heads", "groups"}
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(listed) and "124,439,808" in next(line for line in lines if line.startswith("gpt2 "))


def test_a_run_goes_to_its_end_and_says_where_it_is(written, tmp_path, capsys):
    """Status 0; the folder on stdout, everything else on stderr; `show` tells it to programs and to people."""
    assert main(["run", str(written), "--folder", str(tmp_path / "run"), "--set", "neurons.level=0.5", "seed=3"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'run'}\n"
    assert "perplexity baseline:" in err and "perplexity cut:" in err
    assert main(["show", str(tmp_path / "run"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert KEYS <= set(told)
    assert told["status"] == "finished" and told["recipe"]["seed"] == 3 and told["recipe"]["neurons"]["level"] == 0.5
    assert told["perplexity"]["tuned"] is told["perplexity"]["control"] is None
    assert all(told["perplexity"][stage] > 1 for stage in ("baseline", "pruned", "cut"))
    assert told["parameters"]["after"] < told["parameters"]["before"] and told["protocol"]["sequence_length"] == 32
    assert main(["show", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.startswith("finished: ")


def test_a_run_without_a_folder_gets_one_at_home(written, home, capsys, monkeypatch):
    """A new one for each run; the recipe may come from standard input."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(written.read_text()))
    assert main(["run", "-", "--set", "cut=false"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder.parent == home / "runs" and open_run(folder).status == "finished"


BAD = {
    '{"modle": 1}': "field 'modle' is not known (did you mean 'model'?)",
    '{"heads": {"level": 1.5}}': "heads.level 1.5 is not allowed; it takes a number from 0 to 1.",
    '{"heads": {"level": NaN}}': "heads.level nan is not allowed",
    '{"prompt": ""}': "prompt '' is empty",
    "": "The recipe is not JSON",
    "[" * 100_000: "The recipe is not JSON",
    '{"seed": ' + "9" * 10_000 + "}": "The recipe is not JSON",
    '{"corpus": {"train": "x"}}': "must name exactly three paths",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
@pytest.mark.parametrize("changes", [[], ["--set", "cut=true"]], ids=["plain", "set"])
def test_a_bad_recipe_has_status_2_and_one_line(text, changes, tmp_path, home, capsys):
    """And makes no run."""
    (tmp_path / "bad.json").write_text(text)
    assert main(["run", str(tmp_path / "bad.json"), *changes]) == 2
    said = capsys.readouterr().err
    assert BAD[text] in said
    assert said.startswith("espalier: ") and said.count("\n") == 1 and len(said) < 600
    assert not home.exists()


@pytest.mark.parametrize("change", ["heads.levle=1", "heads.level=2", "nothing", "seed.x=1", "criterion=activaton"])
def test_a_bad_change_has_status_2_too(change, written, home, capsys):
    """The sentence names the field that was to be changed."""
    assert main(["run", str(written), "--set", change]) == 2
    assert change.partition("=")[0].split(".")[0] in last_line(capsys)
    assert not home.exists()


def test_a_recipe_that_cannot_be_read_has_status_2(tmp_path, capsys):
    """No file, a folder, no text."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory"), (tmp_path / "binary", "not UTF-8")):
        assert main(["run", str(path)]) == 2
        assert why in last_line(capsys)


TURNS_OUT_BAD = {
    f"corpus=file:{ROOT / '.gitignore'}": "is too short",
    f"model={ROOT}": "config.json",
}


@pytest.mark.parametrize("change", TURNS_OUT_BAD)
def test_a_recipe_that_turns_out_impossible_has_status_2(change, written, tmp_path, capsys):
    """The field and the value are named, and the run says that it failed."""
    assert main(["run", str(written), "--folder", str(tmp_path / "run"), "--set", change]) == 2
    assert TURNS_OUT_BAD[change] in last_line(capsys)
    assert open_run(tmp_path / "run").status == "failed"


def test_a_folder_with_a_run_in_it_has_status_2(written, tmp_path, capsys):
    """It is left as it was."""
    create(Recipe(), tmp_path / "run")
    before = sorted((path.name, path.read_bytes()) for path in (tmp_path / "run").iterdir())
    assert main(["run", str(written), "--folder", str(tmp_path / "run")]) == 2
    assert "holds a run already" in last_line(capsys)
    assert sorted((path.name, path.read_bytes()) for path in (tmp_path / "run").iterdir()) == before


def test_a_run_that_was_stopped_has_status_1(written, tmp_path, capsys, monkeypatch):
    """Somebody posted Stop from elsewhere; the line says where what was done lies."""
    real = sys.stderr

    class Stopping(io.StringIO):
        """Posts a Stop as soon as anything is printed."""

        def write(self, text: str) -> int:
            """As any stream, with that beside."""
            post(tmp_path / "run", Stop())
            return real.write(text)

    monkeypatch.setattr(sys, "stderr", Stopping())
    assert main(["run", str(written), "--folder", str(tmp_path / "run")]) == 1
    monkeypatch.undo()
    assert last_line(capsys) == f"espalier: Stopped; what was done so far is in {tmp_path / 'run'}."
    assert open_run(tmp_path / "run").status == "stopped"


def test_a_run_in_whose_folder_something_is_in_the_way_can_go_on(written, tmp_path, capsys, monkeypatch):
    """Once that is taken away: here it is a file where the folder is to be that the scores go to."""

    class Blocking(io.StringIO):
        """Puts a file in the way as soon as anything is printed."""

        def write(self, text: str) -> int:
            """As any stream, with that beside."""
            (tmp_path / "run" / "artifacts").touch()
            return super().write(text)

    monkeypatch.setattr(sys, "stderr", Blocking())
    assert main(["run", str(written), "--folder", str(tmp_path / "run")]) == 1
    *_, said = sys.stderr.getvalue().splitlines()
    assert "could not be written to disk (File exists); see that it can be written there" in said
    assert said.endswith(f"with runs --resume {tmp_path / 'run'}.") and open_run(tmp_path / "run").failure is None


def test_a_run_that_breaks_has_status_1_and_one_line(written, tmp_path, capsys, monkeypatch):
    """The run says what it was."""

    def broken(*_):
        raise RuntimeError("something new happened")

    monkeypatch.setattr("torch.optim.AdamW.step", broken)
    assert main(["run", str(written), "--set", "tuning.steps=2", "--folder", str(tmp_path / "run")]) == 1
    state = open_run(tmp_path / "run")
    assert last_line(capsys) == "espalier: RuntimeError: something new happened"
    assert state.status == "failed" and state.failure.reason == "RuntimeError: something new happened"


def test_an_interrupted_run_can_be_resumed_or_ended(written, tmp_path, capsys, monkeypatch):
    """Ctrl-C: one line, status 1, and a run that is not over until that is said; no process is woken to end it."""

    class Interrupting(io.StringIO):
        """Ctrl-C as soon as anything is printed."""

        def write(self, text: str) -> int:
            """Once."""
            monkeypatch.undo()
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stderr", Interrupting())
    assert main(["run", str(written), "--folder", str(tmp_path / "run")]) == 1
    how = f"with runs --resume {tmp_path / 'run'}; runs --stop {tmp_path / 'run'} ends it."
    assert last_line(capsys) == f"espalier: Interrupted. The run goes on from its last checkpoint or bookmark {how}"
    assert [run.awake for run in live_runs(tmp_path)] == [False]
    assert main(["runs", "--stop", str(tmp_path / "run")]) == 0
    assert open_run(tmp_path / "run").status == "stopped" and live_runs(tmp_path) == []


def test_live_runs_are_listed_for_programs_and_for_people(home, capsys):
    """Those that are not over; what cannot be stopped or resumed has status 2 and one line."""
    folder = create(Recipe())
    assert main(["runs", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert set(told) == {field.name for field in fields(LiveRun)}
    assert (told["name"], told["state"], told["awake"], told["folder"]) == (folder.name, "nothing to do", False, str(folder))
    assert main(["runs"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert all(word in line for word in (folder.name, "gpt2-tiny", "not begun", "asleep", "nothing to do", str(folder)))
    for how, why in (("--stop", "there is nothing to stop"), ("--resume", "nothing to go on with")):
        assert main(["runs", how, folder.name]) == 2
        assert why in last_line(capsys)
    assert main(["runs", "--stop", "nowhere"]) == 2
    assert "is not in" in last_line(capsys)


def test_a_run_is_deleted_once_that_is_confirmed(home, capsys, monkeypatch):
    """By a word typed or by --yes; without either, or with nobody there to ask, it stays."""
    folder = create(Recipe())
    for typed, status in (("\n", 1), ("no\n", 1), ("", 2)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        assert main(["runs", "--discard", folder.name]) == status
        assert "was not deleted" in last_line(capsys) and (folder / "recipe.json").is_file()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main(["runs", "--discard", folder.name]) == 0 and not folder.exists()
    other = create(Recipe())
    assert main(["runs", "--discard", other.name, "--yes", "--json"]) == 0 and not other.exists()
    assert main(["runs", "--discard", str(other), "--yes"]) == 2
    assert "is not in" in last_line(capsys)


def test_a_run_of_the_command_line_is_live_and_can_be_stopped(written, tmp_path, capsys, monkeypatch):
    """It holds its folder while it lasts, so that no page wakes a worker beside it, and gives it back."""
    seen = []

    class Stopping(io.StringIO):
        """Looks, and asks for a stop, as soon as anything is printed."""

        def write(self, text: str) -> int:
            """Once."""
            if not seen:
                seen.append(Client(tmp_path / "run").is_awake())
                seen.extend(live_runs(tmp_path))
                post(tmp_path / "run", Stop())
            return len(text)

    monkeypatch.setattr(sys, "stderr", Stopping())
    assert main(["run", str(written), "--folder", str(tmp_path / "run")]) == 1
    monkeypatch.undo()
    awake, run = seen
    assert awake and run.awake and run.worker == os.getpid() and run.state.startswith("doing ")
    assert not Client(tmp_path / "run").is_awake() and live_runs(tmp_path) == []


def test_show_refuses_what_is_no_run(tmp_path, capsys):
    """With status 2."""
    assert main(["show", str(tmp_path)]) == 2
    assert "holds no run" in last_line(capsys)


def test_show_tells_a_run_that_has_not_begun(home, capsys):
    """Its recipe, and null for all that was not measured."""
    folder = create(Recipe(seed=5))
    assert main(["show", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "new" and told["recipe"]["seed"] == 5 and set(told["perplexity"].values()) == {None}


def test_show_calls_no_run_busy_that_nobody_carries_out(home, capsys):
    """It looks who holds it, and whether something waits."""
    folder = create(Recipe())
    for command, started in ((Evaluate("baseline"), False), (Tune(), True)):
        post(folder, command)
        with closing(Writer(folder / "events.jsonl")) as record:
            record.append(CommandStarted(1, "Tune") if started else RunStarted({"model": "m", "corpus": "text"}, "1"))
        assert main(["show", str(folder)]) == 0
        assert capsys.readouterr().out.startswith(f"interrupted{' in Tune' * started}, asleep: m on text\n")
    assert take_lock(folder) and main(["show", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "busy"


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "[" * 100_000, '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}'], ids=range(7)
)
def test_show_refuses_a_recipe_that_is_none(text, tmp_path, capsys):
    """Whatever lies there, in one sentence."""
    (tmp_path / "recipe.json").write_text(text)
    for how in ([], ["--json"]):
        assert main(["show", str(tmp_path), *how]) == 2
        assert "holds no run" in last_line(capsys)


def test_show_refuses_events_that_cannot_be_read(tmp_path, capsys):
    """A folder has taken their place."""
    create(Recipe(), tmp_path / "run")
    (tmp_path / "run" / "events.jsonl").mkdir()
    assert main(["show", str(tmp_path / "run"), "--json"]) == 2
    assert "events cannot be read: Is a directory" in last_line(capsys)


@pytest.mark.parametrize("arguments", [[], ["prune"], ["run"], ["show"]])
def test_bad_arguments_have_status_2(arguments, capsys):
    """As argparse says it."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and "usage: python -m engine" in capsys.readouterr().err


def test_the_command_line_comes_up_without_torch(home):
    """Listing models and showing a run take no seconds; also as a process of its own."""
    folder = create(Recipe())
    code = "import sys; from engine.__main__ import main\n"
    code += "assert main(['models', '--json']) == main(['runs']) == main(['show', sys.argv[1], '--json']) == 0\n"
    code += "assert not {'torch', 'transformers', 'datasets', 'gensim'} & set(sys.modules), sorted(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    bad = subprocess.run(
        [sys.executable, "-m", "engine", "show", "/nowhere"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert bad.returncode == 2 and bad.stderr.count("\n") == 1


@pytest.mark.parametrize("dense", [[], ["--dense"]])
def test_the_model_of_a_run_is_exported(dense, written, tmp_path, capsys):
    """Status 0; the folder on stdout, what lies there on stderr."""
    main(["run", str(written), "--folder", str(tmp_path / "run")])
    capsys.readouterr()
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "out"), *dense]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'out'}\n" and "parameters" in err and ("zeros" in err) == bool(dense)
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_an_export_that_is_impossible_has_one_line(written, recipe, tmp_path, capsys):
    """Status 2 for arguments that cannot be used, 1 for a run that has nothing to give or whose files are broken."""
    assert main(["export", str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 2
    assert "holds no run" in last_line(capsys)
    create(recipe, tmp_path / "early")
    assert main(["export", str(tmp_path / "early"), str(tmp_path / "out")]) == 1
    assert last_line(capsys).startswith("espalier: The run 'early' has no pruned model yet")
    main(["run", str(written), "--folder", str(tmp_path / "run")])
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "run")]) == 2
    assert last_line(capsys).endswith("is not empty; name a new folder.")
    assert main(["export", str(tmp_path / "run"), str(written)]) == 2
    assert last_line(capsys).endswith("is not empty; name a new folder.")
    assert main(["export", str(tmp_path / "run"), str(written / "out")]) == 1
    assert "could not be written to disk (File exists); see that it can be written there" in last_line(capsys)
    (tmp_path / "run" / "model" / "pruning.json").write_text("{")
    for state in (tmp_path / "run" / "checkpoints").glob("*/state.json"):
        state.write_text("{")
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "out")]) == 1
    assert "its state.json is not JSON" in last_line(capsys) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_an_export_that_is_interrupted_says_so_in_one_line(told, tmp_path):
    """By Ctrl-C or by whoever ends it: here while it reads the recipe, a pipe."""
    pipe = tmp_path / "run" / "recipe.json"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    line = [sys.executable, "-m", "engine", "export", str(pipe.parent), str(tmp_path / "out")]
    with subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        with pipe.open("w"):  # as soon as it is read; and closed at once, lest what was told come just before the reading
            process.send_signal(told)
        said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (1, "espalier: Interrupted; nothing is left of what was not finished.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_full_disk_ends_a_run_and_an_export_in_one_line_each(written, recipe, tmp_path, capsys, monkeypatch):
    """Nothing half written is left; the run can be resumed, which a worker does, and says so."""
    folder = tmp_path / "run"
    monkeypatch.setenv("ESPALIER_FAULTS", "log@20x9, export@1")
    assert main(["run", str(written), "--folder", str(folder)]) == 1
    why = "What happens in the run could not be written to disk (No space left on device); make room there and ask again."
    how = "The run goes on from its last checkpoint or bookmark with runs --resume"
    assert last_line(capsys) == f"espalier: {why} {how} {folder}."
    state = open_run(folder)
    assert not state.is_over and state.events == 19 and not (folder / "lock.json").exists()
    monkeypatch.setenv("ESPALIER_FAULTS", "export@1")
    folder = tmp_path / "whole"
    assert main(["run", str(written), "--folder", str(folder)]) == 1
    why = "What Save makes could not be written to disk (No space left on device); make room there and ask again."
    assert last_line(capsys) == f"espalier: {why} {how} {folder}."
    state = open_run(folder)
    assert not state.is_over and state.degraded[-1].asked == "going on with Save"
    assert [path.name for path in folder.iterdir() if "model" in path.name] == []
    assert main(["export", str(folder), str(tmp_path / "out")]) == 1
    assert "out' could not be written to disk (No space left on device); make room" in last_line(capsys) and not list(
        tmp_path.glob("*out*")
    )
