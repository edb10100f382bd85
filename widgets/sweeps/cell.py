"""One cell of the sweep, chosen by what it sets: its perplexity, its size, or why it failed. “Load this recipe” puts its recipe
into the controls of the laboratory, as a click on a chart does; nothing is pruned before you press Prune there."""

from html import escape

import ipywidgets
from ipywidgets.widgets.widget_description import DescriptionStyle

from engine.record.cells import SweepCellDone
from engine.record.sweep import Cell
from engine.record.sweep_folder import SweepState
from widgets.badges import sentence_of
from widgets.drawing import put, short
from widgets.figures import missing_words
from widgets.grid import SEED, Axle, axles_of, rise_of, seeds_of, told, value_of, worded
from widgets.requests import LoadCell
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "A cell"
LOAD = "Load this recipe"
TIP = "Put this cell's recipe into the controls of the laboratory."


def build(theme: Theme, act: Act) -> Drawn:
    """A menu for each field of the sweep, what came of the cell that they name, and a button."""
    panel = _Cell(act)
    return Drawn(panel.widget, panel.draw)


def is_wanted(view: View) -> bool:
    """Where there is a sweep."""
    return view.sweeps.state is not None


class _Cell:
    """The widgets of the panel, and the sweep that they speak of."""

    def __init__(self, act: Act):
        self.act = act
        self.state: SweepState | None = None
        self.axles: tuple[Axle, ...] = ()
        self.loaded: int | None = None
        self._drawing, self._last = False, ""
        self.menus: list[ipywidgets.Dropdown] = []
        self.row = ipywidgets.Box()
        self.row.add_class("esp-buttons")
        self.button = ipywidgets.Button(description=LOAD, tooltip=TIP, layout={"width": "auto"})
        self.button.on_click(lambda _: self._load())
        self.says = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([self.row, self.says])
        self.widget.add_class("esp-cell")

    def draw(self, view: View) -> None:
        """Offer the values of the sweep's fields, and follow a click on a chart."""
        sweeps = view.sweeps
        if sweeps.state is None:
            self.state = None
            return
        another = self.state is None or sweeps.state.sweep is not self.state.sweep
        self.state = sweeps.state
        if another:
            self._offer()
        if sweeps.loaded is not None and (another or sweeps.loaded != self.loaded):
            self._follow(sweeps.loaded)
        self.loaded = sweeps.loaded
        kind = "esp-refusal" if sweeps.cell_refused else "esp-says"
        self._last = f'<div role="status" class="{kind}">{escape(sweeps.cell_said)}</div>' if sweeps.cell_said else ""
        self._tell()

    def _offer(self) -> None:
        """A menu for each field that takes several values; one for the seeds, where there are several."""
        sweep = self.state.sweep
        self.axles = axles_of(sweep)
        if len(sweep.seeds) > 1 and all(each.field != SEED for each in self.axles):
            self.axles = (*self.axles, seeds_of(sweep))
        style, layout = DescriptionStyle(description_width="initial"), ipywidgets.Layout(width="auto", max_width="100%")
        self.menus = []
        for each in self.axles:
            options = [(worded(each.field, value), number) for number, value in enumerate(each.values)]
            menu = ipywidgets.Dropdown(description=each.label, options=options, value=0, style=style, layout=layout)
            menu.observe(lambda _: self._moved(), "value")
            self.menus.append(menu)
        self.row.children = (*self.menus, self.button)
        self._follow(sweep.cells[0].number)  # of draws of two fields the least values may not meet

    def _follow(self, number: int) -> None:
        cell = next((cell for cell in self.state.sweep.cells if cell.number == number), None)
        if cell is not None:
            self._drawing = True
            for menu, each in zip(self.menus, self.axles, strict=True):
                put(menu, value=each.place(cell))
            self._drawing = False

    def _moved(self) -> None:
        if not self._drawing and self.state is not None:
            self._tell()

    def _named(self) -> Cell | None:
        """The cell that the menus name."""
        wanted = {each.field: each.values[menu.value] for each, menu in zip(self.axles, self.menus, strict=True)}
        cells = self.state.sweep.cells
        return next((cell for cell in cells if all(value_of(cell, field) == value for field, value in wanted.items())), None)

    def _tell(self) -> None:
        cell = self._named()
        if cell is None:
            put(self.button, disabled=True)
            put(self.says, value='<p class="esp-says">The sweep has no such cell.</p>')
            return
        put(self.button, disabled=cell.recipe is None, tooltip=TIP if cell.recipe is not None else cell.error)
        found = self.state.done.get(cell.number)
        came = f"{missing_words(self.state)}." if found is None else came_of(found)
        words = f"<b>{escape(told(cell, len(self.state.sweep.seeds)))}</b>: {escape(came)}"
        put(self.says, value=f'<p class="esp-says">{words}</p>{self._last}')

    def _load(self) -> None:
        cell = self._named() if self.state is not None else None
        if cell is not None:
            self.act(LoadCell(cell.number))


def came_of(found: SweepCellDone) -> str:
    """What came of a cell, in a sentence; one more for whatever was done otherwise than asked."""
    otherwise = "".join(f" {sentence_of(each)}" for each in found.degraded)
    if found.status == "failed":
        return f"failed: {found.error}{otherwise}"
    rise, stages = rise_of(found), found.perplexities
    above = "" if rise is None else f", the loss {rise:+.3f} nats per token above the unpruned model's".replace("-", "−")
    beside = "".join(
        f", {words} {short(stages[stage])}" for stage, words in BESIDE.items() if stage in stages and len(stages) > 2
    )
    return (
        f"perplexity {short(found.perplexity)}{above}{beside}; {found.parameters:,} parameters; {found.seconds:.1f} s.{otherwise}"
    )


BESIDE = {"pruned": "before training", "control": "the control"}
