"""Tests of engine/workbench.py on a tiny model: each command alone, given up at every event, and taken back to the bit."""

import itertools
import json
import math
import resource
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaForCausalLM

from engine.evaluation.perplexity import evaluate
from engine.models.load import load
from engine.models.stored import SIDECAR
from engine.pruning.checkpoint import load_pruned
from engine.pruning.evidence import Evidence
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.record import commands as ask
from engine.record import events as tell
from engine.record.disk import Unwritten
from engine.record.errors import BadInput, UnknownName
from engine.record.lifecycle import Degraded, Progressed
from engine.record.recipe import Calibration, Recipe, Schedule
from engine.record.state import RunState
from engine.recovering import Recovery
from engine.recovery.loop import train
from engine.recovery.stepper import Diverged
from engine.report import compared
from engine.text.corpora import read_corpus
from engine.text.texts import Texts
from engine.workbench import Workbench
from tests.families import grouped

NO_CONTROL = {"control": False}


@pytest.fixture
def bench(recipe, tmp_path):
    """A workbench with the tiny model and text on it, in a run folder."""
    bench = Workbench(tmp_path, recipe)
    do(bench, ask.commands_of(recipe)[0])
    yield bench
    bench.close()


def do(bench: Workbench, *commands: ask.Command) -> list:
    """Carry out commands to their ends."""
    return [event for command in commands for event in bench.handle(command)]


def seen(bench: Workbench) -> torch.Tensor:
    """The logits of the model as it stands."""
    with torch.no_grad():
        return bench.desk.model(torch.arange(2, 34)[None]).logits  # [1, 32, vocabulary]


def prune(recipe: Recipe, **changes) -> ask.Prune:
    """The Prune of a recipe, with other choices."""
    given = {
        "criterion": recipe.criterion, "heads": recipe.heads, "neurons": recipe.neurons, "compensation": recipe.compensation,
        "calibration": recipe.calibration, "seed": recipe.seed,
    }  # fmt: skip
    return ask.Prune(**(given | changes))


def preview(recipe: Recipe, **changes) -> ask.Preview:
    """The Preview of the same."""
    shared = {name: value for name, value in vars(prune(recipe)).items() if name not in ("revive", "only")}
    return ask.Preview(**(shared | {"evaluation": recipe.evaluation} | changes))


def tune(recipe: Recipe, **changes) -> ask.Tune:
    """The Tune of a recipe, with other choices."""
    return ask.Tune(recipe.tuning.model_copy(update=changes), recipe.evaluation, recipe.prompt, recipe.seed)


def one(events: list, kind: type):
    """The only event of a kind."""
    (found,) = (event for event in events if isinstance(event, kind))
    return found


def one_return(steps) -> object:
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_a_head_for_another_task_is_left_out_and_told(bench, recipe, model_folder, tmp_path):
    """Before the model is: whoever saves it later does not save that head."""
    shutil.copytree(model_folder, tmp_path / "two-heads")
    weights = load_file(model_folder / "model.safetensors") | {"v_head.summary.weight": torch.ones(1, 24)}
    save_file(weights, tmp_path / "two-heads" / "model.safetensors", metadata={"format": "pt"})
    events = do(bench, replace(ask.commands_of(recipe)[0], model=str(tmp_path / "two-heads")))
    assert one(events, Degraded).asked == "the model with 'v_head.summary.weight'"
    assert not any(isinstance(event, Degraded) for event in do(bench, ask.commands_of(recipe)[0]))


@pytest.mark.parametrize("name", [name for name in ask.COMMANDS if name != "Load"])
def test_nothing_is_done_before_a_model_is_loaded(name):
    """One sentence, whatever was asked."""
    examples = {"Score": ask.Score("random"), "SetGate": ask.SetGate(0, 0, False), "Evaluate": ask.Evaluate("baseline")}
    examples |= {"Sample": ask.Sample("baseline", "x"), "Prune": ask.Prune("random", Schedule(), Schedule())}
    examples |= {"Preview": ask.Preview("random", Schedule(), Schedule()), "Agree": ask.Agree(("random", "magnitude"))}
    examples |= {"Suggest": ask.Suggest(0.1, "random")}
    command = examples[name] if name in examples else ask.COMMANDS[name]()
    with pytest.raises(BadInput, match=f"^{name} needs a model; load one first"):
        do(Workbench(), command)


@pytest.mark.parametrize("command", [ask.Pause(), ask.Resume(), ask.Step(), ask.Stop(), ask.Finish()])
def test_holds_are_not_for_the_workbench(bench, command):
    """Whoever drives it answers them."""
    with pytest.raises(BadInput, match="is for whoever drives the workbench"):
        do(bench, command)


def test_loading_tells_what_the_model_and_the_text_are(recipe, bench, model_folder):
    """As `load` and the tokenizer have them."""
    events = do(bench, ask.commands_of(recipe)[0])
    loaded = load(model_folder)
    told = one(events, tell.ModelLoaded)
    assert (told.family, told.context, told.heads, told.neurons) == ("gpt2", 64, (3, 3, 3), (40, 40, 40))
    assert told.parameters == sum(parameter.numel() for parameter in loaded.model.parameters())
    text = one(events, tell.CorpusLoaded)
    assert text.train_documents > text.evaluation_documents > 0 and text.evaluation_tokens > 500


