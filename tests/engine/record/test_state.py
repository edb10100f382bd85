"""Tests of engine/record/state.py: the present of a run from its events, in one go, one by one, and through a file."""

import random
from dataclasses import replace

import pytest

from engine.record.agreement import RankCorrelation
from engine.record.events import (
    EVENTS,
    CheckpointSaved,
    Compensated,
    CorpusLoaded,
    CriteriaCompared,
    Evaluated,
    GatesChanged,
    Latency,
    ModelCut,
    ModelLoaded,
    ModelSaved,
    PlanMade,
    Previewed,
    StepTrained,
    Suggested,
    SuggestionMeasured,
    TextSampled,
    TrainingResumed,
    TuningStarted,
    Undone,
    UnitsScored,
    Validated,
)
from engine.record.folder import Writer, read_events
from engine.record.lifecycle import (
    CommandFinished,
    CommandRefused,
    CommandStarted,
    CommandStopped,
    Degraded,
    MemorySampled,
    Progressed,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopped,
    WorkerRestarted,
    WorkerStarted,
)
from engine.record.line import Stamped, Unreadable
from engine.record.state import Curve, RunState, Standing, fold
from tests.engine.record.examples import example

LOADED = ModelLoaded("m", "gpt2", 1000, 64, 300, (3, 3), (8, 8), (10, 10), (5, 5), "cpu", "float32")
CORPUS = CorpusLoaded("text", 8, 1, 1, None, 100, 100, None)


def plan(heads: tuple = ((0, 1),)) -> PlanMade:
    """A plan of some heads."""
    return PlanMade(heads, (len(heads), 0), (0, 0), (0.3, 0.3), (0.0, 0.0), 1000, 800, "random")


def gates(reason: str, heads: tuple = ((0, 1),)) -> GatesChanged:
    """Gates closed at some heads."""
    return GatesChanged(heads, (len(heads), 0), (0, 0), 1000, 800, reason)


def measured(stage: str, perplexity: float = 20.0) -> Evaluated:
    """A perplexity."""
    return Evaluated(stage, perplexity, 100.0, 50, "text", 32, "float32")


def text(stage: str) -> TextSampled:
    """A text."""
    return TextSampled(stage, "The", 0, ("The", " end"), (None, 1.5), 1)


def doing(line: int, name: str, *events: object, end: type = CommandFinished) -> list:
    """A command with what it yields."""
    last = CommandRefused(line, name, "field", "why") if end is CommandRefused else end(line, name)
    return [CommandStarted(line, name), *events, last]


def training(arm: str, steps: int) -> list:
    """The events of one arm."""
    found = [TuningStarted(arm, "full", steps, "float32"), Validated(arm, 0, 3.0, 50)]
    found += [StepTrained(arm, step, steps, 3.0 - step / 10, 1e-3) for step in range(1, steps + 1)]
    return [*found, Validated(arm, steps, 2.5, 50)]


LOAD = [RunStarted({"model": "m"}, "1"), WorkerStarted(7, 1), *doing(0, "Load", LOADED, CORPUS)]
BASELINE = [*doing(1, "Evaluate", measured("baseline", 10.0)), *doing(2, "Sample", text("baseline"))]
SCORE = doing(3, "Score", UnitsScored("random", ((1.0, 2.0, 3.0),) * 2, 512, None))
PRUNE = doing(4, "Prune", plan(), gates("prune"), Compensated("bias", 512, (), ()), CheckpointSaved("step-000001", None, "prune"))
PRUNED = [*doing(5, "Evaluate", measured("pruned", 30.0)), *doing(6, "Sample", text("pruned"))]
TUNED = [CheckpointSaved("step-000002", "step-000001", "tune"), measured("tuned", 15.0), text("tuned")]
CONTROL = [*training("control", 4), measured("control", 9.0), text("control")]
TUNE = doing(7, "Tune", *training("tuned", 4), *TUNED, *CONTROL)
LATENCY = Latency(1, 32, 0.2, 0.1, 7)
CUT = doing(8, "Cut", ModelCut(1000, 800, 4000, 3200, (LATENCY,), 1e-6), measured("cut", 15.0))
SAVE = doing(9, "Save", ModelSaved("model", 5000))
STORY = [*LOAD, *BASELINE, *SCORE, *PRUNE, *PRUNED, *TUNE, *CUT, *SAVE, RunFinished()]


