"""Tests of engine/experimenting.py and of its command, with an experiment of their own on a tiny model."""

import csv
import shutil
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.experimenting import experimenting, gathered
from engine.record.catalogue import EXPERIMENTS
from engine.record.cells import SweepCellDone
from engine.record.errors import BadInput
from engine.record.registry import Registry
from engine.record.result import read_result
from engine.record.swept import open_sweep
from engine.record.trial import folder_of
from engine.results.__main__ import main as results


@pytest.fixture
def model(model_folder, text_file, tmp_path, monkeypatch) -> str:
    """The tiny model with its text beside it; there is one experiment, which asks for both."""
    folder = Path(__file__).parent / "tried"
    own = Registry("experiment", "tests.engine.tried", folder)
    for name in ("folder", "package", "entries"):
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
    events, seen = experimenting("levels", model, "short", folder), 0
    for event in events:
        seen += isinstance(event, SweepCellDone)
        if seen == 2:
            break
    events.close()
    part = gathered("levels", model, "short", folder)
    assert (part.done, part.asked, list(part.found)) == (2, 5, ["of neurons"])
    assert open_sweep(folder_of(folder, "of neurons")).status == "stopped"
    assert len(cells(experimenting("levels", model, "short", folder))) == 3
    whole = gathered("levels", model, "short", folder)
    assert whole.done == 5 and list(whole.found) == ["of neurons", "of heads"]
    assert cells(experimenting("levels", model, "short", folder)) == []
    with pytest.raises(BadInput, match="holds another sweep"):
        gathered("levels", model, "full", folder)


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


def test_an_unknown_experiment_or_model_is_refused_at_once(model, capsys):
    """With status 2, the nearest name, and before anything is loaded."""
    assert main(["experiment", "level"]) == 2 and "did you mean 'levels'?" in capsys.readouterr().err
    assert main(["experiment", "levels", "--model", "gpt3-tiny"]) == 2 and "did you mean 'gpt2-tiny'?" in capsys.readouterr().err
