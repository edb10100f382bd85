"""What a run is asked for: by a button, and by nobody, because the page is to show it; posts nothing and draws nothing."""

from engine.record import commands as ask
from engine.record.events import GatesChanged
from engine.record.state import RunState
from widgets import words
from widgets.transport import SMALLER
from widgets.view import View

SETTLED = 0.1  # seconds without a movement after which a preview is asked for
BACKGROUND = (ask.Preview, ask.Score)  # what nobody waits for


def pressed(button: str, view: View) -> tuple[ask.Command, ...]:
    """What a button asks for, as the controls stand."""
    recipe = view.recipe
    match button:
        case "Prune":
            return ask.pruning_of(recipe)
        case "Recover":
            return (ask.Tune(recipe.tuning, recipe.evaluation, recipe.prompt, recipe.seed),)
        case name if name == SMALLER:
            return (ask.Cut(recipe.evaluation if recipe else ask.Measuring()), ask.Save())
    return (getattr(ask, button)(),)


def _is_bare_undo(state: RunState) -> bool:
    """Whether an undo led to a model that is pruned and not trained."""
    return state.standing.gates.reason == "undo" and words.is_pruned(state) and state.weights.get(state.checkpoint) is None


class Errands:
    """Remembers what it has asked for, so that a refusal or a wait is not answered by asking again.

    `unwritten` says that there is a prompt which no model has continued.
    """

    def __init__(self):
        self.unwritten = False
        self._measured: GatesChanged | None = None
        self._looked: object = None
        self._rewritten: object = None

    def begin_again(self) -> None:
        """Something else was asked, after which a preview may be of use once more."""
        self._looked = None

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
        # After an undo what stood there may have been measured on another text than the baseline is now.
        unknown = gates is not None and (gates.reason == "by hand" or _is_bare_undo(state))
        if unknown and "pruned" not in state.standing.perplexity:
            if gates is self._measured:
                return ()
            self._measured = gates
            return (ask.Evaluate("pruned", recipe.evaluation), ask.Sample("pruned", recipe.prompt, seed=recipe.seed))
        errand = self._look_ahead(view)
        key = (errand and ask.fingerprint(errand), state.checkpoint)
        if errand is None or still < SETTLED or key == self._looked:
            return ()
        self._looked = key
        return (errand,)

    @staticmethod
    def _look_ahead(view: View) -> ask.Command | None:
        """What shows the draft as the controls have it: its preview, which tells the scores that it goes by, or those alone."""
        state, recipe = view.state, view.recipe
        if view.draft is not None and view.preview is None:
            return ask.preview_of(recipe)
        if state.scores is None or state.scores.criterion != recipe.criterion or state.scores_stale:
            return ask.Score(recipe.criterion, recipe.calibration, recipe.seed)
        return None

    def _is_stale(self, view: View) -> bool:
        """Whether the unpruned model, which alone can write its text, stands again and has written to another prompt."""
        state, recipe = view.state, view.recipe
        sample = state.standing.samples.get("baseline")
        if sample is None or sample.prompt == recipe.prompt or words.is_pruned(state):
            return False
        return self._rewritten != (state.checkpoint, recipe.prompt)