def stamp(events: list) -> list[Stamped]:
    """Number them, two seconds apart."""
    return [Stamped(number, 100.0 + 2 * number, event) for number, event in enumerate(events)]


def after(*parts: list) -> RunState:
    """The state after some parts of a story."""
    return fold(RunState(), stamp([event for part in parts for event in part]))


def one_by_one(events: list[Stamped]) -> RunState:
    """Folded singly."""
    state = RunState()
    for event in events:
        state = fold(state, [event])
    return state


def test_a_comparison_of_criteria_stays_until_another_model_is_loaded():
    """It is of that model, and stands beside the scores that were told last."""
    compared = CriteriaCompared(("random", "taylor"), (RankCorrelation("random", "taylor", "heads", 0.25, 2),), 512)
    state = after(LOAD, SCORE, doing(4, "Agree", compared))
    assert state.compared == compared and state.scores.criterion == "random"
    assert after(LOAD, SCORE, doing(4, "Agree", compared), LOAD).compared is None


def test_a_whole_run_folds_to_what_it_told():
    """Everything that was measured stands in its place."""
    state = after(STORY)
    assert (state.status, state.is_over, state.model, state.corpus, state.worker) == ("finished", True, LOADED, CORPUS, 7)
    assert state.recipe == {"model": "m"} and state.version == "1" and state.events == len(STORY)
    standing = state.standing
    assert {stage: found.perplexity for stage, found in standing.perplexity.items()} == {
        "baseline": 10.0, "pruned": 30.0, "tuned": 15.0, "control": 9.0, "cut": 15.0,
    }  # fmt: skip
    assert list(standing.samples) == ["baseline", "pruned", "tuned", "control"]
    assert standing.curves["tuned"] == Curve(4, ((1, 2.9), (2, 2.8), (3, 2.7), (4, 2.6)), ((0, 3.0), (4, 2.5)))
    assert (standing.plan, standing.gates, standing.cut.latency) == (plan(), gates("prune"), (LATENCY,))
    assert standing.saved == ModelSaved("model", 5000)
    assert state.checkpoint == "step-000002" and state.parents == {"step-000001": None, "step-000002": "step-000001"}
    assert state.started == 100.0 and state.ended == state.last == 100.0 + 2 * (len(STORY) - 1)


def test_in_one_go_one_by_one_and_through_a_file_it_is_the_same_state(tmp_path):
    """Late viewers and early ones see one picture."""
    events = [*STORY[:-1], *doing(10, "Undo", Undone("step-000001"), gates("undo")), RunFinished()]
    path, times = tmp_path / "events.jsonl", iter(range(100, 1000, 2))
    writer = Writer(path, clock=lambda: float(next(times)))
    for event in events:
        writer.append(event)
    writer.close()
    at_once = fold(RunState(), stamp(events))
    assert one_by_one(stamp(events)) == at_once == fold(RunState(), read_events(tmp_path))


def test_any_events_in_any_order_fold_and_fold_alike():
    """A file that makes no sense is shown as it is, and raises nothing."""
    draw = random.Random(0)
    for _ in range(30):
        kinds = [*draw.choices(list(EVENTS.values()), k=40), *draw.choices([StepTrained, Validated, MemorySampled], k=20)]
        draw.shuffle(kinds)
        events = stamp([example(kind, draw) for kind in kinds])
        cut = draw.randrange(len(events))
        state = fold(RunState(), events)
        assert state == one_by_one(events) == fold(fold(RunState(), events[:cut]), events[cut:])
        assert state.events == len(events)


def test_folding_changes_no_state_that_was_given():
    """A chart may keep the state that it has drawn."""
    half = after(STORY[:20])
    again = after(STORY[:20])
    fold(half, stamp(STORY)[20:])
    assert half == again


