"""What the page says about a run, in sentences for people; pure functions from a view to words, escaped by whoever shows them."""

import time
from datetime import UTC, datetime

from engine.record.commands import Tune
from engine.record.events import Evaluated, ModelLoaded, Previewed, StepTrained
from engine.record.run_list import LiveRun
from engine.record.spread import as_perplexity
from engine.record.state import RunState
from widgets.followed import Pace
from widgets.view import Draft, View

LEAVING = "Another model or text is loading, and takes this one's place; choose this one again to stay with it."
BOUND = "Stop what is being done first: another model or text needs a run of its own."
DOING = {
    "Load": "Loading the model and the text",
    "Score": "Scoring heads and neurons",
    "Preview": "Previewing what pruning would cost",
    "Agree": "Comparing the criteria",
    "Suggest": "Looking for the shares that should cost least",
    "Prune": "Pruning",
    "SetGate": "Changing a gate",
    "Evaluate": "Measuring perplexity",
    "Tune": "Recovering",
    "Sample": "Writing a text",
    "Cut": "Making the smaller model",
    "Save": "Saving the smaller model",
    "Undo": "Taking the last change back",
    "Reset": "Going back to the model as it was loaded",
}
ARMS = {"tuned": "the pruned model", "control": "the control, an unpruned model"}
STARTING = "Starting the worker and reading its libraries, which takes some seconds."
GIVEN_UP = ("Undo", "Reset")  # not done again by a new worker: they may have taken effect
ENOUGH = 3  # cells after which it can be told how long others take
BACKGROUND = ("Preview", "Score")  # short and harmless: they give way to whatever is asked


def is_free(state: RunState) -> bool:
    """Whether a change may be asked for: nothing is being done that it would have to wait for."""
    if state.status == "idle":
        return not state.interrupted
    return state.status == "busy" and state.doing in BACKGROUND


def not_free(view: View, waiting: bool = False) -> str:
    """Why nothing can be asked of the model now; empty where it can. `waiting` says that something was asked and not begun."""
    state = view.state
    if state.is_over:
        return "This run is over."
    if state.model is None:
        return "The model is not loaded yet."
    if not is_free(state) or waiting:
        return f"Wait until this is done: {DOING.get(state.doing or state.interrupted or '', 'starting').lower()}; or stop it."
    return LEAVING if view.leaving else ""


def not_sayable(view: View) -> str:
    """Why the controls say nothing that could be done; empty where they do."""
    return "" if view.recipe is not None else "First put the value right that is marked beside the controls."


def is_bound(state: RunState) -> bool:
    """Whether something is being done that another model or text would cut short."""
    return state.status in ("busy", "paused") and state.doing in ("Tune", "Cut", "Save", "Prune")


def is_pruned(state: RunState) -> bool:
    """Whether any gate is closed."""
    gates = state.standing.gates
    return gates is not None and bool(any(gates.head_counts) or any(gates.neuron_counts))


def status_words(state: RunState, rate: float | None, waiting: bool, tune: Tune | None = None) -> str:
    """What is being done, how far it is, how fast, and how long it will take; or what to do next.

    `rate` is in steps (or units of the progress) a second, None where it is not known yet; `waiting` says that something
    was asked and not begun; `tune` is the recovery in hand, where that is known.
    """
    match state.status:
        case "finished" | "stopped":
            return "This run is over. Choose a model or a text, or start a new run, to go on."
        case "failed":
            return f"The run failed: {state.failure.reason if state.failure else 'no reason was given'}"
        case "paused":
            return f"Paused: {_how_far(state, rate, tune)} Resume goes on, Step does one more step, Stop ends it here."
        case "busy" if state.doing != "Preview":
            return _how_far(state, rate, tune)
        case "new":
            return STARTING
    if state.interrupted:
        return STARTING
    return "Asked; the worker is about to begin." if waiting else _next(state)


def stopped_words(pid: int | None, what: str = "run") -> str:
    """That a process of the run was stopped (SIGSTOP) and what to do; empty where none was."""
    if pid is None:
        return ""
    return (
        f"Nothing goes on: process {pid}, which carries this {what} out, is stopped. Continue it (kill -CONT {pid}), or end it."
    )


def restart_words(state: RunState) -> str:
    """That the worker ended unasked and what that costs; empty where it did not, and once the next command is done."""
    what = state.interrupted
    if what is None or state.is_over:
        return ""
    lost = {
        "": "nothing was lost",
        "Tune": f"the recovery goes on after step {state.resumed.step:,}"
        if state.resumed is not None
        else "the recovery goes on from what was last kept of it",
        **dict.fromkeys(GIVEN_UP, "what it was asked to take back may have to be asked again"),
    }.get(what, f"this begins anew: {DOING.get(what, what).lower()}")
    again = "is being started again" if state.status == "new" else "was started again"
    return f"The process that computes ended unexpectedly and {again}; {lost}."


def progress(state: RunState) -> float | None:
    """How much of what is being done is done, from 0 to 1; None where nothing is, or nobody knows."""
    if state.status not in ("busy", "paused") or state.doing == "Preview":
        return None
    if state.doing == "Tune" and state.step is not None:
        return state.step.step / state.step.steps
    return state.progress.done / state.progress.total if state.progress and state.progress.total else None


def draft_words(view: View) -> str:
    """What the controls would do, in one sentence; empty where they would do nothing."""
    draft = view.draft
    if draft is None:
        return ""
    words = (
        _counted(draft, view.state.model) if draft.is_counted else "What would go from each layer is worked out by a preview. "
    )
    if view.preview is not None:
        return (
            words
            + f"Perplexity would be {_perplexity(view.preview)}"
            + f"{_against(view.preview, view.state.standing.perplexity.get('baseline'))}."
        )
    if view.recipe is None:
        return words + "Perplexity waits for the marked value."
    if view.state.is_over or view.state.refused is not None and view.state.refused.name == "Preview":
        return words + "Perplexity was not measured."
    if not is_free(view.state):
        return words + f"Perplexity after {'the recovery' if view.state.doing == 'Tune' else 'this is done'}."
    return words + "Perplexity is being measured."