@pytest.mark.parametrize(
    "changes, field",
    [({"model": "/nowhere/at/all"}, "model"), ({"corpus": "file:/nowhere"}, "corpus"), ({"device": "mps"}, "device")],
)
def test_a_load_that_is_impossible_leaves_the_model_that_was_there(recipe, bench, changes, field):
    """And says which field was wrong."""
    if field == "device" and torch.backends.mps.is_available():
        pytest.skip("this machine has that device")
    before, wrong = seen(bench), recipe.model_copy(update=changes)
    with pytest.raises(BadInput) as caught:
        do(bench, ask.commands_of(wrong)[0])
    assert caught.value.field == field
    assert torch.equal(seen(bench), before)


def _ends_nothing(folder: Path) -> str:
    """Have a model's tokenizer lack its end-of-text token; what is said of it."""
    known = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(known | {"eos_token": None}))
    return "no end-of-text token"


def _knows_little(folder: Path) -> str:
    """Have a model know fewer tokens than its tokenizer makes; what is said of it."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 20}))
    weights = load_file(folder / "model.safetensors")
    embedding = weights["transformer.wte.weight"][:20].clone()  # [20, width]
    save_file(weights | {"transformer.wte.weight": embedding}, folder / "model.safetensors", metadata={"format": "pt"})
    return "the model knows 0 to 19"


@pytest.mark.parametrize("spoil", [_ends_nothing, _knows_little])
def test_a_model_whose_tokenizer_is_refused_leaves_the_one_that_was_there(recipe, bench, model_folder, tmp_path, spoil):
    """With what was done to it, which an undo takes back as if nothing had been asked; the record tells of no other model."""
    do(bench, prune(recipe))
    shutil.copytree(model_folder, tmp_path / "other")
    said, before, desk, told = spoil(tmp_path / "other"), seen(bench), bench.desk, []
    with pytest.raises(BadInput, match=said):
        told.extend(bench.handle(replace(ask.commands_of(recipe)[0], model=str(tmp_path / "other"))))
    assert not any(isinstance(event, tell.ModelLoaded) for event in told)
    assert bench.desk is desk and torch.equal(seen(bench), before)
    do(bench, ask.Undo())
    assert not bench.desk.stand.name


def test_criteria_are_compared_on_one_pass(recipe, bench):
    """Every pair on every kind, as the scores themselves have it; the text is read once, and the scores that were told stay."""
    do(bench, ask.Score("entropy", recipe.calibration))
    names = ("activation", "fluctuation", "magnitude", "taylor")
    events = do(bench, ask.Agree(names, recipe.calibration))
    told = one(events, tell.CriteriaCompared)
    assert (told.criteria, told.tokens, len(told.correlations)) == (names, 512, 12)
    assert not any(isinstance(event, tell.UnitsScored) for event in events)
    assert sum(isinstance(event, Progressed) and event.done == 0 for event in events) == 1
    blocks = bench.desk.calibration_blocks(recipe.calibration)
    scores = [one_return(bench.desk.evidence.scores(name, blocks, 0)) for name in names]
    assert told == compared(names, scores, 512)
    assert all(-1 <= pair.correlation <= 1 and pair.layers == 3 for pair in told.correlations)


@pytest.mark.parametrize("names", [(), ("random",), ("random", "random")])
def test_less_than_two_criteria_are_not_compared(recipe, bench, names):
    """There is nothing to compare them with."""
    with pytest.raises(BadInput, match="name at least two, each once"):
        do(bench, ask.Agree(names, recipe.calibration))


def test_a_preview_is_what_pruning_gives_and_changes_nothing(recipe, bench):
    """The same counts and, up to the rounding of a cut, the same perplexity; the model before and after it to the last bit."""
    before = seen(bench)
    promised = one(do(bench, preview(recipe)), tell.Previewed)
    assert torch.equal(seen(bench), before)
    made = do(bench, prune(recipe))
    measured = one(do(bench, ask.Evaluate("pruned", recipe.evaluation)), tell.Evaluated)
    assert promised.perplexity == pytest.approx(measured.perplexity, rel=1e-5) and promised.tokens == measured.tokens
    plan = one(made, tell.PlanMade)
    assert (promised.heads, promised.head_counts, promised.neuron_counts) == (plan.heads, plan.head_counts, plan.neuron_counts)
    assert promised.parameters_after == plan.parameters_after < plan.parameters_before


def test_a_preview_over_a_pruned_model_puts_back_what_lay_there(recipe, bench):
    """Another plan for a moment, and the first one again to the bit."""
    do(bench, prune(recipe))
    pruned, other = seen(bench), {"heads": Schedule(level=1.0), "criterion": "random", "compensation": "bias"}
    promised = one(do(bench, preview(recipe, **other)), tell.Previewed)
    assert torch.equal(seen(bench), pruned)
    do(bench, prune(recipe, **other))
    measured = one(do(bench, ask.Evaluate("pruned", recipe.evaluation)), tell.Evaluated)
    assert measured.perplexity == pytest.approx(promised.perplexity, rel=1e-5)


def test_a_head_that_shares_its_key_is_opened_and_closed_with_its_group(recipe, tmp_path, model_folder):
    """Two heads share one: asking for either asks for both, and what is said to go is what a cut would take."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    config = grouped("Llama", vocab_size=len(tokenizer), loss_type="ForCausalLM")
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    bench = Workbench(None, recipe.model_copy(update={"model": str(tmp_path / "model")}))
    loaded = one(do(bench, ask.commands_of(bench.recipe)[0]), tell.ModelLoaded)
    changed = one(do(bench, ask.SetGate(1, 3, open=False)), tell.GatesChanged)
    assert (loaded.groups, changed.heads) == ((3, 3), ((1, 2), (1, 3)))
    assert changed.parameters_before - changed.parameters_after == loaded.group_parameters[1]
    assert one(do(bench, ask.SetGate(1, 2, open=True)), tell.GatesChanged).heads == ()
    with pytest.raises(BadInput, match="heads 0 to 5"):
        do(bench, ask.SetGate(1, 6, open=False))
    bench.close()


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("name", ["Preview", "Prune", "Score", "Evaluate", "Cut", "SetGate"])
def test_a_command_that_is_given_up_leaves_the_model_to_the_bit(recipe, bench, name, pruned):
    """After any of its events; only a change that has told its checkpoint, its last event, is done and stays."""
    if pruned:
        do(bench, prune(recipe, criterion="random"))
    commands = {
        "Preview": preview(recipe, heads=Schedule(level=0.7)),
        "Prune": prune(recipe, heads=Schedule(level=0.7), criterion="magnitude"),
        "Score": ask.Score("activation", recipe.calibration),
        "Evaluate": ask.Evaluate("pruned", recipe.evaluation),
        "Cut": ask.Cut(recipe.evaluation),
        "SetGate": ask.SetGate(1, 1, open=(1, 1) in bench.desk.overlay.plan.heads),
    }
    command, before, stand, fresh = commands[name], seen(bench), bench.desk.stand, bench.desk.evidence
    done = ()
    if name in ("Prune", "SetGate"):
        assert do(bench, command) and not torch.equal(seen(bench), before)
        done = (ask.Undo(),)
    do(bench, *done)
    bench.desk.evidence = Evidence(fresh.model, fresh.anatomy)
    total = len(do(bench, command)) - len(done)
    do(bench, *done)
    for count in range(1, total + 1):
        bench.desk.evidence = Evidence(fresh.model, fresh.anatomy)  # else nothing is calibrated a second time
        events = bench.handle(command)
        list(itertools.islice(events, count))
        events.close()
        assert torch.equal(seen(bench), before), count
        assert bench.desk.stand == stand, count


