"""Which layers can spare most: the shares of heads and neurons that should cost least for so many parameters, what they are
foretold to cost, and what the same number of parameters would cost if every layer lost the same share. “Use it” writes the shares
into the controls; Prune then does it, and here stands what came of it. The suggestion goes by the criterion, the compensation and
the limits that the controls say; a kind of unit whose level is 0 takes no part."""

import ipywidgets
from ipywidgets.widgets.widget_description import DescriptionStyle

from engine.record.commands import suggest_of
from engine.record.events import PlanMade
from engine.record.state import RunState
from engine.record.suggestions import Suggested
from widgets.drawing import percent, put
from widgets.requests import Adopt
from widgets.theme import Theme
from widgets.view import Act, Drawn, View
from widgets.words import not_free, not_sayable

TITLE = "Where to take it from"
SHARE = 0.1  # of all parameters, until somebody says another
MOST = 0.9  # embeddings and norms stay, and they make more than the rest of this in any model
HIGH, WIDE = 34, 300  # of the bars of one kind, in units of the drawing
NOTHING = "Nothing is suggested yet."
OUTDATED = "What was suggested was for other weights: the model has been trained since, or taken back. Ask again."
OPEN = "What came of it is told here once it was followed and measured."
FOUND = {"predicted": "foretold from statistics and gradients", "measured": "measured, a part at a time"}
ASK = "Work out which layers should lose how much; nothing is changed."
USE = "Write these shares into the controls; Prune then does it."


def build(theme: Theme, act: Act) -> Drawn:
    """A share to ask for, two buttons, bars by layer and words; made once a model is there."""
    panel = _Suggestion(act)
    return Drawn(panel.widget, panel.draw)


class _Suggestion:
    """The widgets of the panel, and the view that they show, by whose recipe it is suggested."""

    def __init__(self, act: Act):
        self.act = act
        self.shown: View | None = None
        self.says: ipywidgets.HTML | None = None
        self.widget = ipywidgets.VBox([])

    def draw(self, view: View) -> None:
        """Show what was suggested last, what came of it, and what can be asked for now."""
        self.shown = view
        if self.says is None:
            if view.state.model is None:
                return
            self._make()
        state, reason = view.state, not_free(view) or not_sayable(view)
        put(self.ask, disabled=bool(reason), tooltip=reason or ASK)
        nothing = "" if state.suggested else _nothing(state)
        put(self.use, disabled=bool(nothing or reason), tooltip=nothing or reason or USE)
        put(self.says, value=_said(state))

    def _make(self) -> None:
        look = {"layout": ipywidgets.Layout(width="auto"), "style": ipywidgets.ButtonStyle()}
        self.share = ipywidgets.BoundedFloatText(
            value=SHARE, min=0.01, max=MOST, step=0.01, description="Share of all parameters",
            style=DescriptionStyle(description_width="initial"), layout=ipywidgets.Layout(width="240px"),
        )  # fmt: skip
        self.ask, self.use = (ipywidgets.Button(description=words, **look) for words in ("Suggest", "Use it"))
        self.ask.on_click(lambda _: self._suggest())
        self.use.on_click(lambda _: self._adopt())
        row = ipywidgets.Box([self.share, self.ask, self.use])
        row.add_class("esp-buttons")
        self.says = ipywidgets.HTML()
        self.widget.children = (row, self.says)

    def _suggest(self) -> None:
        if self.shown is not None and self.shown.recipe is not None:
            self.act(suggest_of(self.shown.recipe, self.share.value))

    def _adopt(self) -> None:
        found = self.shown.state.suggested if self.shown is not None else None
        if found is not None:
            self.act(Adopt(found.head_shares, found.neuron_shares))


def came_of(state: RunState) -> tuple[float, float] | None:
    """By how much the loss should have risen, and by how much it did, in nats per token, where the plan that stands is the one
    that was suggested and both perplexities are there; None where not."""
    found, plan, standing = state.suggested, state.standing.plan, state.standing
    if standing.promise is not None:
        return standing.promise.promised, standing.promise.measured
    before, after = (standing.perplexity.get(stage) for stage in ("baseline", "pruned"))
    if found is None or plan is None or before is None or after is None or not _is_plan(found, plan, state):
        return None
    return found.rise, after.nll / after.tokens - before.nll / before.tokens


def _is_plan(found: Suggested, plan: PlanMade, state: RunState) -> bool:
    heads = _counts(found.head_shares, state.model.heads) == plan.head_counts
    same = heads and _counts(found.neuron_shares, state.model.neurons) == plan.neuron_counts
    return same and found.criterion == plan.criterion and found.round == 1


def _counts(shares: tuple[float, ...], units: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(round(share * there) for share, there in zip(shares, units, strict=True))


def _said(state: RunState) -> str:
    found, kept = state.suggested, came_of(state)
    told = _kept(*kept) if kept is not None else ""
    if found is None:
        return f'<p class="esp-says">{told or _nothing(state)}</p>'
    share = 1 - found.parameters_after / found.parameters_before
    words = (
        f"By {found.criterion}, {found.by} by {found.by}, {percent(share)} of the parameters would go. The loss should rise by "
        f"{found.rise:.3f} nats per token ({FOUND[found.damage]}); with the same share from every layer by {found.uniform:.3f}."
    )
    bars = _bars("heads", found.head_shares) + _bars("neurons", found.neuron_shares)
    return f'<p class="esp-says">{words} {told or OPEN}</p>{bars}'


def _nothing(state: RunState) -> str:
    return OUTDATED if "suggested" in state.outdated else NOTHING


def _kept(promised: float, measured: float) -> str:
    rises = f"{promised:+.3f} nats per token were promised, {measured:+.3f} measured".replace("-", "−")
    return f"<b>It was followed: {rises}</b> on the evaluation text."


def _bars(kind: str, shares: tuple[float, ...]) -> str:
    """A bar for each layer, the first at the left; the largest share is as high as the drawing."""
    if not any(shares):
        return f'<p class="esp-says esp-none">No {kind} would go.</p>'
    step, top, drawn = WIDE / len(shares), max(shares), []
    for layer, share in enumerate(shares):
        high = HIGH * share / top
        place = f'x="{step * (layer + 0.1):.1f}" y="{HIGH - high:.1f}" width="{0.8 * step:.1f}" height="{high:.1f}"'
        drawn.append(f"<rect {place}><title>layer {layer}: {percent(share)} of the {kind}</title></rect>")
    bars = "".join(drawn)
    most = max(range(len(shares)), key=lambda layer: shares[layer])
    words = f"{kind.capitalize()} by layer, {percent(min(shares))} to {percent(shares[most])}, most from layer {most}"
    return (
        f'<figure class="esp-strip esp-{kind}"><svg viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none" role="img" '
        f'aria-label="{words}">{bars}</svg><figcaption>{words}.</figcaption></figure>'
    )