def test_the_status_follows_what_is_being_done():
    """New until a worker is up; then idle, busy, paused; then one of three ends."""
    seen = [fold(RunState(), stamp(LOAD[: count + 1])).status for count in range(3)]
    assert seen == ["new", "idle", "busy"]
    held = [*LOAD, CommandStarted(1, "Tune"), RunPaused()]
    assert after(LOAD).status == "idle"
    assert after(held).status == "paused" and after(held, [RunResumed()]).status == "busy"
    assert after(held, [CommandStopped(1, "Tune")]).status == "idle"
    ends = {"finished": RunFinished(), "stopped": RunStopped(), "failed": RunFailed("why", "model")}
    for status, event in ends.items():
        state = after(LOAD, [event])
        assert (state.status, state.is_over) == (status, True)
    assert after(LOAD, [RunFailed("why")]).failure == RunFailed("why")


def test_progress_is_that_of_the_command_in_hand():
    """It ends with the command."""
    progress = Progressed("reading", 1, 2, "parts")
    begun = [*LOAD, CommandStarted(1, "Evaluate"), progress]
    assert after(begun).progress == progress and after(begun).doing == "Evaluate" and after(begun).doing_line == 1
    state = after(begun, [CommandFinished(1, "Evaluate")])
    assert (state.progress, state.doing, state.doing_line, state.doing_since) == (None, "", None, None)


def test_seconds_are_those_between_start_and_end_summed_by_command():
    """Two evaluations of two and six seconds."""
    state = after(LOAD, doing(1, "Evaluate"), doing(2, "Evaluate", RunPaused(), RunResumed()))
    assert state.seconds == {"Load": 6.0, "Evaluate": 2.0 + 6.0}
    assert state.commands_done == 3


def test_a_command_takes_no_less_than_no_time():
    """The clock was set back by an hour while it was being done."""
    facts = [Stamped(0, 7200.0, CommandStarted(0, "Load")), Stamped(1, 3600.0, CommandFinished(0, "Load"))]
    assert fold(RunState(), facts).seconds == {"Load": 0.0}


def test_a_refusal_is_told_until_something_is_done_again():
    """The page shows it beside the control."""
    refused = after(LOAD, doing(1, "Score", end=CommandRefused))
    assert refused.refused == CommandRefused(1, "Score", "field", "why") and refused.status == "idle"
    assert fold(refused, stamp([CommandStarted(2, "Score")])).refused is None


def test_a_refusal_changes_nothing_that_stood():
    """Also where the command had begun to tell of a change."""
    stood = after(LOAD, BASELINE, PRUNE, PRUNED).standing
    for begun in ([plan(()), gates("prune", ())], [gates("by hand", ())], training("tuned", 3)):
        for end in (CommandRefused, CommandStopped):
            assert after(LOAD, BASELINE, PRUNE, PRUNED, doing(7, "Change", *begun, end=end)).standing == stood


def test_a_recovery_that_was_stopped_keeps_what_was_checkpointed():
    """The steps so far are the model's own by then."""
    told = [*training("tuned", 3), CheckpointSaved("step-000002", "step-000001", "tune, stopped"), measured("tuned")]
    state = after(LOAD, BASELINE, PRUNE, PRUNED, doing(7, "Tune", *told, end=CommandStopped))
    assert len(state.standing.curves["tuned"].training) == 3 and "tuned" in state.standing.perplexity
    assert state.checkpoint == "step-000002"


def test_an_undo_brings_back_what_stood():
    """Plan, gates, perplexities, texts, curves and the cut, each as before the change."""
    parts = [LOAD, BASELINE, PRUNE, PRUNED, TUNE, CUT]
    again = doing(10, "Prune", plan(()), gates("prune", ()), CheckpointSaved("step-000003", "step-000002", "prune"))
    stood = after(*parts).standing
    changed = after(*parts, again)
    assert changed.standing != stood and list(changed.standing.perplexity) == ["baseline"] and changed.standing.cut is None
    back = after(*parts, again, doing(11, "Undo", Undone("step-000002"), gates("undo")))
    assert back.standing == Standing(**{**vars(stood), "gates": gates("undo")})
    assert back.checkpoint == "step-000002" and back.can_undo
    further = doing(12, "Undo", Undone("step-000001"), gates("undo"))
    pruned = after(*parts, again, doing(11, "Undo", Undone("step-000002"), gates("undo")), further)
    assert list(pruned.standing.perplexity) == ["baseline", "pruned"] and pruned.standing.curves == {}
    assert pruned.standing.cut is None and pruned.step is None


