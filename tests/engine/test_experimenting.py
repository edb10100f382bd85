"""Tests of engine/experimenting.py and of its command, with an experiment of their own on a tiny model."""

import csv
import resource
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.experimenting import experimenting, gathered, take_over
from engine.record.catalogue import EXPERIMENTS
from engine.record.cells import SweepCellDone
from engine.record.claim import is_held
from engine.record.detached import start_apart
from engine.record.errors import BadInput
from engine.record.experiment_folder import folder_of
from engine.record.lifecycle import RunFinished
from engine.record.registry import Registry
from engine.record.result import as_json, read_result
from engine.record.running_sweeps import stop
from engine.record.sweep_folder import open_sweep
from engine.results.__main__ import main as results


@pytest.fixture
def model(model_folder, text_file, tmp_path, monkeypatch) -> str:
    """The tiny model with its text beside it; there is one experiment, which asks for both."""
    folder = Path(__file__).parent / "tried"
    own = Registry("experiment", "tests.engine.tried", folder)
    for name in ("entries", "folder", "package"):  # the entries first, while what is kept of them to come back is right
        monkeypatch.setattr(EXPERIMENTS, name, getattr(own, name))
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    shutil.copytree(model_folder, tmp_path / "garden")
    shutil.copy(text_file, tmp_path / "garden" / "text.txt")
    return str(tmp_path / "garden")


def cells(events) -> list[SweepCellDone]:
    """What came of the cells."""
    return [event for event in events if isinstance(event, SweepCellDone)]


def test_an_experiment_stopped_goes_on_where_it_was(model, tmp_path):
    """Each sweep in a folder of its own; no cell is measured twice, and what is there so far can be asked for."""
    folder = tmp_path / "tried"
    assert gathered("levels", model, "short", folder).at is None, "no day, where nothing was measured"
    events, seen = experimenting("levels", model, "short", folder), 0
    for event in events:
        seen += isinstance(event, SweepCellDone)
        if seen == 2:
            break
    events.close()
    part = gathered("levels", model, "short", folder)
    assert (part.done, part.asked, list(part.found)) == (2, 5, ["of neurons"]) and len(part.at) == 10
    assert open_sweep(folder_of(folder, "of neurons")).status == "stopped"
    assert len(cells(experimenting("levels", model, "short", folder))) == 3
    whole = gathered("levels", model, "short", folder)
    assert whole.done == 5 and list(whole.found) == ["of neurons", "of heads"]
    assert cells(experimenting("levels", model, "short", folder)) == []
    with pytest.raises(BadInput, match="holds another sweep"):
        gathered("levels", model, "full", folder)


def test_an_experiment_is_held_by_one_process_from_its_first_event_to_its_last(model, tmp_path):
    """Also where one sweep is over and the next has not begun; it cannot be begun twice."""
    folder = tmp_path / "tried"
    events = experimenting("levels", model, "short", folder)
    next(events)
    with pytest.raises(BadInput, match="in use by process"):
        next(experimenting("levels", model, "short", folder))
    over = 0
    for event in events:
        over += isinstance(event, RunFinished)
        assert is_held(folder)
    assert over == 2 and not is_held(folder)


def test_an_experiment_that_is_still_reading_its_libraries_ends_when_it_is_told_to(tmp_path):
    """Without a word, and the next one finds the folder free."""
    folder = tmp_path / "sensitivity"
    process = start_apart(["-m", "engine", "experiment", "sensitivity", "--folder", str(folder)], tmp_path / "log", "The log")
    while not is_held(folder) and process.poll() is None:
        time.sleep(0.02)
    stop(folder)
    assert process.wait(60) == -signal.SIGTERM and (tmp_path / "log").read_text() == "" and not is_held(folder)


def test_the_command_prints_the_answer_the_table_and_its_files(model, tmp_path, capsys):
    """And again at once, since nothing is left to do; without a name it lists what there is."""
    for _ in range(2):
        assert main(["experiment", "levels", "--model", model]) == 0
        told = capsys.readouterr().out
        assert "The levels cost something." in told and ", short form: 5 of 5 cells" in told
        files = [Path(line) for line in told.splitlines() if line.endswith((".json", ".csv", ".svg"))]
        assert {file.name for file in files} >= {"result.json", "table.csv"} and all(file.is_file() for file in files)
    result = read_result(files[0])
    rows = list(csv.reader(files[1].read_text().splitlines()))
    assert rows[0] == ["level", "perplexity"] and len(rows) == 4
    assert [float(row[1]) for row in rows[1:]] == pytest.approx([cell.perplexity for cell in result.found["of neurons"].values()])
    assert main(["experiment"]) == 0 and capsys.readouterr().out.split() == ["levels", "Some", "levels"]


