"""Makes what was asked for and hands it to the browser, which draws the charts' pictures itself; keeps nothing."""

import re
from collections.abc import Sequence

from engine.record.errors import BadInput
from engine.record.figure import as_sentence
from engine.record.recipe import Recipe
from widgets import export
from widgets.beyond import beyond_the_recipe
from widgets.browser import Browser
from widgets.comparer import cells_of
from widgets.panels.model import why_not
from widgets.view import View

SWEPT = ("cells", "front")  # the cards that are charts


def deliver(what: str, view: View, browser: Browser, charts: Sequence[str]) -> None:
    """Hand over "events", "recipe", "charts", "everything" or "model" of a run; or the "csv", "json" or "charts" of the sweep on
    the page ("sweep-csv"), of an experiment or of the runs that stand side by side. Raises `BadInput` where there is none."""
    of, _, kind = what.partition("-")
    if kind:
        {"sweep": _deliver_sweep, "experiment": _deliver_experiment, "runs": _deliver_runs}[of](kind, view, browser)
        return
    name = view.folder.name
    if what == "events":
        browser.keep(f"{name}-events.csv", export.events_csv(view.folder))
    elif what == "recipe":
        browser.keep(f"{name}-recipe.json", export.recipe_json(_recipe(view)))
    elif what == "charts":
        browser.keep_charts(f"{name}-", charts)
    elif what == "everything":
        recipe = _recipe(view)
        lines = f"# {beyond_the_recipe(view)}\n\n{export.command_line(recipe)}\n\n{export.python_line(recipe)}\n"
        files = {
            "events.csv": export.events_csv(view.folder),
            "recipe.json": export.recipe_json(recipe),
            "again.txt": lines.encode(),
        }
        browser.keep_archive(f"{name}.zip", files, charts)
    elif why_not(view):
        raise BadInput(why_not(view))
    else:
        folder = view.folder / view.state.standing.saved.folder
        browser.keep(f"{name}-model.zip", export.folder_archive(folder))


def _deliver_sweep(what: str, view: View, browser: Browser) -> None:
    state, name = view.sweeps.state, view.sweeps.chosen
    if state is None:
        raise BadInput("There is no sweep on the page; start one first.")
    if what == "csv":
        browser.keep(f"{name}-cells.csv", export.cells_csv(state))
    elif what == "json":
        browser.keep(f"{name}-sweep.json", export.sweep_json(state))
    else:
        browser.keep_charts(f"{name}-", SWEPT)


def _deliver_experiment(what: str, view: View, browser: Browser) -> None:
    tried = view.tried
    if tried.table is None:
        raise BadInput("Nothing of this experiment was measured yet; start it first.")
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{tried.name}-{tried.model}-{tried.form}")
    if what == "charts":
        browser.keep_charts(f"{name}-", ("question",))
    elif what == "json":
        told = {each: getattr(tried, each) for each in ("name", "model", "form", "shipped")}
        told["answer"] = " ".join(map(as_sentence, tried.answer))
        browser.keep(f"{name}.json", export.experiment_json(told, tried.table, tried.states))
    else:
        browser.keep(f"{name}.csv", export.table(tried.table.head, tried.table.rows, "csv"))


def _deliver_runs(what: str, view: View, browser: Browser) -> None:
    runs = view.compared.shown
    if not runs:
        raise BadInput("There is no run to compare yet; prune a model first.")
    if what == "charts":
        browser.keep_charts("espalier-", ("compare",))
    else:
        browser.keep(f"espalier-runs.{what}", export.table(*cells_of(runs), what))


def _recipe(view: View) -> Recipe:
    if view.recipe is None:
        raise BadInput("The controls say nothing that could be done; put right the value that is marked first.")
    return view.recipe
