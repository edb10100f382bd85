"""Makes what was asked for and hands it to the browser, which draws the charts' pictures itself; keeps nothing."""

from collections.abc import Sequence

from engine.record.errors import BadInput
from engine.record.recipe import Recipe
from widgets import export
from widgets.beyond import beyond_the_recipe
from widgets.browser import Browser
from widgets.panels.model import why_not
from widgets.view import View


def deliver(what: str, view: View, browser: Browser, charts: Sequence[str]) -> None:
    """Hand over "events", "recipe", "charts", "everything" or "model" of a run. Raises `BadInput` where there is none."""
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


def _recipe(view: View) -> Recipe:
    if view.recipe is None:
        raise BadInput("The controls say nothing that could be done; put right the value that is marked first.")
    return view.recipe
