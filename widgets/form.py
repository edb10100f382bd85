"""A form that draws itself from knobs: a control for each field, with its label, range and help; knows no field by its name.

What a value may be is not judged here but by the recipe: `refuse` puts its sentence under the control that it concerns.
Callbacks only note which control was moved, as in `widgets.controls`. The controls are made when the form is first opened: a
page with as many fields more takes that much longer to appear.
"""

import html
from collections.abc import Callable, Mapping

import ipywidgets
from ipywidgets.widgets.widget_description import DescriptionStyle
from ipywidgets.widgets.widget_string import TextStyle

from engine.record.knobs import Knob
from widgets.axes import in_words

LABEL_WIDTH = "202px"


class Form:
    """The widgets of some fields, by dotted name. `note` is told the name of each that is moved by hand, from any thread.

    `meanings` has, for a field of choices, what each of them means; `groups` the words beside the controls, by heading and field.
    A field of no group stands after them, with words made of its name. `toggle` is the button that shows and hides `widget`,
    which the style sheet does by itself; the first `hold` after that fills it.
    """

    def __init__(
        self,
        title: str,
        knobs: Mapping[str, Knob],
        meanings: Mapping[str, Mapping[str, str]],
        note: Callable[[str], None],
        groups: Mapping[str, Mapping[str, str]] | None = None,
    ):
        labels = {name: words for each in (groups or {}).values() for name, words in each.items()}
        knobs = {name: knobs[name] for name in (*labels, *(name for name in knobs if name not in labels))}
        self._labels = {name: in_words(name) for name in knobs} | labels
        self._headings = {next(iter(each)): words for words, each in (groups or {}).items()}  # the first field of each
        self._knobs, self._meanings, self._told = knobs, meanings, note
        self._values: dict[str, object] = {name: knob.default for name, knob in knobs.items()}  # until there are controls
        self._each: dict[str, ipywidgets.DOMWidget] = {}
        self._help = {name: f"{help_of(knob)} In a recipe: {name}." for name, knob in knobs.items()}
        self._rows: list[ipywidgets.DOMWidget] = []  # the controls, with headings between them
        self._error = ipywidgets.HTML()
        self._refused: tuple[str, str] = "", ""
        self.toggle = ipywidgets.ToggleButton(description=title, tooltip="Everything else that a recipe can say.")
        self.toggle.add_class("esp-unfold")
        self._fields = ipywidgets.Box()
        self._fields.add_class("esp-fields")
        self.widget = ipywidgets.VBox([self._fields])
        self.widget.add_class("esp-controls")

    @property
    def names(self) -> tuple[str, ...]:
        """The fields of the form."""
        return tuple(self._knobs)

    def read(self) -> dict[str, object]:
        """What the controls say now, by field."""
        return self._values | {name: _value(self._knobs[name], widget.value) for name, widget in self._each.items()}

    def show(self, values: Mapping[str, object]) -> None:
        """Set the controls to these values; only what differs is sent."""
        self._values |= values
        for name, value in values.items() if self._each else ():
            if value != _value(self._knobs[name], self._each[name].value):
                self._each[name].value = _shown(self._knobs[name], value)

    def refuse(self, field: str, sentence: str) -> bool:
        """Put a sentence under a field's control, and show the form; False for another field. An empty one takes it away."""
        mine = bool(sentence) and field in self._knobs
        wanted = (field, sentence) if mine else ("", "")
        if wanted == self._refused:
            return mine
        self._refused = wanted
        if mine:
            self._make()
        rows = list(self._rows)
        if mine:
            said = self._labels[field] + sentence.removeprefix(field) if sentence.startswith(f"{field} ") else sentence
            self._error.value = f'<div role="alert" class="esp-refusal">{html.escape(said)}</div>'
            rows.insert(rows.index(self._each[field]) + 1, self._error)
            self.toggle.value = True
        self._fields.children = tuple(rows)
        return mine

    def hold(self, reasons: Mapping[str, str]) -> None:
        """Grey the controls that are named, each with its reason as the tooltip, and give back all others."""
        if self.toggle.value:
            self._make()
        for name, widget in self._each.items():
            reason = reasons.get(name, "")
            if widget.disabled != bool(reason) or widget.tooltip != (reason or self._help[name]):
                widget.disabled, widget.tooltip = bool(reason), reason or self._help[name]

    def _make(self) -> None:
        if self._each:
            return
        self._each = _build(self._knobs, self._values, self._labels)
        for name, widget in self._each.items():
            widget.tooltip = self._help[name]
            widget.observe(lambda _, name=name: self._told(name), names="value")
            if name in self._headings:
                self._rows.append(ipywidgets.HTML(f"<h3>{html.escape(self._headings[name])}</h3>"))
            self._rows.append(widget)
        self._fields.children = tuple(self._rows)
        self.widget.children = (self._fields, ipywidgets.HTML(self._meaning()))

    def _meaning(self) -> str:
        items = []
        for name in self._each:
            meanings = self._meanings.get(name, {})
            each = "".join(f"<br><b>{html.escape(one)}</b>: {html.escape(text)}" for one, text in meanings.items())
            items.append(f"<dt>{html.escape(self._labels[name])}</dt><dd>{html.escape(self._help[name])}{each}</dd>")
        return f'<details class="esp-fold"><summary>What these choices mean</summary><dl>{"".join(items)}</dl></details>'


def help_of(knob: Knob) -> str:
    """A field's reason, and the range that it takes."""
    if knob.low is None or knob.high is None:
        return knob.reason
    return f"{knob.reason} From {knob.low:,} to {knob.high:,}."


def _build(knobs: Mapping[str, Knob], values: Mapping[str, object], labels: Mapping[str, str]) -> dict[str, ipywidgets.DOMWidget]:
    # One layout, and one style for all of a kind: every model counts.
    layout = ipywidgets.Layout(width="auto")
    menus = {"style": DescriptionStyle(description_width=LABEL_WIDTH), "layout": layout}
    texts = {"style": TextStyle(description_width=LABEL_WIDTH), "layout": layout, "continuous_update": False}
    found = {}
    for name, knob in knobs.items():
        start = {"description": labels[name], "value": _shown(knob, values[name])}
        if knob.choices:
            found[name] = ipywidgets.Dropdown(options=[(each, each) for each in knob.choices], **start, **menus)
        elif isinstance(knob.default, bool):
            found[name] = ipywidgets.Dropdown(options=[("yes", True), ("no", False)], **start, **menus)
        else:  # numbers too: a browser's field for numbers reads 1e9 as 19, and says nothing
            where = "0.1, 0.2, …" if knob.default is None else ""
            found[name] = ipywidgets.Text(placeholder=where, **start, **texts)
    return found


def _shown(knob: Knob, value: object) -> object:
    """A value as its control holds it: numbers as text."""
    if knob.choices or isinstance(value, bool | str):
        return value
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _value(knob: Knob, shown: object) -> object:
    """A control's value as the recipe takes it; what is no number stays as it was written, for the recipe to refuse."""
    if knob.choices or isinstance(knob.default, bool | str):
        return shown
    try:
        if knob.default is None:
            return tuple(map(float, str(shown).replace(",", " ").split())) or None
        value = float(str(shown))
        return int(value) if isinstance(knob.default, int) and value.is_integer() else value
    except ValueError:
        return shown
