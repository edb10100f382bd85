"""What a run is asked for: by a button, and by nobody, because the page is to show it; posts nothing and draws nothing."""

from engine.record import commands as ask
from engine.record.events import GatesChanged
from widgets import words
from widgets.transport import SMALLER
from widgets.view import View

SETTLED = 0.15  # seconds without a movement after which a preview is asked for
BACKGROUND = (ask.Preview, ask.Score)  # what nobody waits for


def pressed(button: str, view: View) -> tuple[ask.Command, ...]:
    """What a button asks for, as the controls stand."""
    recipe = view.recipe
    match button:
        case "Prune":
            evaluate, sample = ask.Evaluate("pruned", recipe.evaluation), ask.Sample("pruned", recipe.prompt, seed=recipe.seed)
            return ask.prune_of(recipe), evaluate, sample
        case "Recover":
            return (ask.Tune(recipe.tuning, recipe.evaluation, recipe.prompt, recipe.seed),)
        case name if name == SMALLER:
            return (ask.Cut(recipe.evaluation if recipe else ask.Measuring()), ask.Save())
    return (getattr(ask, button)(),)


class Errands:
    """Remembers what it has asked for, so that a refusal or a wait is not answered by asking again.

    `unwritten` says that there is a prompt which no model has continued.
    """

    def __init__(self):
        self.unwritten = False
        self._measured: GatesChanged | None = None
        self._previewed: object = None
        self._rewritten: object = None

    def begin_again(self) -> None:
        """Something else was asked, after which a preview may be of use once more."""
        self._previewed = None

    def next(self, view: View, still: float) -> tuple[ask.Command, ...]:
        """What to ask for now: the text of a new prompt, what gates closed by hand cost, what the draft would cost.

        `still` is for how many seconds nobody has moved a control. The model of the run is free.
        """
        state, recipe = view.state, view.recipe
        if self.unwritten or self._is_stale(view):
            stage = "tuned" if "tuned" in state.standing.perplexity else "pruned" if words.is_pruned(state) else "baseline"
            self.unwritten, self._rewritten = False, (state.checkpoint, recipe.prompt)
            return (ask.Sample(stage, recipe.prompt, seed=recipe.seed),)
        gates = state.standing.gates
        if gates is not None and gates.reason == "by hand" and "pruned" not in state.standing.perplexity:
            if gates is self._measured:
                return ()
            self._measured = gates
            return (ask.Evaluate("pruned", recipe.evaluation), ask.Sample("pruned", recipe.prompt, seed=recipe.seed))
        key = (recipe.criterion, recipe.heads, recipe.neurons, state.checkpoint)
        if still < SETTLED or key == self._previewed or view.preview is not None:
            return ()
        self._previewed = key
        if view.draft is not None:
            return (ask.preview_of(recipe),)
        if state.scores is None or state.scores.criterion != recipe.criterion:
            return (ask.Score(recipe.criterion, recipe.calibration, recipe.seed),)
        return ()

    def _is_stale(self, view: View) -> bool:
        """Whether the unpruned model, which alone can write its text, stands again and has written to another prompt."""
        state, recipe = view.state, view.recipe
        sample = state.standing.samples.get("baseline")
        if sample is None or sample.prompt == recipe.prompt or words.is_pruned(state):
            return False
        return self._rewritten != (state.checkpoint, recipe.prompt)
