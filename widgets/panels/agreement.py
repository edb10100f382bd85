"""How alike the criteria rank the units inside a layer: 1 where two of them rank alike, 0 where they have nothing in common,
below 0 where one keeps what the other takes. Heads stand above the diagonal, neurons below it, each the mean over the layers; the
fuller a cell, the more the two agree. Look for a cheap one that agrees with a dear one, and for those that agree with random.
A criterion may agree with no other and still be the best: only perplexity tells."""

from html import escape

import ipywidgets

from engine.record.agreement import CriteriaCompared, RankCorrelation
from engine.record.catalogue import CRITERIA
from engine.record.commands import Agree
from widgets.drawing import put
from widgets.theme import Theme
from widgets.view import Act, Drawn, View
from widgets.words import not_free, not_sayable

TITLE = "Do the criteria agree?"
SLOW = "many passes"  # a cost that nobody pays without asking for it
FULL = 55  # percent of a kind's colour behind a correlation of 1; more would be too dark to read on
NONE = "Not compared yet."
OUTDATED = "What was compared were other weights: the model has been trained since, or taken back. Compare again."


def build(theme: Theme, act: Act) -> Drawn:
    """A table, and the buttons that ask for it, which are made once a model is there: the page's first paint waits for none."""
    panel = _Agreement(act)
    return Drawn(panel.widget, panel.draw)


def quick() -> tuple[str, ...]:
    """The criteria that score a model in a pass or two."""
    return tuple(name for name, entry in CRITERIA.entries.items() if entry.facts["COST"] != SLOW)


class _Agreement:
    """The widgets of the panel, and the view that they show, by whose recipe the criteria are compared."""

    def __init__(self, act: Act):
        self.act = act
        self.shown: View | None = None
        self.table: ipywidgets.HTML | None = None  # until there is a model
        self.buttons: dict[ipywidgets.Button, str] = {}
        self.widget = ipywidgets.VBox([])

    def draw(self, view: View) -> None:
        """Show what was compared, and whether it can be asked for now."""
        self.shown = view
        if self.table is None:
            if view.state.model is None:
                return
            self._make()
        put(self.table, value=_table(view.state.compared, OUTDATED if "compared" in view.state.outdated else NONE))
        reason = not_free(view) or not_sayable(view)
        for button, tip in self.buttons.items():
            put(button, disabled=bool(reason), tooltip=reason or tip)

    def _make(self) -> None:
        look = {"layout": ipywidgets.Layout(width="auto"), "style": ipywidgets.ButtonStyle()}
        rest = [name for name in CRITERIA.names() if name not in quick()]
        for words, tip, criteria in (
            ("Compare the criteria", f"Score every unit by {len(quick())} criteria, on the calibration text.", quick()),
            (f"Compare with {' and '.join(rest)} (slow)", "The same with those that take many passes.", CRITERIA.names()),
        ):
            button = ipywidgets.Button(description=words, tooltip=tip, **look)
            button.on_click(lambda _, criteria=criteria: self._ask(criteria))
            self.buttons[button] = tip
        row = ipywidgets.Box(tuple(self.buttons))
        row.add_class("esp-buttons")
        self.table = ipywidgets.HTML()
        self.widget.children = (row, self.table)

    def _ask(self, criteria: tuple[str, ...]) -> None:
        if self.shown is not None and self.shown.recipe is not None:
            recipe = self.shown.recipe
            self.act(Agree(criteria, recipe.calibration, recipe.seed))


def _table(compared: CriteriaCompared | None, nothing: str) -> str:
    if compared is None:
        return f'<p class="esp-says esp-none">{nothing}</p>'
    found = {(kind, *pair): one for one in compared.correlations for kind in [one.kind] for pair in _both(one)}
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in compared.criteria)
    rows = []
    for row, name in enumerate(compared.criteria):
        cells = [
            _cell(found, "heads" if row < column else "neurons", name, other) for column, other in enumerate(compared.criteria)
        ]
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>')
    return (
        f'<table class="esp-agree"><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f'<p class="esp-says">{_summary(compared)}</p>'
    )


def _both(one: RankCorrelation) -> tuple[tuple[str, str], tuple[str, str]]:
    return (one.one, one.other), (one.other, one.one)


def _cell(found: dict, kind: str, name: str, other: str) -> str:
    if name == other:
        return "<td></td>"
    one = found.get((kind, name, other))
    if one is None or one.correlation is None:
        why = f"{name} and {other}, {kind}: " + ("no layer in which both tell units apart" if one else "not scored by both")
        return f'<td class="esp-none" title="{escape(why)}">–</td>'
    says = f"{name} and {other}, {kind}: {one.correlation:.3f}, the mean of {one.layers} layers"
    full = round(FULL * max(0.0, one.correlation))
    text = f"{round(one.correlation, 2) + 0.0:.2f}".replace("-", "−")  # with no −0.00
    return f'<td class="esp-{kind}" style="--full:{full}%" title="{escape(says)}">{text}</td>'


def _summary(compared: CriteriaCompared) -> str:
    said = []
    for kind in ("heads", "neurons"):
        known = [one for one in compared.correlations if one.kind == kind and one.correlation is not None]
        if known:
            most, least = max(known, key=_size), min(known, key=_size)
            said.append(f"On {kind} {_pair(most)} are most alike, {_pair(least)} least.")
    said.append(f"Compared on {compared.tokens:,} tokens of the calibration text, the model as it was before pruning.")
    return escape(" ".join(said))


def _size(one: RankCorrelation) -> float:
    return one.correlation or 0.0


def _pair(one: RankCorrelation) -> str:
    return f"{one.one} and {one.other} ({one.correlation:.2f})".replace("(-", "(−")