def test_undo_and_reset_bring_every_stand_back_to_the_bit(recipe, bench):
    """Through pruning, a gate by hand, a recovery, and pruning again with another compensation; then forward again."""
    by_hand = ask.SetGate(2, 1, open=False)
    again = prune(recipe, criterion="magnitude", compensation="bias", heads=Schedule(level=0.7), neurons=Schedule(level=0.8))
    changes = [prune(recipe, criterion="random"), by_hand, tune(recipe, **NO_CONTROL), again, ask.SetGate(2, 1, open=True)]
    stood = [(seen(bench), bench.desk.overlay.plan, bench.desk.overlay.method)]
    for change in changes:
        do(bench, change)
        stood.append((seen(bench), bench.desk.overlay.plan, bench.desk.overlay.method))
    assert len({logits.numpy().tobytes() for logits, _, _ in stood}) == len(stood)
    for logits, plan, method in stood[-2::-1]:
        events = do(bench, ask.Undo())
        assert torch.equal(seen(bench), logits) and (bench.desk.overlay.plan, bench.desk.overlay.method) == (plan, method)
        assert one(events, tell.GatesChanged).heads == tuple(sorted(plan.heads))
    with pytest.raises(BadInput, match="^There is nothing to undo"):
        do(bench, ask.Undo())
    for change, (logits, _, _) in zip(changes, stood[1:], strict=True):
        do(bench, change)
        assert torch.equal(seen(bench), logits)
    reset = do(bench, ask.Reset())
    assert torch.equal(seen(bench), stood[0][0])
    assert one(reset, tell.Undone).checkpoint is None and one(reset, tell.GatesChanged).reason == "reset"
    model = bench.desk.model
    bench.close()
    with torch.no_grad():
        assert torch.equal(model(torch.arange(2, 34)[None]).logits, stood[0][0])
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("method", ["bias", "least-squares", "sequential"])
def test_biases_that_a_model_is_given_go_through_a_whole_run(recipe, model_folder, tmp_path, method):
    """Counted, changed by hand, trained, cut, saved and loaded; and an undo takes them away again, every stand to the bit."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    LlamaForCausalLM(grouped("Llama", vocab_size=len(tokenizer), loss_type="ForCausalLM")).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    bench = Workbench(tmp_path / "run", recipe.model_copy(update={"model": str(tmp_path / "model"), "compensation": method}))
    (tmp_path / "run").mkdir()
    do(bench, ask.commands_of(bench.recipe)[0])
    names, stood = set(bench.desk.model.state_dict()), [seen(bench)]
    looked = one(do(bench, preview(bench.recipe)), tell.Previewed)
    assert set(bench.desk.model.state_dict()) == names and torch.equal(seen(bench), stood[0])
    by_hand = ask.SetGate(1, 0, open=False)
    for change in (prune(bench.recipe), by_hand, tune(bench.recipe, **NO_CONTROL), prune(bench.recipe, compensation="none")):
        events = do(bench, change)
        stood.append(seen(bench))
        if len(stood) == 2:
            told = one(events, tell.PlanMade)
            assert "got one" in one(events, tell.Compensated).notes[0] and told.residuals == looked.residuals
            assert told.parameters_after == looked.parameters_after == one(events, tell.GatesChanged).parameters_after
    given = set(bench.desk.model.state_dict()) - names
    assert given and all(name.endswith("_proj.bias") for name in given)
    cut = one(do(bench, ask.Cut(recipe.evaluation), ask.Save()), tell.ModelCut)
    model, _ = load_pruned(tmp_path / "run" / "model")
    assert cut.difference < 1e-4 and given <= set(model.state_dict())
    assert set(json.loads((tmp_path / "run" / "model" / SIDECAR).read_text())["added_biases"]) == given
    for logits in stood[-2::-1]:
        do(bench, ask.Undo())
        assert torch.equal(seen(bench), logits)
    assert set(bench.desk.model.state_dict()) == names
    bench.close()


def test_another_process_goes_on_where_this_one_stood(recipe, bench, tmp_path):
    """From the folder alone: the same logits, the same undo, the same calibration for a gate by hand."""
    do(bench, prune(recipe), tune(recipe), prune(recipe, criterion="random"))
    other = Workbench(tmp_path, recipe)
    other.catch_up(ask.commands_of(recipe)[0], RunState(checkpoint=bench.desk.stand.name))
    for command in (ask.SetGate(0, 0, open=(0, 0) in bench.desk.overlay.plan.heads), ask.Undo(), ask.Undo(), ask.Undo()):
        assert torch.equal(seen(other), seen(bench)) and other.desk.stand == bench.desk.stand
        do(bench, command)
        other.desk.restore(bench.desk.stand.name or None) if isinstance(command, ask.SetGate) else do(other, command)
    other.catch_up(ask.commands_of(recipe)[0], RunState())
    do(other, prune(recipe))
    stand = other.desk.stand.name
    do(other, ask.SetGate(0, 0, open=(0, 0) in other.desk.overlay.plan.heads))
    wanted = seen(other)
    other.catch_up(ask.commands_of(recipe)[0], RunState(checkpoint=stand))
    do(other, ask.SetGate(0, 0, open=(0, 0) in other.desk.overlay.plan.heads))
    assert torch.equal(seen(other), wanted)
    other.close()


def test_a_gate_can_be_set_by_hand_on_a_model_that_was_never_pruned(recipe, bench):
    """Without any compensation; opened again the model is as before, to the bit."""
    before = seen(bench)
    events = do(bench, ask.SetGate(1, 2, open=False))
    assert one(events, tell.GatesChanged).heads == ((1, 2),) and one(events, tell.GatesChanged).reason == "by hand"
    assert not any(isinstance(event, tell.Compensated) for event in events)
    with Gates(load(recipe.model).model) as gates, torch.no_grad():
        gates.close(heads={(1, 2)})
        assert torch.equal(gates.model(torch.arange(2, 34)[None]).logits, seen(bench))
    do(bench, ask.SetGate(1, 2, open=True))
    assert torch.equal(seen(bench), before)


def test_a_gate_set_by_hand_is_compensated_as_the_plan_was(recipe, bench):
    """The same as a plan with that head from the start."""
    do(bench, prune(recipe))
    plan = bench.desk.overlay.plan
    head = next((1, head) for head in range(3) if (1, head) not in plan.heads)
    do(bench, ask.SetGate(*head, open=False))
    by_hand = seen(bench)
    do(bench, ask.Reset())
    known = end_of(bench.desk.known(recipe.compensation, recipe.calibration))
    bench.desk.overlay.lay(Plan(plan.heads | {head}, plan.neurons), recipe.compensation, known)
    assert torch.equal(seen(bench), by_hand)


@pytest.mark.parametrize("layer, head", [(3, 0), (0, 3), (-1, 0)])
@pytest.mark.parametrize("compensation", ["none", "least-squares"])
def test_a_gate_that_is_not_there_is_refused(recipe, bench, layer, head, compensation):
    """And what lies over the model stays."""
    do(bench, prune(recipe, compensation=compensation))
    before, stand = seen(bench), bench.desk.stand
    with pytest.raises(BadInput):
        do(bench, ask.SetGate(layer, head, open=False))
    assert torch.equal(seen(bench), before) and bench.desk.stand == stand


def end_of(steps):
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_scores_are_told_once_and_written_whole(recipe, bench, tmp_path):
    """The neurons' in a file of the run; again only where criterion, seed or weights differ."""
    told = one(do(bench, ask.Score("activation", recipe.calibration)), tell.UnitsScored)
    scores = load_file(tmp_path / told.artifact)
    assert [tuple(scores[f"heads.{layer}"].tolist()) for layer in range(3)] == list(told.heads)
    assert [scores[f"neurons.{layer}"].shape for layer in range(3)] == [(40,)] * 3
    assert not any(isinstance(event, tell.UnitsScored) for event in do(bench, ask.Score("activation", recipe.calibration)))
    one(do(bench, ask.Score("random", recipe.calibration, seed=1)), tell.UnitsScored)
    do(bench, tune(recipe, **NO_CONTROL))
    one(do(bench, ask.Score("random", recipe.calibration, seed=1)), tell.UnitsScored)


