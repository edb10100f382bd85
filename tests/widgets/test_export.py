"""What can be taken away: tables, recipes, lines that do it again, archives; and the scripts that hand them over."""

import base64
import csv
import io
import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from engine.record import events as tell
from engine.record.folder import Writer, create
from engine.record.recipe import Recipe, Schedule, Tuning
from engine.record.sweep import sweep_of
from tests.widgets.sweeps.swept import TWO, swept
from widgets import export
from widgets.browser import Browser

ODD = Recipe(
    neurons=Schedule(level=0.5, shape="custom", blocks=(0.1, 0.2, 0.3)), prompt="It's “€5” & <b>\\n\n", tuning=Tuning(steps=3)
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with three events."""
    folder = create(Recipe(), tmp_path / "run")
    writer = Writer(folder / "events.jsonl", clock=lambda: 5.0)
    for fact in (
        tell.StepTrained("tuned", 1, 2, 3.5, 0.1),
        tell.Undone(None),
        tell.TextSampled("baseline", 'a,"b"\n', 0, ("a",), (None,), 1),
    ):
        writer.append(fact)
    writer.close()
    return folder


def test_every_event_is_a_row_of_the_table(run: Path) -> None:
    """Numbers as they are, lists as JSON, commas and quotes kept apart; read back by the standard library."""
    rows = list(csv.DictReader(io.StringIO(export.events_csv(run).decode(), newline="")))
    assert [row["event"] for row in rows] == ["StepTrained", "Undone", "TextSampled"]
    assert float(rows[0]["loss"]) == 3.5
    assert rows[2]["prompt"] == 'a,"b"\n' and json.loads(rows[2]["surprises"]) == [None]
    assert rows[1]["loss"] == ""


@pytest.mark.parametrize("recipe", [Recipe(), ODD])
def test_a_recipe_is_written_as_the_command_line_reads_it(recipe: Recipe) -> None:
    """There and back."""
    assert Recipe.model_validate_json(export.recipe_json(recipe)) == recipe


@pytest.mark.parametrize("recipe", [Recipe(), ODD])
def test_the_line_for_the_shell_carries_the_recipe(recipe: Recipe) -> None:
    """Run by a real shell, with an apostrophe, a line break and a backslash in the prompt: what arrives is the recipe."""
    line, _, engine = export.command_line(recipe).rpartition(" | ")
    arrived = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert engine == "python -m engine run -"
    assert Recipe.model_validate_json(arrived) == recipe


@pytest.mark.parametrize("recipe", [Recipe(), ODD])
def test_the_line_of_python_makes_the_recipe(recipe: Recipe) -> None:
    """What stands inside Recipe(...) is evaluated and compared; the rest of the line imports what it uses."""
    line = export.python_line(recipe)
    inside = re.search(r"Recipe\((.*)\)\)\)$", line).group(1)
    assert eval(f"Recipe({inside})", {"Recipe": Recipe}) == recipe
    assert line.startswith("from engine import Recipe, run; ")


def test_an_archive_holds_the_files_of_a_folder(run: Path) -> None:
    """Files alone, under their own names."""
    (run / "artifacts").mkdir()
    with zipfile.ZipFile(io.BytesIO(export.folder_archive(run))) as archive:
        assert set(archive.namelist()) == {"events.jsonl", "recipe.json"}
        assert archive.read("recipe.json") == (run / "recipe.json").read_bytes()


def test_a_download_travels_as_script_that_holds_nothing_but_values() -> None:
    """The bytes are base64, and a name that tries to be script stays a string."""
    browser = Browser()
    browser.keep("a');alert(1);('.csv", b"\xff\x00</script>")
    script = browser.widget.children[-1].outputs[0]["data"]["application/javascript"]
    assert base64.b64encode(b"\xff\x00</script>").decode() in script
    assert json.dumps("a');alert(1);('.csv") in script
    assert "</script>" not in script


def test_the_address_line_follows_the_run() -> None:
    """Without loading the page again."""
    browser = Browser()
    browser.address('?run=a"b')
    assert 'pathname + "?run=a\\"b"' in browser.widget.children[-1].outputs[0]["data"]["application/javascript"]


def test_every_cell_of_a_sweep_is_a_row_of_the_table() -> None:
    """With what it sets, what came of it, and nothing where nothing was measured; a list is JSON."""
    state = swept(TWO, many=5, failing=0)
    rows = list(csv.DictReader(io.StringIO(export.cells_csv(state).decode())))
    assert len(rows) == 6 and [row["status"] for row in rows].count("waiting") == 1
    assert rows[0]["error"] == "It is <b>too</b> much." and rows[0]["perplexity"] == ""
    assert {row["criterion"] for row in rows} == {"random", "taylor"} and float(rows[1]["perplexity baseline"]) == 100.0
    assert rows[1]["parameters"].isdecimal()


def test_a_sweep_is_handed_over_as_it_can_be_carried_out_again() -> None:
    """With every cell beside it."""
    plain = json.loads(export.sweep_json(swept(TWO)))
    assert sweep_of(plain["sweep"]) == TWO and plain["status"] == "finished" and len(plain["cells"]) == 6
