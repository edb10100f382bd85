"""The page: where each part stands, and nothing else; knows what none of them does."""

import asyncio
import html
from functools import partial

import ipywidgets
from ipywidgets.widgets.widget_string import HTMLStyle

from engine.record.folder import cache_home, home
from engine.record.registry import Registry
from widgets.address import Address, in_voila, this_address
from widgets.browser import Browser
from widgets.charts import CHARTS
from widgets.choices import choices_of
from widgets.controls import Controls
from widgets.delivery import deliver
from widgets.panels import PANELS
from widgets.parts import Parts
from widgets.pump import NO_LAYERS, Pump
from widgets.session import Session
from widgets.sweeps import SWEEPS
from widgets.theme import theme_named
from widgets.transport import Transport

LEFT = ("runs", "memory")  # under the controls
BELOW = ("model", "downloads", "suggestion")  # what is looked for first; whatever else there is comes after it
ABOVE = ("importance", "shares", "perplexity", "loss", "text")  # the main loop, on one screen
SENTENCE = "Prune the attention heads and MLP neurons of a language model, see what that does to its language, train it back."


class Dashboard:
    """The page, for a notebook's last line. It shows itself, and beats for as long as the kernel lives.

    Outside a running event loop, as in a test, nothing beats: call `pump.tick()`.
    """

    def __init__(self, address: Address | None = None):
        address = address or this_address()
        theme = theme_named(address.theme)
        session = Session(address)
        browser = Browser()
        controls = Controls(choices_of(session.recipe, NO_LAYERS), lambda: self.pump.nudge())
        transport = Transport(lambda press: self.pump.act(press))
        show = browser.address if in_voila() else lambda query: None

        def at_run(name: str) -> None:
            show(address.query(run=name, part=self.pump.part))

        hand_over = partial(deliver, browser=browser, charts=CHARTS.names())
        self.pump = Pump(session, controls, transport, theme, deliver=hand_over, at_run=at_run)
        drawn = {
            name: registry.load(name).build(theme, self.pump.act) for registry in (CHARTS, PANELS) for name in registry.names()
        }
        plain = {"layout": ipywidgets.Layout(), "style": HTMLStyle()}  # shared: the fewer models, the sooner the page
        cards = {
            name: _card(registry, name, drawn[name].widget, plain) for registry in (CHARTS, PANELS) for name in registry.names()
        }
        parts = Parts(theme, self.pump.act, lambda name, widget: _card(SWEEPS, name, widget, plain))
        self.pump.screen.drawn = (*drawn.values(), parts.drawn)
        left = ipywidgets.VBox([_area(controls.widget, "form"), *(cards.pop(name) for name in LEFT)])
        left.add_class("esp-at-left")
        top = ipywidgets.VBox([_area(transport.widget, "bar"), _area(controls.more.widget, "more")])
        top.add_class("esp-at-transport")
        main = [left, top, *(cards.pop(name) for name in ABOVE)]
        head = ipywidgets.Box([ipywidgets.HTML(f"<style>{theme.css()}</style>{_header(address)}"), parts.turn])
        head.add_class("esp-head")
        self.widget = ipywidgets.VBox(
            [
                head,
                _grid(main, "esp-main"),
                _grid([*(cards.pop(name) for name in BELOW), *cards.values()], "esp-below"),
                *parts.widgets.values(),
                ipywidgets.HTML(_footer()),
                browser.widget,
            ]
        )
        self.widget.add_class("esp")
        self.widget.add_class(f"esp-{theme.name}")
        parts.turn.value = address.part
        self.pump.tick()
        try:
            self._beating = asyncio.get_running_loop().create_task(self.pump.beat())
        except RuntimeError:
            self._beating = None  # no loop: whoever built the page calls pump.tick()

    def _repr_mimebundle_(self, **options: object) -> dict:
        return self.widget._repr_mimebundle_(**options)


def _header(address: Address) -> str:
    other = "light" if address.theme == "dark" else "dark"
    return (
        f'<header class="esp-header"><h1>Espalier</h1><p>{SENTENCE}</p>'
        f'<a class="esp-link" href="{html.escape(address.query(theme=other))}">{other} theme</a></header>'
    )


def _footer() -> str:
    runs, caches = (html.escape(str(path)) for path in (home(), cache_home()))
    return (
        f'<footer class="esp-footer">Runs lie in <code>{runs}</code>, converted models and texts in <code>{caches}</code>, '
        "models and data sets of the hub in the hub's own cache.</footer>"
    )


def _card(registry: Registry, name: str, widget: ipywidgets.Widget, plain: dict[str, ipywidgets.Widget]) -> ipywidgets.Widget:
    entry = registry.entry(name)
    title, about = html.escape(str(entry.facts["TITLE"])), html.escape(entry.help.partition("\n\n")[0])
    heading = ipywidgets.HTML(
        f'<div class="esp-heading"><h2>{title}</h2><details class="esp-help" name="esp-help">'
        f'<summary title="What this shows" aria-label="Help: {title}">i</summary><p>{about}</p></details></div>',
        **plain,
    )
    return _area(ipywidgets.VBox([heading, widget]), name)


def _area(widget: ipywidgets.Widget, name: str) -> ipywidgets.Widget:
    widget.add_class("esp-card")
    widget.add_class(f"esp-at-{name}")
    return widget


def _grid(children: list[ipywidgets.Widget], name: str) -> ipywidgets.Box:
    box = ipywidgets.Box(children)
    box.add_class(name)
    return box