def test_no_more_tokens_are_told_than_a_calibration_has_read(recipe, bench):
    """Of a text that has fewer than were asked for; by a pruning of two rounds and by how alike criteria are as well."""
    there, most = bench.desk.texts.blocks("calibration", 32).numel(), Calibration(tokens=10**6, sequence_length=32)
    two = {"rounds": 2, "neurons": Schedule(level=0.5)}
    told = [
        *do(bench, ask.Score("activation", most)),
        *do(bench, ask.Agree(("activation", "magnitude"), most)),
        *do(bench, prune(recipe, criterion="fluctuation", calibration=most, **two)),
    ]
    facts = [event for event in told if isinstance(event, tell.UnitsScored | tell.CriteriaCompared)]
    assert len(facts) == 4 and {event.tokens for event in facts} == {there} and there < 10**6


def test_scores_are_those_of_the_model_without_what_lies_over_it(recipe, bench):
    """A second pruning ranks what the first one ranked."""
    first = one(do(bench, ask.Score("activation", recipe.calibration)), tell.UnitsScored)
    do(bench, prune(recipe, criterion="random"))
    bench.desk.evidence = Evidence(bench.desk.model, bench.desk.loaded.anatomy)
    assert end_of(bench.desk.scores("activation", recipe.calibration, 0)).heads == first.heads