def test_a_full_disk_ends_an_experiment_in_a_sentence_that_says_how_it_goes_on(model, tmp_path, capsys, monkeypatch):
    """By the same command in the same folder; what is done by then is answered, where that too cannot be written as well."""
    folder, asked = tmp_path / "tried", ["experiment", "levels", "--model", model, "--folder", str(tmp_path / "tried")]
    monkeypatch.setenv("ESPALIER_FAULTS", "log@5x9")  # the second cell's
    assert main(asked) == 1
    told = capsys.readouterr()
    why = "What happens in the run could not be written to disk (No space left on device); make room there and ask again."
    how = f"What is done is in {folder}; the same command goes on from there, with --folder {folder}."
    assert told.err.splitlines()[-1] == f"espalier: {why} {how}" and "1 of 5 cells" in told.out
    monkeypatch.delenv("ESPALIER_FAULTS")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # enough for the lock
    try:
        assert main(asked) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    told = capsys.readouterr()
    assert told.err.splitlines()[-1].startswith("espalier: The result could not be written to disk (File too large);")
    assert "1 of 5 cells" in told.out
    assert main(asked) == 0 and "5 of 5 cells" in capsys.readouterr().out


def test_results_are_measured_and_become_the_page(model, tmp_path):
    """A second time nothing is measured, and the page is the same; nor is it where nobody asks for it."""
    docs, asked = tmp_path / "docs", ["--model", model, "--experiment", "levels", "--docs", str(tmp_path / "docs")]
    pages = []
    for run in (["--run"], ["--run"], []):
        assert results([*run, *asked]) == 0
        pages.append((docs / "results.md").read_text())
        told = "".join(path.read_text() for path in (tmp_path / "home").rglob("events.jsonl"))
        assert told.count("SweepCellDone") == 5
    (file,) = (docs / "results").glob("levels-*.json")
    assert read_result(file).done == 5 and (docs / "results" / "levels-levels.svg").is_file()
    assert "The levels cost something." in pages[0] and len(set(pages)) == 1


def test_what_a_result_file_has_is_not_measured_again(model, tmp_path, monkeypatch):
    """On another machine, whose folders are empty: those cells stay as they are, with what they were measured with and on."""
    asked = ["--run", "--model", model, "--experiment", "levels", "--docs", str(tmp_path / "docs")]
    assert results(asked) == 0
    (file,) = (tmp_path / "docs" / "results").glob("levels-*.json")
    whole = read_result(file)
    kept = {"of neurons": {1: replace(whole.found["of neurons"][1], perplexity=7.0, perplexities={"pruned": 7.0})}}
    file.write_text(as_json(replace(whole, machine="another machine", found=kept)))
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "elsewhere"))
    assert results(asked) == 0
    again = read_result(file)
    assert again.done == 5 and again.machine == f"another machine; {whole.machine}"
    assert again.found["of neurons"][1].perplexity == 7.0
    others = {**whole.found["of neurons"], 1: again.found["of neurons"][1]}
    assert {number: cell.perplexity for number, cell in again.found["of neurons"].items()} == {
        number: cell.perplexity for number, cell in others.items()
    }
    take_over(replace(whole, form="full"), tmp_path / "other")  # its cells are of other recipes than the form has
    assert not (tmp_path / "other").exists()


def test_a_short_result_takes_the_place_of_a_full_one_only_where_that_is_asked_for(model, tmp_path, capsys):
    """Else the file stays as it is, by name, and nothing is measured; a full one is measured anew."""
    asked = ["--run", "--model", model, "--experiment", "levels", "--docs", str(tmp_path / "docs")]
    for more, form in (
        (["--form", "full"], "full"),
        ([], "full"),
        (["--replace"], "short"),
        ([], "short"),
        (["--form", "full"], "full"),
    ):
        assert results([*asked, *more]) == 0
        (file,) = (tmp_path / "docs" / "results").glob("levels-*.json")
        assert read_result(file).form == form
        assert (f"{file} stays as it is: it has the full form" in capsys.readouterr().err) == (form == "full" and not more)


def test_an_unknown_experiment_or_model_is_refused_at_once(model, capsys):
    """With status 2, the nearest name, and before anything is loaded."""
    assert main(["experiment", "level"]) == 2 and "did you mean 'levels'?" in capsys.readouterr().err
    assert main(["experiment", "levels", "--model", "gpt3-tiny"]) == 2 and "did you mean 'gpt2-tiny'?" in capsys.readouterr().err
