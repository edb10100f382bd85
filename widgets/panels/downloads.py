"""What can be taken away: every event as a table, the recipe as the controls have it, the charts as pictures, or all of it at
once. The two lines below carry out that recipe without this page, from the model as it was loaded."""

from html import escape

import ipywidgets

from widgets.beyond import beyond_the_recipe
from widgets.export import command_line, python_line
from widgets.requests import Download
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "Take it away"
EVERY = 4.0  # seconds between two drawings while something is computed: nobody reads along while a slider moves
BUTTONS = {
    "events": ("Events (CSV)", "Everything that happened in this run, one event a row."),
    "recipe": ("Recipe (JSON)", "What the controls say, as python -m engine run takes it."),
    "charts": ("Charts (PNG)", "Each chart as a picture, as it is drawn now."),
    "everything": ("Everything (zip)", "Events, recipe, charts, and the lines that do it again."),
}


def build(theme: Theme, act: Act) -> Drawn:
    """A row of buttons, and the lines that carry out what the controls say, with what stands and they do not say."""
    look = {"layout": ipywidgets.Layout(width="auto"), "style": ipywidgets.ButtonStyle()}
    row = ipywidgets.Box([_button(what, act, look) for what in BUTTONS])
    row.add_class("esp-buttons")
    lines = ipywidgets.HTML()

    def draw(view: View) -> None:
        text = ""
        if view.recipe is not None:
            text = "".join(
                f'<p class="esp-says">{name}</p><pre class="esp-code">{escape(line)}</pre>'
                for name, line in (("In a shell", command_line(view.recipe)), ("In Python", python_line(view.recipe)))
            )
            text = f'<p class="esp-says">{escape(beyond_the_recipe(view))}</p>{text}'
        if lines.value != text:
            lines.value = text

    return Drawn(ipywidgets.VBox([row, lines]), draw, EVERY)


def _button(what: str, act: Act, look: dict[str, ipywidgets.Widget]) -> ipywidgets.Button:
    name, tip = BUTTONS[what]
    button = ipywidgets.Button(description=name, tooltip=tip, **look)
    button.on_click(lambda _: act(Download(what)))
    return button