def test_undone_to_the_start_nothing_is_left_to_undo():
    """The baseline stands."""
    state = after(LOAD, BASELINE, PRUNE, PRUNED, doing(7, "Undo", Undone(None), gates("undo", ())))
    assert not state.can_undo and list(state.standing.perplexity) == list(state.standing.samples) == ["baseline"]
    assert state.standing.plan is None


def test_a_gate_set_by_hand_makes_what_was_measured_history():
    """All but the baseline; an undo brings it back."""
    by_hand = [gates("by hand", ()), CheckpointSaved("step-000003", "step-000002", "by hand")]
    state = after(LOAD, BASELINE, PRUNE, PRUNED, TUNE, CUT, SAVE, doing(10, "SetGate", *by_hand))
    assert list(state.standing.perplexity) == ["baseline"] and state.standing.gates == by_hand[0]
    assert state.standing.cut is None and state.standing.saved is None
    back = fold(state, stamp(doing(11, "Undo", Undone("step-000002"), gates("undo"))))
    assert list(back.standing.perplexity) == ["baseline", "pruned", "tuned", "control", "cut"]


def test_a_second_recovery_stands_beside_no_control_but_its_own():
    """The control of the first one had fewer steps."""
    state = after(LOAD, BASELINE, PRUNE, PRUNED, TUNE, CUT, [CommandStarted(9, "Tune"), *training("tuned", 2)])
    assert list(state.standing.perplexity) == ["baseline", "pruned"] and list(state.standing.curves) == ["tuned"]
    assert state.standing.cut is None and len(state.standing.curves["tuned"].training) == 2


def test_another_model_starts_anew():
    """Nothing of the one before is shown with it, and nothing of it can be undone."""
    state = after(STORY[:-1], doing(10, "Load", LOADED, CORPUS))
    assert state.standing == Standing() and not state.can_undo and state.scores is None and state.step is None
    assert state.shelved == {} and state.arm == ""


def test_steps_tell_rate_and_arm():
    """`step_since` is when the first step of the arm came, so that steps over seconds is its rate."""
    state = after(LOAD, [CommandStarted(1, "Tune"), *training("tuned", 4)])
    first = len(LOAD) + 3
    assert state.arm == "tuned" and state.step.step == 4 and state.step_since == 100.0 + 2 * first
    state = fold(state, stamp([TuningStarted("control", "full", 4, "float32")]))
    assert (state.arm, state.step, state.step_since) == ("control", None, None)


def test_memory_is_a_series_with_its_times():
    """Across batches, whatever comes between."""
    sample = MemorySampled(1, 2, 3, None, None)
    state = after([sample, *LOAD, sample], [sample])
    assert state.memory == ((100.0, sample), (100.0 + 2 * (len(LOAD) + 1), sample), (100.0 + 2 * (len(LOAD) + 2), sample))


def test_what_was_done_instead_is_kept():
    """Every degradation, in order."""
    first, second = Degraded("a", "b", "c"), Degraded("d", "e", "f")
    assert after(LOAD, [first, second]).degraded == (first, second)


def test_a_worker_that_died_leaves_the_run_as_before_the_command_in_hand():
    """The next one goes on from the last checkpoint."""
    begun = [CommandStarted(5, "Tune"), *training("tuned", 2)]
    restarted = WorkerRestarted("killed", "step-000001")
    state = after(LOAD, BASELINE, PRUNE, begun, [restarted])
    assert state.status == "new" and state.restarts == (restarted,) and (state.doing, state.doing_line) == ("", None)
    assert state.standing == after(LOAD, BASELINE, PRUNE).standing
    assert fold(state, stamp([WorkerStarted(8, 1)])).status == "idle"