@pytest.mark.parametrize(
    "command, field",
    [
        ("criterion", "criterion"),
        ("heads only", "criterion"),
        ("layers", "neurons.layers"),
        ("long", "calibration.sequence_length"),
    ],
)
def test_a_pruning_that_is_impossible_changes_nothing(recipe, bench, command, field):
    """One sentence, the field, and the model as it was."""
    changes = {
        "criterion": {"criterion": "activaton"},
        "heads only": {"criterion": "ablation"},
        "layers": {"neurons": Schedule(shape="custom", layers=(0.1, 0.2))},
        "long": {"calibration": recipe.calibration.model_copy(update={"sequence_length": 65})},
    }
    before = seen(bench)
    for asked in (prune(recipe, **changes[command]), preview(recipe, **changes[command])):
        with pytest.raises(BadInput) as caught:
            for event in bench.handle(asked):
                assert not isinstance(event, Progressed), "something was read before it was refused"
        assert caught.value.field == field
        assert isinstance(caught.value, UnknownName) == (command == "criterion")
    assert torch.equal(seen(bench), before) and bench.desk.stand.name == ""


def test_two_recoveries_have_a_control_that_went_through_both(recipe, bench):
    """The plain model, trained twice in the same way."""
    do(bench, prune(recipe))
    measured = []
    for _ in range(2):
        found = [event for event in do(bench, tune(recipe, steps=2)) if getattr(event, "stage", "") == "control"]
        measured.append(one(found, tell.Evaluated).perplexity)
    loaded = load(recipe.model)
    texts = Texts(read_corpus(recipe.corpus), loaded.tokenizer, 64, 400)
    blocks, held_out, evaluation = (texts.blocks(*of) for of in (("train", 32), ("calibration", 32, 64), ("evaluation", 32, 512)))
    tuning = recipe.tuning.model_copy(update={"steps": 2})
    for found in measured:
        list(train(loaded.model, blocks, held_out, tuning, arm="control", seed=0, precision=bench.desk.precision))
        assert found == pytest.approx(evaluate(loaded.model, evaluation).perplexity, rel=1e-9)


def test_without_pruning_the_tuned_model_is_the_control(recipe, bench):
    """Two arms, one training."""
    events = do(bench, tune(recipe))
    found = {event.stage: event.nll for event in events if isinstance(event, tell.Evaluated)}
    assert found["tuned"] == found["control"]
    losses = {arm: [e.loss for e in events if isinstance(e, tell.StepTrained) and e.arm == arm] for arm in ("tuned", "control")}
    assert losses["tuned"] == losses["control"] and len(losses["tuned"]) == recipe.tuning.steps


def test_a_recovery_whose_forerunner_had_no_control_says_that_it_has_none(recipe, bench):
    """Rather than a control that was trained less."""
    events = do(bench, prune(recipe), tune(recipe, **NO_CONTROL), tune(recipe))
    assert one(events, Degraded).asked == "a control" and one(events, Degraded).did == "none"
    assert not any(getattr(event, "arm", "") == "control" for event in events)


