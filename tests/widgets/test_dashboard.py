"""The whole page, built without a browser: every chart and panel is on it, and the downloads come out of it."""

import base64
import io
import json
import re
import zipfile
from pathlib import Path

import ipywidgets
import pytest

from engine.record import events as tell
from engine.record.recipe import Recipe
from tests.widgets.page import RECIPE, asked, asleep, gates, measured, opened, tell_run
from widgets.address import Address
from widgets.charts import CHARTS
from widgets.dashboard import Dashboard
from widgets.panels import PANELS
from widgets.requests import Download
from widgets.theme import DARK, LIGHT


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    """A page on a run that was pruned; no worker is behind it."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    client = asleep(RECIPE)
    tell_run(client, *opened(), gates(), measured("pruned", 60.0))
    page = Dashboard(Address(run=client.name))
    page.pump.tick()
    return page


def parts(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    """A widget and all that is inside it."""
    inside = widget.children if isinstance(widget, ipywidgets.Box) else ()
    return [widget, *(each for child in inside for each in parts(child))]


def press(page: Dashboard, name: str) -> None:
    """Press a button of the page, and let the pump see to it."""
    next(each for each in parts(page.widget) if isinstance(each, ipywidgets.Button) and each.description == name).click()
    page.pump.tick()


def script(page: Dashboard) -> str:
    """What was last sent to the browser."""
    return page.widget.children[-1].children[-1].outputs[0]["data"]["application/javascript"]


def content(page: Dashboard) -> bytes:
    """The file that was last handed over."""
    return base64.b64decode(json.loads(script(page).rsplit("pictures.bytes(", 1)[1].split("),")[0]))


def test_every_chart_and_panel_stands_on_the_page(page: Dashboard) -> None:
    """With its title and its help, each once."""
    headings = [each.value for each in parts(page.widget) if isinstance(each, ipywidgets.HTML) and '"esp-heading"' in each.value]
    for registry in (CHARTS, PANELS):
        for name in registry.names():
            assert sum(f"<h2>{registry.entry(name).facts['TITLE']}</h2>" in heading for heading in headings) == 1
    assert len(headings) == len(CHARTS.names()) + len(PANELS.names())


def test_a_help_is_for_people_and_has_a_name_of_its_own(page: Dashboard) -> None:
    """What a file says of itself to those who work on it stays in the file; and no two help buttons are called alike."""
    headings = [each.value for each in parts(page.widget) if isinstance(each, ipywidgets.HTML) and '"esp-heading"' in each.value]
    names = [re.search('aria-label="(Help: [^"]+)"', heading)[1] for heading in headings]
    assert len(set(names)) == len(headings) and "Help: Importance of heads" in names
    for heading in headings:
        assert "knows no" not in heading and heading.count('<details class="esp-help" name="esp-help">') == 1
    assert "knows no criterion" in CHARTS.entry("importance").help


def test_the_page_shows_itself_in_a_notebook(page: Dashboard) -> None:
    """As the last line of a cell."""
    assert "application/vnd.jupyter.widget-view+json" in page._repr_mimebundle_()


def test_the_footer_says_where_runs_and_where_caches_lie(page: Dashboard, tmp_path: Path) -> None:
    """Two folders; and that the hub's models lie in neither."""
    (foot,) = [each.value for each in parts(page.widget) if isinstance(each, ipywidgets.HTML) and "<footer" in each.value]
    assert f"<code>{tmp_path / 'runs'}</code>" in foot and f"<code>{tmp_path / 'cache'}</code>" in foot
    assert "hub's own cache" in foot


