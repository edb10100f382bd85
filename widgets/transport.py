"""The buttons and the status line: what can be asked now, what is being done, what was refused; decides nothing itself.

A button that can do nothing is grey, and its tooltip says why.
"""

import html
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import ipywidgets

from engine.record.events import Progressed, RunPaused, RunResumed, StepTrained
from engine.record.line import Stamped
from widgets import words
from widgets.badges import badges_html
from widgets.requests import Press
from widgets.view import View

SMALLER = "Make the smaller model"
BUTTONS = {
    "Prune": "Close the gates of the units that are marked, and let what is left make up for them.",
    "Recover": "Train what is left, and the unpruned model beside it for comparison.",
    "Pause": "Hold before the next step.",
    "Resume": "Go on.",
    "Step": "Do one more step and hold again.",
    "Stop": "Give up what is being done; a recovery keeps the steps it has made.",
    "Undo": "Go back to how the model stood before the last change.",
    "Reset": "Go back to the model as it was loaded.",
    SMALLER: "Remove the closed units for good, in a copy; measure that copy and save it.",
}
PRIMARY = ("Prune", "Recover")
SLEPT, FAR = 10.0, 20.0  # a gap between two events of so many seconds, and of so many times the usual, is no part of the pace


def refusals(view: View, waiting: bool = False) -> dict[str, str]:
    """Why each button can do nothing now; an empty sentence for one that can."""
    state, recipe = view.state, view.recipe
    busy = state.status in ("busy", "paused") and not words.is_free(state)
    change, mend, pruned = words.not_free(view, waiting), words.not_sayable(view), words.is_pruned(state)
    if state.is_over:
        return dict.fromkeys(BUTTONS, change)
    stands = "The controls ask for nothing but what stands already; move Heads or Neurons first."
    steps = recipe is not None and recipe.tuning.steps == 0
    idle = "Nothing is being done."
    if state.status == "new" or state.interrupted:
        idle = "The process that computes is starting; what is to be done can be stopped once it has begun."
    running = "" if busy else idle
    held = "" if state.status == "paused" else "Nothing is paused."
    undo = change or ("" if state.can_undo else "Nothing has been changed yet.")
    return {
        "Prune": change or mend or ("" if view.draft is not None else stands),
        "Recover": change
        or mend
        or ("" if pruned else "Prune first: there is nothing to recover from.")
        or ("Recovery steps is 0." if steps else ""),
        "Pause": running or ("It is paused already." if state.status == "paused" else ""),
        "Resume": held,
        "Step": held,
        "Stop": running,
        "Undo": undo,
        "Reset": undo,
        SMALLER: change
        or ("" if pruned else "Prune first: the smaller model would be the whole one.")
        or ("It is made already: see below." if state.standing.saved is not None else ""),
    }


class Pace:
    """How fast things go: units a second over the last events of one kind since the last hold."""

    def __init__(self):
        self._of: object = None
        self._seen: deque[tuple[float, int]] = deque(maxlen=20)
        self._before: float | None = None  # the rate before the last hold

    def see(self, stamped: list[Stamped]) -> None:
        """Take in what has happened."""
        for line in stamped:
            match line.fact:
                case StepTrained(arm=arm, step=done):
                    self._note(arm, line.at, done)
                case Progressed(what=what, done=done):
                    self._note(what, line.at, done)
                case RunPaused() | RunResumed():
                    self._before = self.rate
                    self._seen.clear()  # a hold is no part of the pace

    @property
    def rate(self) -> float | None:
        """Units a second; None while there are not two events to tell it from, and right after a hold that of before it.

        A gap that is far longer than the others is the machine's sleep, or a clock that was set, and no part of the pace.
        """
        gaps = [(later - at, more - done) for (at, done), (later, more) in pairwise(self._seen) if later >= at and more > done]
        usual = median(seconds / units for seconds, units in gaps) if gaps else 0.0
        gaps = [(seconds, units) for seconds, units in gaps if seconds <= max(SLEPT, FAR * usual * units)]
        spent = sum(seconds for seconds, _ in gaps)
        return sum(units for _, units in gaps) / spent if spent else self._before

    def _note(self, of: object, at: float, done: int) -> None:
        if of != self._of or (self._seen and done < self._seen[-1][1]):
            self._of, self._before = of, None
            self._seen.clear()
        self._seen.append((at, done))