def test_what_a_worker_died_of_is_known_until_the_next_command_is_done():
    """Also where the next worker dies before it takes that up again; nothing in hand is told from no death."""
    died = after(LOAD, [CommandStarted(5, "Tune"), WorkerRestarted("killed", None)])
    assert died.interrupted == "Tune"
    again = fold(died, stamp([WorkerRestarted("killed", None), WorkerStarted(8, 1), CommandStarted(5, "Tune")]))
    assert again.interrupted == "Tune"
    assert fold(again, stamp([CommandFinished(5, "Tune")])).interrupted is None
    assert after(LOAD).interrupted is None and after(LOAD, [WorkerRestarted("killed", None)]).interrupted == ""


def test_previews_and_scores_are_the_last_ones():
    """Both are told apart from what stands."""
    preview = Previewed(((0, 0),), (1, 0), (0, 0), 1000, 900, 12.0, 50, 32)
    state = after(LOAD, SCORE, [preview])
    assert state.preview == preview and state.scores == SCORE[1] and state.standing == Standing()


def test_training_and_its_undo_outdate_scores_and_preview():
    """Both are of the weights that stood; closing gates changes no weight, and scoring anew is of those that stand."""
    preview = Previewed(((0, 1),), (1, 0), (0, 0), 1000, 800, 25.0, 50, 32)
    known = after(LOAD, SCORE, doing(4, "Preview", preview), PRUNE)
    assert not known.scores_stale and known.preview == preview
    trained = after(LOAD, SCORE, doing(4, "Preview", preview), PRUNE, TUNE)
    assert trained.scores_stale and trained.preview is None
    back = doing(9, "Undo", gates("undo"), Undone("step-000001"))
    undone = after(LOAD, SCORE, PRUNE, TUNE, SCORE, doing(8, "Preview", preview), back)
    assert undone.scores_stale and undone.preview is None
    assert not after(LOAD, SCORE, PRUNE, TUNE, back).scores_stale  # the weights of then, scored then
    again = doing(10, "Undo", gates("undo"), Undone(None))
    assert fold(undone, stamp(again + SCORE)).scores_stale is False


def test_what_cannot_be_read_is_counted_and_passed_over():
    """A line of another version changes nothing."""
    state = after(LOAD)
    passed = fold(state, [Stamped(99, 999.0, Unreadable("Evaluated", "perplexity", "why."))])
    assert passed == RunState(**{**vars(state), "events": state.events + 1, "last": 999.0})


@pytest.mark.parametrize("checkpoint", [None, "step-000009"])
def test_an_undo_to_what_nobody_saw_shows_nothing(checkpoint):
    """Rather than what stood elsewhere."""
    assert after(LOAD, [Undone(checkpoint)]).standing == Standing()


SUGGESTED = Suggested("random", (0.0, 0.3), (0.0, 0.0), "layer", "predicted", 0.1, 0.2, 1000, 800)
IN_ROUNDS = doing(
    4, "Prune", SUGGESTED, replace(plan(((1, 1),)), round=1, rounds=2), UnitsScored("random", ((9.0,) * 3,) * 2, 512, None, 2),
    replace(plan(), round=2, rounds=2), gates("prune"), CheckpointSaved("step-000001", None, "prune"),
)  # fmt: skip


def test_rounds_on_the_way_to_a_plan_change_nothing_that_an_undo_brings_back():
    """The scores stay those of the whole model, the plan is the last round's, and behind it is what stood before the first."""
    before, state = after(LOAD, BASELINE, SCORE), after(LOAD, BASELINE, SCORE, IN_ROUNDS)
    assert state.scores == before.scores and state.standing.plan.round == 2 and state.suggested == SUGGESTED
    undone = after(LOAD, BASELINE, SCORE, IN_ROUNDS, doing(5, "Undo", Undone(None)))
    assert undone.standing == before.standing


def test_what_was_found_out_of_other_weights_is_known_to_be_outdated():
    """After a recovery nobody should read that nothing was suggested yet; a pruning leaves the weights as they are."""
    asked = [LOAD, doing(2, "Suggest", SUGGESTED)]
    assert after(*asked, PRUNE).outdated == () and after(*asked, PRUNE).suggested == SUGGESTED
    trained = after(*asked, PRUNE, doing(9, "Tune", *TUNED))
    assert trained.suggested is None and trained.outdated == ("suggested",)
    assert after(LOAD, PRUNE, doing(9, "Tune", *TUNED)).outdated == ()
    again = after(*asked, PRUNE, doing(9, "Tune", *TUNED), doing(10, "Suggest", SUGGESTED))
    assert again.suggested == SUGGESTED


