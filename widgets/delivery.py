"""Makes what was asked for and hands it to the browser; a picture of a chart comes back from the browser, and takes a moment."""

import time
from collections.abc import Callable, Mapping

import bqplot

from engine.record.errors import BadInput
from widgets import export
from widgets.browser import Browser
from widgets.panels.model import why_not
from widgets.view import View

PATIENCE = 8.0  # seconds for the browser to draw its pictures


class Delivery:
    """`deliver` and, in each tick, `settle` are called by the pump; `arrived`, from any thread, when a picture is in."""

    def __init__(self, browser: Browser, arrived: Callable[[], None], clock: Callable[[], float] = time.monotonic):
        self.figures: Mapping[str, bqplot.Figure] = {}
        self._browser, self._arrived, self._clock = browser, arrived, clock
        self._files: dict[str, bytes] | None = None  # of the archive that waits for its pictures
        self._pictures: dict[str, bytes] = {}
        self._until = 0.0
        self._name = ""

    def deliver(self, what: str, view: View) -> None:
        """Hand over "events", "recipe", "charts", "everything" or "model". Raises `BadInput` where there is nothing to hand."""
        self._name = view.folder.name
        if what == "events":
            self._browser.keep(f"{self._name}-events.csv", export.events_csv(view.folder))
        elif what == "recipe":
            self._browser.keep(f"{self._name}-recipe.json", export.recipe_json(_recipe(view)))
        elif what == "charts":
            for name, figure in self.figures.items():
                figure.save_png(f"{self._name}-{name}.png")
        elif what == "everything":
            self._gather(view)
        elif why_not(view):
            raise BadInput(why_not(view))
        else:
            folder = view.folder / view.state.standing.saved.folder
            self._browser.keep(f"{self._name}-model.zip", export.folder_archive(folder))

    def settle(self) -> str:
        """Hand over the archive once its pictures are in; a sentence about pictures that did not come, else ""."""
        if self._files is None or (len(self._pictures) < len(self.figures) and self._clock() < self._until):
            return ""
        missing = [name for name in self.figures if name not in self._pictures]
        files = self._files | {f"charts/{name}.png": picture for name, picture in self._pictures.items()}
        self._files = None
        self._browser.keep(f"{self._name}.zip", export.archive(files))
        return f"The browser gave no picture of {', '.join(missing)}; the archive came without." if missing else ""

    def _gather(self, view: View) -> None:
        recipe = _recipe(view)
        lines = f"{export.command_line(recipe)}\n\n{export.python_line(recipe)}\n"
        self._files = {
            "events.csv": export.events_csv(view.folder),
            "recipe.json": export.recipe_json(recipe),
            "again.txt": lines.encode(),
        }
        self._pictures, self._until = {}, self._clock() + PATIENCE
        for name, figure in self.figures.items():
            # A figure that never answered an earlier call would refuse this one.
            figure._upload_png_callback = None
            figure.get_png_data(lambda picture, name=name: self._take(name, picture))

    def _take(self, name: str, picture: bytes | memoryview) -> None:
        self._pictures[name] = bytes(picture)
        self._arrived()


def _recipe(view: View):
    if view.recipe is None:
        raise BadInput("The controls say nothing that could be done; put right the value that is marked first.")
    return view.recipe