@pytest.mark.parametrize(("name", "theme"), [("light", LIGHT), ("dark", DARK)])
def test_the_theme_of_the_address_dresses_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, theme) -> None:
    """Colours come once, as variables; the link leads to the other theme."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    client = asleep(Recipe())
    page = Dashboard(Address(theme=name, run=client.name))
    head = page.widget.children[0].children[0].value
    assert f"--esp-accent: {theme.accent}" in head
    assert ("theme=dark" in head) == (name == "light")


def test_the_recipe_and_the_events_are_handed_over_as_files(page: Dashboard) -> None:
    """Named after the run."""
    press(page, "Recipe (JSON)")
    assert Recipe.model_validate_json(content(page)) == RECIPE
    assert f"{page.pump.session.client.name}-recipe.json" in script(page)
    press(page, "Events (CSV)")
    assert content(page).startswith(b"seq,at,event,")


def test_everything_is_handed_over_with_the_charts_to_draw(page: Dashboard) -> None:
    """The browser draws every chart and packs it with the files that are given along."""
    press(page, "Everything (zip)")
    said = script(page)
    assert f"...await pictures.drawAll({json.dumps(CHARTS.names())}, 'charts/')" in said
    for name in ("events.csv", "recipe.json", "again.txt"):
        assert f'["{name}", pictures.bytes(' in said
    assert "pictures.save(" in said and f"{page.pump.session.client.name}.zip" in said


def test_the_charts_are_drawn_by_the_browser_and_named_after_the_run(page: Dashboard) -> None:
    """One picture each."""
    press(page, "Charts (PNG)")
    assert f'pictures.drawAll({json.dumps(CHARTS.names())}, "{page.pump.session.client.name}-")' in script(page)


def test_the_form_is_named_by_a_script_that_no_download_replaces(page: Dashboard) -> None:
    """A second view of the page, as JupyterLab may open, runs it too."""
    press(page, "Events (CSV)")
    names, scripts = page.widget.children[-1].children
    assert "aria-label" in names.outputs[0]["data"]["application/javascript"]
    assert "aria-label" not in scripts.outputs[0]["data"]["application/javascript"]


def test_a_smaller_model_that_is_not_there_is_not_handed_over(page: Dashboard) -> None:
    """Its button is grey, and whoever asks all the same gets a sentence."""
    button = next(
        each for each in parts(page.widget) if isinstance(each, ipywidgets.Button) and each.description == "Smaller model (zip)"
    )
    assert button.disabled and "first" in button.tooltip
    page.pump.act(Download("model"))
    page.pump.tick()
    assert "first" in page.pump.transport._status.value


def test_a_smaller_model_is_shown_beside_the_dense_one_and_handed_over(page: Dashboard) -> None:
    """Parameters, bytes, milliseconds with their ratios, the path, the line of Python, the files in a zip."""
    client = page.pump.session.client
    (client.folder / "model").mkdir()
    (client.folder / "model" / "model.safetensors").write_bytes(b"weights")
    cut = tell.ModelCut(1000, 600, 4000, 2400, (tell.Latency(1, 256, 0.010, 0.006, 5),), 1e-6)
    tell_run(client, cut, tell.ModelSaved("model", 7))
    page.pump.tick()
    shown = " ".join(each.value for each in parts(page.widget) if isinstance(each, ipywidgets.HTML))
    for words in ("1,000", "0.60", "10.0 ms", "6.0 ms", str(client.folder / "model"), "load_pruned("):
        assert words in shown
    press(page, "Smaller model (zip)")
    with zipfile.ZipFile(io.BytesIO(content(page))) as archive:
        assert archive.read("model.safetensors") == b"weights"


def test_the_last_run_is_offered_and_can_be_continued(page: Dashboard) -> None:
    """The newest one in which something was changed, not the one on the page."""
    earlier = asleep(RECIPE)
    (earlier.folder / "checkpoints" / "step-000001").mkdir(parents=True)
    tell_run(earlier, *opened())
    newest = asleep(RECIPE)
    again = Dashboard(Address(run=newest.name))
    press(again, "Continue the last run")
    again.pump.tick()
    assert again.pump.session.client.name == earlier.name
    assert asked(newest) == []