class Transport:
    """The widgets of the bar over the charts."""

    def __init__(self, act: Callable[[Press], None]):
        self.pace = Pace()
        self._buttons = {}
        # One layout and one style for all of them: every model counts towards the first paint.
        look = {"layout": ipywidgets.Layout(width="auto"), "style": ipywidgets.ButtonStyle()}
        for name, tip in BUTTONS.items():
            button = ipywidgets.Button(description=name, tooltip=tip, disabled=True, **look)
            if name in PRIMARY:
                button.add_class("esp-primary")
            button.on_click(lambda _, name=name: act(Press(name)))
            self._buttons[name] = button
        self._status = ipywidgets.HTML()
        self._told: object = None  # what the status line says, but for its numbers
        self._draft = ipywidgets.HTML()
        self._badges = ipywidgets.HTML()  # its own widget: what is unfolded in it stays so while the status line counts on
        self._badges.add_class("esp-badges")
        row = ipywidgets.Box((*self._buttons.values(), self._badges))
        row.add_class("esp-buttons")
        self.widget = ipywidgets.VBox([row, self._status, self._draft])
        self.widget.add_class("esp-transport")

    def draw(self, view: View, *, now: float, waiting: bool, refusal: str, note: str = "", count: bool = True) -> None:
        """Show what can be asked and what is being done. `now` is seconds since the epoch, for the sign of life.

        Without `count` the status line stays as it is where it would only have counted on.
        """
        for name, reason in refusals(view, waiting).items():
            button = self._buttons[name]
            if button.disabled != bool(reason):
                button.disabled = bool(reason)
            if button.tooltip != (reason or BUTTONS[name]):
                button.tooltip = reason or BUTTONS[name]
        state = view.state
        told = (state.status, state.doing, state.arm, state.restarts, state.interrupted, waiting, refusal, note)
        if count or told != self._told:
            self._set(self._status, self._status_html(view, now, waiting, refusal, note))
            self._told = told
        self._set(self._badges, badges_html(state.degraded))
        self._set(self._draft, f'<div class="esp-draft" aria-live="polite">{html.escape(words.draft_words(view))}</div>')

    def send_again(self) -> None:
        """Send the browser all that stands here once more. While it makes the widgets of a new page, one after another, an update
        of one that it has not made yet is lost: a button then stayed grey for ever whose tooltip said that it can be pressed."""
        for widget in (*self._buttons.values(), self._badges, self._status, self._draft):
            widget.send_state()

    def fail(self, trace: str) -> None:
        """Show that a tick failed, which is a fault of the page: its last line as a sentence, the whole of it in a fold."""
        last, self._told = trace.strip().splitlines()[-1], None
        self._set(
            self._status,
            f'<div role="status" class="esp-status" data-state="fault"><div class="esp-refusal">The page has a fault: '
            f"{html.escape(last)}</div><details><summary>Details</summary><pre>{html.escape(trace)}</pre></details></div>",
        )

    def _status_html(self, view: View, now: float, waiting: bool, refusal: str, note: str) -> str:
        state = view.state
        said = words.status_words(state, self.pace.rate, waiting, view.tune)
        share = words.progress(state)
        bar = (
            f'<div class="esp-bar"><i style="width:{100 * share:.0f}%"></i></div>'
            if share is not None
            else '<div class="esp-bar"></div>'
        )
        notes = [note] if note else []
        notes += list(filter(None, [words.restart_words(state)]))
        bad = f'<div class="esp-refusal">{html.escape(refusal)}</div>' if refusal else ""
        said_too = "".join(f'<div class="esp-note">{html.escape(each)}</div>' for each in notes)
        return (
            f'<div role="status" class="esp-status" data-state="{state.status}"><span>{html.escape(said)}</span>'
            f'{bad}{said_too}</div>{bar}<div class="esp-beat">Last update {words.clock(now)}</div>'
        )

    @staticmethod
    def _set(widget: ipywidgets.HTML, value: str) -> None:
        if widget.value != value:
            widget.value = value