def clock(at: float | None) -> str:
    """A time of day, for people; empty for none."""
    return time.strftime("%H:%M:%S", time.localtime(at)) if at is not None else ""


def duration(seconds: float) -> str:
    """A length of time in the units that people use for it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size(count: int) -> str:
    """Bytes in decimal units."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _counted(draft: Draft, model: ModelLoaded) -> str:
    heads, neurons = (sum(counts) for counts in (draft.head_counts, draft.neuron_counts))
    saved = draft.parameters_before - draft.parameters_after
    return (
        f"Prune would take {heads:,} of {sum(model.heads):,} heads and {neurons:,} of {sum(model.neurons):,} neurons "
        f"and save {saved:,} parameters ({saved / draft.parameters_before:.1%}). "
    )


def _against(preview: Previewed, baseline: Evaluated | None) -> str:
    if baseline is None:
        return ""
    alike = (preview.tokens, preview.sequence_length) == (baseline.tokens, baseline.sequence_length)
    return f", baseline {_perplexity(baseline)}" if alike else "; the baseline was measured on another amount of text"


def time_left(step: StepTrained, rate: float | None, tune: Tune | None) -> str:
    """How long a recovery takes from a step on, its later rounds and its control counted in: those are so many steps too."""
    if not rate:
        return "time left not known yet"
    steps, counted, how = max(0, step.steps - step.step), [], "about"
    if tune is not None and step.arm != "control":
        part, parts = tune.part
        counted += ["the training of later rounds"] * (part < parts) + ["the control"] * tune.tuning.control
        steps += step.steps * tune.tuning.control
    if tune is not None and (tune.tuning.patience or tune.tuning.guard):
        how = "at most"
    return f"{how} {duration(max(1.0, steps / rate))} left" + (f", {' and '.join(counted)} included" if counted else "")


def cells_left(pace: Pace, left: int) -> str:
    """How long so many cells still take, as a part of a sentence; by how long those took that were done, once some were."""
    if pace.cells < ENOUGH or left <= 0:
        return "; how long the others take is not known yet" if left > 0 else ""
    each = pace.seconds / (pace.cells - 1)
    return f"; about {duration(max(1.0, each * left))} left, if the others take as long as the last {pace.cells:,} did"


def run_words(run: LiveRun) -> str:
    """What another run is doing, in a few words; its step of a recovery too."""
    if run.stopped is not None:
        return f"held: its process {run.stopped} is stopped"
    doing = DOING.get(run.doing, run.doing).lower()
    if run.step is not None:
        doing += f", step {run.step:,} of {run.steps:,}"
    match run.status:
        case "unreadable" | "failed" | "finished" | "stopped":
            return run.state
        case "busy":
            return doing if run.awake else f"left in the middle: {doing}"
        case "paused":
            return f"paused: {doing}" if run.awake else f"left in the middle: {doing}"
    if run.waiting:
        return "about to begin" if run.awake else "left before it was done"
    return "nothing more was asked"


def called(name: str) -> str:
    """A run's name in words: "gpt2-tiny, 21 Nov 22:15 (3f9a1c)", in the time zone of this machine; other names as they are."""
    try:
        when = datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone()
    except ValueError:
        return name
    model, _, mark = name[17:].rpartition("-")
    return f"{model}, {when:%d %b %H:%M} ({mark})"


def _how_far(state: RunState, rate: float | None, tune: Tune | None) -> str:
    words, step, left = DOING.get(state.doing, state.doing), state.step, ""
    if state.doing == "Tune" and step is not None and step.step < step.steps:
        words += f" {ARMS.get(step.arm, step.arm)}: step {step.step:,} of {step.steps:,}, loss {step.loss:.3f}"
        unit, left = "steps", time_left(step, rate, tune)
    elif state.progress is not None:
        about = state.progress
        words += f": {about.what}, {about.done:,} of {about.total:,} {about.unit}"
        unit, left = about.unit, f"about {duration((about.total - about.done) / rate)} left" if rate else ""
    else:
        return f"{words}."
    if rate and state.status != "paused":
        words += f", {rate:,.3g} {unit}/s" if rate < 1000 else f", {rate:,.0f} {unit}/s"
    return f"{words}, {left}." if left else f"{words}."


def _next(state: RunState) -> str:
    found = state.standing.perplexity
    if state.model is None:
        return STARTING if state.worker is None else "No model is loaded."
    if "cut" in found and state.standing.saved is not None:
        return "The smaller model is made: see below what it weighs, and take it away."
    if "tuned" in found and "pruned" in found:
        beside = f", the control {_perplexity(found['control'])}" if "control" in found else ""
        last = state.step
        early = last is not None and last.arm == "tuned" and last.step < last.steps
        how = f" for {last.step:,} of {last.steps:,} steps" if early else ""
        return f"Recovered{how}: perplexity {_perplexity(found['pruned'])} before, {_perplexity(found['tuned'])} now{beside}."
    if "pruned" in found:
        before = f" from {_perplexity(found['baseline'])}" if "baseline" in found else ""
        return f"Pruned: perplexity went{before} to {_perplexity(found['pruned'])}. Recover trains what is left."
    if is_pruned(state):
        return "Pruned. Recover trains what is left."
    return "Ready. Move Heads or Neurons and see what would go, then press Prune."


def _perplexity(found: Evaluated | Previewed) -> str:
    return as_perplexity(found.perplexity, 1)