def test_a_promise_stands_until_there_is_another_plan():
    """What a suggestion has come to is that plan's, and another model's suggestion is nobody's."""
    kept = SuggestionMeasured(0.1, 0.12)
    state = after(LOAD, BASELINE, SCORE, IN_ROUNDS, doing(5, "Evaluate", measured("pruned"), kept))
    assert state.standing.promise == kept
    assert after(LOAD, BASELINE, IN_ROUNDS, doing(5, "Evaluate", kept), PRUNE).standing.promise is None
    assert after(LOAD, doing(1, "Suggest", SUGGESTED), doing(2, "Load", LOADED)).suggested is None


@pytest.mark.parametrize("arm", ["tuned", "control"])
def test_a_training_that_goes_on_from_a_bookmark_shows_every_step_once(arm):
    """What was told of later steps goes; the worker may have died once more before it took the training up, and once more as it
    had begun to."""
    made = [TuningStarted("tuned", "full", 9, "float32"), Validated("tuned", 0, 3.0, 50)]
    made += [StepTrained("tuned", step, 9, 3.0 - step / 10, 1e-3) for step in range(1, 7)] + [Validated("tuned", 5, 2.5, 50)]
    if arm == "control":
        made += [CheckpointSaved("step-000002", "step-000001", "tune")]
        made += [replace(fact, arm=arm) for fact in made[:-1]]
    died = [WorkerRestarted("killed", None), WorkerStarted(8, 1), CommandStarted(7, "Tune")]
    again = [TuningStarted(arm, "full", 9, "float32"), TrainingResumed(arm, 4, 0), StepTrained(arm, 5, 9, 2.0, 1e-3)]
    facts = [*LOAD, *BASELINE, *SCORE, *PRUNE, *PRUNED, CommandStarted(7, "Tune"), *made, *died, *died, again[0], *died, *again]
    state = after(facts)
    assert state.standing.curves[arm].training == (*((step, 3.0 - step / 10) for step in range(1, 5)), (5, 2.0))
    assert state.standing.curves[arm].validation == ((0, 3.0),)
    assert state.resumed == TrainingResumed(arm, 4, 0) and state == one_by_one(stamp(facts))
    done = after(facts, [CommandFinished(7, "Tune")])
    assert done.resumed is None and done.lost == {}


@pytest.mark.parametrize("answered", [True, False])
def test_a_training_that_is_done_again_for_want_of_room_has_every_step_once(answered):
    """By the same process: asked again after a refusal, whatever else was asked meanwhile, or done again unasked."""
    made = training("tuned", 9)
    refused = [CommandRefused(7, "Tune", "", "No room."), *doing(8, "Evaluate", measured("pruned"))]
    again = [TuningStarted("tuned", "full", 9, "float32"), TrainingResumed("tuned", 4, 0), StepTrained("tuned", 5, 9, 2.0, 1e-3)]
    line = 9 if answered else 7
    first = [*LOAD, *PRUNE, CommandStarted(7, "Tune"), *made, *(refused if answered else [])]
    facts = [*first, CommandStarted(line, "Tune"), *again]
    state = after(facts)
    assert state.standing.curves["tuned"].training == (*((step, 3.0 - step / 10) for step in range(1, 5)), (5, 2.0))
    assert state.standing.curves["tuned"].validation == ((0, 3.0),) and state == one_by_one(stamp(facts))


def test_what_is_told_again_after_a_death_counts_once():
    """The same thing was done otherwise in the same place; in another command it counts again."""
    fact = Degraded("keeping the activations of step 3 of the recovery", "computed again", "memory ran out")
    begun = [*LOAD, CommandStarted(7, "Tune"), fact, WorkerRestarted("killed", None), CommandStarted(7, "Tune"), fact]
    assert after(begun).degraded == (fact,)
    assert after(begun, [CommandFinished(7, "Tune"), CommandStarted(8, "Tune"), fact]).degraded == (fact, fact)
