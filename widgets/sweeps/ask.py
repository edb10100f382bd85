"""Many recipes that differ in one field or two: all else is as the controls of the laboratory say. “Measure” prunes and measures,
without training; “recover” trains each cell as well, which takes as long as so many recoveries; “search” finds the best cell that
leaves at most a budget of the parameters. Seeds make cells of their own, and show how much chance has a part in it."""

from html import escape

import ipywidgets
from ipywidgets.widgets.widget_description import DescriptionStyle
from ipywidgets.widgets.widget_string import TextStyle

from engine.record.errors import counted
from widgets import words
from widgets.axes import FIELDS, HOW, MODES, NONE, Planned
from widgets.drawing import percent, put
from widgets.requests import AskSweep, StartSweep
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "Ask for a sweep"
START = "Start the sweep"
TIP = "Carry it out in a process of its own, which goes on when this page is closed."
WRONG = "Put right first what is marked."
HIDDEN, SHOWN = "none", None
LABELS = {
    "first": "Field", "first_values": "Values", "second": "Second field", "second_values": "Second values",
    "mode": "For each cell", "budget": "Leave at most", "seeds": "Seeds",
}  # fmt: skip
HELP = {
    "first": "What differs from cell to cell.",
    "first_values": HOW,
    "second": "What differs besides; every value of one field meets every value of the other.",
    "second_values": HOW,
    "mode": "What is done with each recipe.",
    "budget": "The share of the model's parameters that may be left.",
    "seeds": "Every cell is done once for each; whole numbers, such as 0, 1, 2.",
}


def build(theme: Theme, act: Act) -> Drawn:
    """The form, a sentence for each field that cannot be, and the button that starts it."""
    form = _Form(act)
    return Drawn(form.widget, form.draw)


def is_wanted(view: View) -> bool:
    """Always."""
    return True


class _Form:
    """The widgets of the form; what they say is kept by the page, which tells what it comes to."""

    def __init__(self, act: Act):
        self._act, self._drawing = act, False
        menus, texts = DescriptionStyle(description_width="104px"), TextStyle(description_width="104px")
        wide = ipywidgets.Layout(width="auto")
        fields = [(label, name) for label, (name, _) in FIELDS.items()]
        options = {"first": fields, "second": [("none", NONE), *fields], "mode": list(MODES.items())}
        self.each, self.wrong, rows = {}, {}, []
        for name, label in LABELS.items():
            if name in options:
                made = ipywidgets.Dropdown(description=label, options=options[name], style=menus, layout=wide)
            else:
                look = {"style": texts, "layout": ipywidgets.Layout(width="auto")}  # its own: some are hidden
                made = ipywidgets.Text(description=label, continuous_update=False, **look)
            made.tooltip = HELP[name]
            if name.endswith("values"):
                made.add_class("esp-wide")  # the whole width: a list that is cut off is not what the sweep goes over
            made.observe(lambda change, name=name: self._filled(name, change["new"]), "value")
            self.each[name], self.wrong[name] = made, ipywidgets.HTML(layout={"display": HIDDEN})
            rows += [made, self.wrong[name]]
        self.start = ipywidgets.Button(description=START, layout={"width": "auto"})
        self.start.add_class("esp-primary")
        self.start.on_click(lambda _: self._act(StartSweep()))
        row = ipywidgets.Box([self.start])
        row.add_class("esp-buttons")
        self.says = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([*rows, self.says, row])
        self.widget.add_class("esp-ask")

    def draw(self, view: View) -> None:
        """Show what was typed, what it comes to, and what else is being computed."""
        asked, plan = view.sweeps.asked, view.sweeps.planned
        self._drawing = True
        for name, widget in self.each.items():
            put(widget, value=getattr(asked, name))
        self._drawing = False
        put(self.each["budget"].layout, display=SHOWN if asked.mode == "search" else HIDDEN)
        put(self.each["second_values"].layout, display=SHOWN if asked.second else HIDDEN)
        for name, widget in self.wrong.items():
            sentence = plan.wrong.get(name, "")
            put(widget.layout, display=SHOWN if sentence else HIDDEN)
            put(widget, value=f'<div role="alert" class="esp-refusal">{escape(sentence)}</div>' if sentence else "")
        put(self.start, disabled=plan.plain is None, tooltip=TIP if plan.plain is not None else WRONG)
        told = [_counted(plan, asked.mode), _else(view), beside_words(view)]
        put(self.says, value="".join(f'<p class="esp-says">{escape(each)}</p>' for each in told if each))

    def _filled(self, name: str, text: str) -> None:
        if not self._drawing:
            self._act(AskSweep(name, text))


def _counted(plan: Planned, mode: str) -> str:
    if plan.plain is None:
        return ""
    cells = counted(plan.cells, "cell")
    if mode == "search":
        return f"{cells}, of which {max(1, plan.cells // 10):,} are measured. How long it takes is told once some are."
    what = "measured, without training" if mode == "measure" else "pruned and trained, one after another"
    return f"{cells}, each {what}. How long it takes is told once some are done."


def _else(view: View) -> str:
    """What all cells have in common, but for what they differ in."""
    recipe, asked = view.recipe, view.sweeps.asked
    if recipe is None:
        return "The controls of the laboratory have a value that cannot be; the last recipe without one is used."
    told = {
        "model": recipe.model,
        "neurons": f"neurons {percent(recipe.neurons.level)} {recipe.neurons.shape}",
        "heads": f"heads {percent(recipe.heads.level)} {recipe.heads.shape}",
        "criterion": f"criterion {recipe.criterion}",
        "compensation": f"compensation {recipe.compensation}",
    }
    if asked.mode == "recover":
        told["tuning"] = f"{recipe.tuning.steps:,} recovery steps ({recipe.tuning.method})"
    varied = {name.partition(".")[0] for name in (asked.first, asked.second)}
    return f"All else as the controls say: {', '.join(words for name, words in told.items() if name not in varied)}."


def beside_words(view: View) -> str:
    """What else is being computed on this machine, and what a sweep beside it costs; empty where nothing is."""
    state, busy = view.state, []
    if state.status == "busy" and not words.is_free(state):
        busy.append(f"the run of this page ({words.DOING.get(state.doing, state.doing).lower()})")
    others = sum(run.is_busy and run.awake for run in view.runs.found)
    busy += [counted(others, "other run")] * bool(others)
    sweeps = sum(one.going for one in view.sweeps.found)
    busy += [counted(sweeps, "sweep")] * bool(sweeps)
    if not busy:
        return ""
    return f"At work already: {', '.join(busy)}. A sweep that is started now goes on beside it, and each of them takes longer."