def test_a_recovery_keeps_the_gates_closed(recipe, bench):
    """The same plan, other weights; what is cut afterwards is the tuned model."""
    do(bench, prune(recipe))
    plan, before = bench.desk.overlay.plan, seen(bench)
    events = do(bench, tune(recipe, **NO_CONTROL), ask.Cut(recipe.evaluation))
    assert bench.desk.overlay.plan == plan and not torch.equal(seen(bench), before)
    found = {event.stage: event.perplexity for event in events if isinstance(event, tell.Evaluated)}
    assert found["cut"] == pytest.approx(found["tuned"], rel=1e-5)


def test_a_recovery_that_diverges_leaves_the_model_as_it_was(recipe, bench):
    """To the bit, with what lay over it, although two steps were made; the recipe is not to blame for it."""
    do(bench, prune(recipe))
    weights = {name: one.detach().clone() for name, one in bench.desk.model.named_parameters()}
    plan, stand = bench.desk.overlay.plan, bench.desk.stand
    with pytest.raises(Diverged) as caught:
        for event in bench.handle(tune(recipe)):
            if isinstance(event, tell.StepTrained) and event.step == 2:
                with torch.no_grad():
                    bench.desk.model.transformer.wte.weight[5] = math.nan
    assert caught.value.field == ""
    assert all(torch.equal(weights[name], one) for name, one in bench.desk.model.named_parameters())
    assert (bench.desk.overlay.plan, bench.desk.stand) == (plan, stand)
    assert list(bench.after_end(tune(recipe), "diverged")) == []


def test_what_cannot_be_checkpointed_is_not_done(recipe, tmp_path, monkeypatch):
    """A pruning and a recovery: the model is that of the checkpoint before, to the bit, gates and measurements too, and there is
    nothing half written; asked again, with room, it is done."""
    monkeypatch.setenv("ESPALIER_FAULTS", "checkpoint@2x2")
    with closing(Workbench(tmp_path, recipe)) as bench:
        do(bench, ask.commands_of(recipe)[0], prune(recipe), ask.Evaluate("pruned", recipe.evaluation))
        weights = {name: one.detach().clone() for name, one in bench.desk.model.named_parameters()}
        plan, stand, found = bench.desk.overlay.plan, bench.desk.stand, dict(bench.measured.found)
        for command in (prune(recipe, criterion="magnitude"), tune(recipe, **NO_CONTROL)):
            with pytest.raises(Unwritten, match=r"^The checkpoint could not be written to disk \(No space left on device\)"):
                do(bench, command)
            assert list(bench.after_end(command, "diverged")) == []
            assert all(torch.equal(weights[name], one) for name, one in bench.desk.model.named_parameters())
            assert (bench.desk.overlay.plan, bench.desk.stand, bench.measured.found) == (plan, stand, found)
            assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [stand.name]
        do(bench, tune(recipe, **NO_CONTROL))
        assert bench.desk.stand.parent == stand.name and bench.desk.stand.trained


def test_a_control_that_the_disk_has_no_room_for_is_measured_all_the_same(recipe, tmp_path):
    """It is what the recovered model stands beside; that no later recovery has it is told."""

    def told(folder, most: int | None) -> dict:
        with closing(Workbench(folder, recipe)) as bench:
            do(bench, ask.commands_of(recipe)[0], prune(recipe))
            found = {}
            for event in bench.handle(tune(recipe)):
                if most is not None and isinstance(event, tell.TuningStarted) and event.arm == "control":
                    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
                found |= {event.stage: event.perplexity} if isinstance(event, tell.Evaluated) else {}
                found |= {"instead": event} if isinstance(event, tell.Degraded) else {}
            return found

    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        full = told(tmp_path / "full", 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    instead = full.pop("instead")
    assert (instead.did, instead.why) == ("one to measure now", "File too large")
    assert full == told(tmp_path / "free", None) and "control" in full
    (stand,) = (path for path in (tmp_path / "full" / "checkpoints").iterdir() if path.name.endswith("2"))
    assert not list(stand.glob("*control*"))


@pytest.mark.parametrize("way", [{}, {"method": "lora", "rank": 2}, {"cut_first": True}], ids=["full", "lora", "cut first"])
def test_a_recovery_that_diverges_keeps_the_best_it_has_a_copy_of(recipe, bench, monkeypatch, way):
    """Its checkpoint has the weights at the lowest validation loss, and says how many steps those took."""
    monkeypatch.setenv("ESPALIER_FAULTS", "loss@2, loss@4x9")
    do(bench, prune(recipe))
    command, events = tune(recipe, **NO_CONTROL, **way), []
    with pytest.raises(Diverged, match="the rate was halved 4 times"):
        for event in bench.handle(command):
            events.append(event)
    back = one(events, tell.WentBack)
    losses = {event.step: event.loss for event in events if isinstance(event, tell.Validated)}
    assert back.made == 3 and back.step == min(losses, key=losses.get) > 0
    told = list(bench.after_end(command, "diverged"))
    assert one(told, tell.CheckpointSaved).reason == "tune, diverged" and bench.desk.stand.trained == back.step
    found, held_out = bench.desk.model, bench.desk.texts.blocks("calibration", 32, 4096)
    result = evaluate(found, held_out)
    assert result.nll / result.tokens == pytest.approx(losses[back.step], rel=1e-5)


WAYS = {
    "full": {},
    "lora": {"method": "lora", "rank": 2},
    "distil": {"method": "distil"},
    "distil by lora": {"method": "distil", "student": "lora", "rank": 2},
    "full, cut first": {"cut_first": True},
    "lora, cut first": {"method": "lora", "rank": 2, "cut_first": True},
    "distil, cut first": {"method": "distil", "cut_first": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_recover_can_be_cut_stopped_undone_and_has_its_control(recipe, bench, way):
    """After it the model is a plain one with its gates closed; what is cut from it predicts the same. Stopped after two steps it
    keeps them; an undo brings the pruned model back to the bit."""
    do(bench, prune(recipe))
    pruned, plan, command = seen(bench), bench.desk.overlay.plan, tune(recipe, **WAYS[way])
    names = [name for name, _ in bench.desk.model.named_parameters()]
    events = do(bench, command, ask.Cut(recipe.evaluation))
    found = {event.stage: event.perplexity for event in events if isinstance(event, tell.Evaluated)}
    assert found["cut"] == pytest.approx(found["tuned"], rel=1e-5) and "control" in found
    assert bench.desk.overlay.plan == plan and not torch.equal(seen(bench), pruned)
    assert [name for name, _ in bench.desk.model.named_parameters()] == names
    do(bench, ask.Undo())
    assert torch.equal(seen(bench), pruned)
    stopping = bench.handle(command)
    while not (isinstance(event := next(stopping), tell.StepTrained) and event.step == 2):
        pass
    stopping.close()
    assert one(list(bench.after_end(command, "stopped")), tell.CheckpointSaved).reason == "tune, stopped"
    assert bench.desk.stand.trained == 2 and not torch.equal(seen(bench), pruned)
    do(bench, ask.Undo())
    assert torch.equal(seen(bench), pruned) and all(one.requires_grad for one in bench.desk.model.parameters())


def test_a_teacher_inside_of_the_student_is_the_one_beside_it(recipe, bench):
    """The dense model with its own weights and the pruned one with gates and compensation off give the same losses."""
    do(bench, prune(recipe))
    losses = []
    for apart in (False, True):
        command = tune(recipe, method="distil", student="lora", **NO_CONTROL)
        recovery = Recovery(bench.desk, command)
        if apart:
            recovery._weights = "others"  # as if the weights had been trained before
        losses.append([event.loss for event in recovery.recover() if isinstance(event, tell.StepTrained)])
        bench.desk.restore(bench.desk.stand.name, anew=True)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_recovery_that_ends_early_counts_the_steps_that_it_kept(recipe, bench):
    """At a rate that spoils the model the weights are those of before, and the record says so."""
    do(bench, prune(recipe))
    before = seen(bench)
    events = do(bench, tune(recipe, learning_rate=0.3, warmup=0.0, steps=40, patience=1))
    told = [event for event in events if isinstance(event, tell.WentBack)]
    assert [event.arm for event in told] == ["tuned", "control"] and told[0].made < 40
    assert bench.desk.stand.trained == told[0].step
    assert told[0].step or torch.equal(seen(bench), before)


def test_a_saved_model_recovers_like_any_other(recipe, bench, tmp_path):
    """What was cut before is loaded, trained with nothing closed, and cut again by nothing."""
    do(bench, prune(recipe), ask.Cut(recipe.evaluation), ask.Save())
    other = Workbench(None, recipe)
    do(other, ask.Load(str(tmp_path / "model"), recipe.corpus, "cpu"))
    for way in ("full", "lora", "distil"):
        events = do(other, tune(recipe, **WAYS[way]))
        losses = [event.loss for event in events if isinstance(event, tell.Validated) and event.arm == "tuned"]
        assert losses[-1] < losses[0]
    other.close()


def test_a_recovery_on_too_long_sequences_is_refused_before_the_first_step(recipe, bench):
    """The field and the limit are named."""
    with pytest.raises(BadInput, match="tuning.sequence_length 65 is more than the 64 positions of this model") as caught:
        do(bench, tune(recipe, sequence_length=65))
    assert caught.value.field == "tuning.sequence_length"


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_recovery_that_is_stopped_keeps_the_steps_so_far(recipe, bench, steps):
    """None: nothing has changed. Some: the model of a shorter training at the same rates, checkpointed and measured."""
    do(bench, prune(recipe))
    before, command = seen(bench), tune(recipe)
    events = bench.handle(command)
    while not (isinstance(event := next(events), tell.StepTrained | tell.Validated) and event.step == steps):
        pass
    events.close()
    told = list(bench.after_end(command, "stopped"))
    assert torch.equal(seen(bench), before) == (steps == 0)
    if steps:
        assert one(told, tell.CheckpointSaved).reason == "tune, stopped" and bench.desk.stand.trained == steps
        assert one(told, tell.Evaluated).stage == one(told, tell.TextSampled).stage == "tuned"
        do(bench, ask.Undo())
        assert torch.equal(seen(bench), before)
    else:
        assert told == []


def test_a_cut_is_measured_beside_the_dense_model(recipe, bench):
    """Sizes as they were foretold, logits as they were gated, costs for both batch sizes; the model itself stays."""
    foretold = one(do(bench, prune(recipe)), tell.PlanMade)
    before = seen(bench)
    events = do(bench, ask.Cut(recipe.evaluation))
    told = one(events, tell.ModelCut)
    assert (told.parameters_before, told.parameters_after) == (foretold.parameters_before, foretold.parameters_after)
    assert (told.bytes_before, told.bytes_after) == (4 * told.parameters_before, 4 * told.parameters_after)
    assert told.difference < 1e-4
    works = [(1, "prefill"), (1, "decode"), (8, "prefill"), (8, "decode")]
    assert [(one.batch, one.what) for one in told.latency] == [(one.batch, one.what) for one in told.memory] == works
    assert all(0 < one.cut <= one.dense for one in told.memory)
    assert told.file_after < told.file_before
    assert torch.equal(seen(bench), before)


def test_only_what_was_cut_from_the_model_as_it_stands_is_saved(recipe, bench):
    """Every change makes the smaller model one of another model."""
    with pytest.raises(BadInput, match="^There is no smaller model to save; cut one first"):
        do(bench, ask.Save())
    cut = ask.Cut(recipe.evaluation)
    for change in (prune(recipe), ask.SetGate(0, 0, open=True), tune(recipe, **NO_CONTROL), ask.Undo(), ask.Reset()):
        do(bench, cut, change)
        with pytest.raises(BadInput, match="cut one first"):
            do(bench, ask.Save())


def test_a_saved_model_tells_its_story(recipe, bench, tmp_path):
    """What was done in order, and only what was measured of it as it stands."""
    cut, evaluate_pruned = ask.Cut(recipe.evaluation), ask.Evaluate("pruned", recipe.evaluation)
    do(bench, ask.Evaluate("baseline", recipe.evaluation), prune(recipe), evaluate_pruned, tune(recipe))
    events = do(bench, tune(recipe, **NO_CONTROL), cut, ask.Save())
    saved = one(events, tell.ModelSaved)
    assert saved.size == sum(path.stat().st_size for path in (tmp_path / saved.folder).iterdir())
    facts = json.loads((tmp_path / saved.folder / SIDECAR).read_text())
    assert [step["reason"] for step in facts["history"]] == ["prune", "tune", "tune"]
    assert facts["base"] == {"model": recipe.model, "revision": None} and facts["recipe"] == bench.recipe.model_dump(mode="json")
    results = facts["results"]
    assert list(results["perplexity"]) == ["baseline", "pruned", "tuned", "cut"], "the control was that of the first recovery"
    assert results["cut"]["file_after"] == (tmp_path / saved.folder / "model.safetensors").stat().st_size
    model, _ = load_pruned(tmp_path / saved.folder)
    with torch.no_grad():
        torch.testing.assert_close(model(torch.arange(2, 34)[None]).logits, seen(bench), rtol=1e-4, atol=1e-5)


def test_without_a_folder_nothing_is_saved(recipe):
    """The sentence says what is missing; everything else goes without one."""
    bench = Workbench(None, recipe)
    do(bench, ask.commands_of(recipe)[0], prune(recipe), ask.Undo(), ask.Cut(recipe.evaluation))
    with pytest.raises(BadInput, match="has no folder"):
        do(bench, ask.Save())
    bench.close()
    bench.close()


def test_a_sample_tells_how_much_of_it_was_the_prompt(recipe, bench):
    """Also where the text ends at once: this model is made to end every text."""
    prompt = len(bench.desk.loaded.tokenizer(recipe.prompt)["input_ids"])
    told = one(do(bench, ask.Sample("baseline", recipe.prompt, tokens=5)), tell.TextSampled)
    assert (told.prompt_tokens, len(told.tokens), told.surprises[0]) == (prompt, prompt + 5, None)
    end = bench.desk.loaded.tokenizer.eos_token_id
    model = bench.desk.model.transformer
    with torch.no_grad():
        model.ln_f.bias.copy_(1e4 * model.wte.weight[end])
    told = one(do(bench, ask.Sample("baseline", recipe.prompt, tokens=5)), tell.TextSampled)
    assert (told.prompt_tokens, len(told.tokens)) == (prompt, prompt)


def test_a_model_whose_weights_are_no_numbers_is_refused_in_words(recipe, bench):
    """No number is told that nobody could write down."""
    with torch.no_grad():
        bench.desk.model.transformer.h[1].mlp.c_proj.weight.fill_(float("nan"))
    for command in (ask.Evaluate("baseline", recipe.evaluation), ask.Score("magnitude", recipe.calibration), preview(recipe)):
        with pytest.raises(BadInput, match="finite"):
            do(bench, command)


def test_the_protocol_of_a_perplexity_is_told_with_it(recipe, bench):
    """Corpus, length, tokens and dtype are those that were used."""
    told = one(do(bench, ask.Evaluate("baseline", recipe.evaluation)), tell.Evaluated)
    assert (told.stage, told.corpus, told.sequence_length, told.dtype) == ("baseline", recipe.corpus, 32, "float32")
    assert told.tokens == 16 * 31 and told.perplexity == pytest.approx(math.exp(told.nll / told.tokens))
