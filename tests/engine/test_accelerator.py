"""Tests on a GPU of NVIDIA, of what cannot be seen on a CPU: its numbers are the CPU's, and its real faults are survived."""

import math
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch

from engine import run
from engine.evaluation.perplexity import evaluate
from engine.inbox import Inbox
from engine.pruning.checkpoint import load_pruned
from engine.record import commands as ask
from engine.record.cells import SweepCellDone
from engine.record.client import Client, start
from engine.record.events import Evaluated, ModelCut, ModelLoaded, PlanMade, StepTrained, TrainingResumed, Validated
from engine.record.lifecycle import Degraded, MemoryEstimated, MemorySampled, RunFinished
from engine.record.lock import read_lock
from engine.record.recipe import Recipe
from engine.record.sweep import Sweep
from engine.recovery.bookmarks import VARIABLE
from engine.session import serve
from engine.supervising import SHELTER
from engine.sweeps.cells import measured
from engine.sweeps.shared_prefixes import within
from engine.text.corpora import read_corpus
from engine.text.texts import Texts
from engine.workbench import Workbench
from tests.engine.test_worker import until, wait

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of NVIDIA")
NEAR = 1e-4  # relative: float32 sums in another order


def on(recipe: Recipe, device: str = "cuda", **changes) -> Recipe:
    """The recipe on a device, with other choices; the same arithmetic on both."""
    return Recipe.model_validate(recipe.model_dump() | {"device": device, "precision": "float32"} | changes)


def of(kind: type, events: list) -> list:
    """The events of a kind."""
    return [event for event in events if isinstance(event, kind)]


def perplexities(events: list) -> dict[str, float]:
    """What was measured, by stage."""
    return {event.stage: event.perplexity for event in of(Evaluated, events)}


WAYS = [
    {"criterion": "taylor", "compensation": "least-squares"},
    {"criterion": "obs", "compensation": "sequential"},
    {"criterion": "fluctuation", "compensation": "bias", "allocation": "global"},
    {"criterion": "energy", "compensation": "none", "rounds": 2},
    {"criterion": "ablation", "compensation": "none", "neurons": {"level": 0}},
    {"criterion": "fisher", "compensation": "least-squares", "allocation": "suggest"},
    {"criterion": "entropy", "neurons": {"level": 0}},
    {"criterion": "random", "tuning": {"steps": 4, "method": "distil", "batch_size": 4, "sequence_length": 32}},
]


@pytest.mark.parametrize("way", WAYS, ids=[way["criterion"] for way in WAYS])
def test_a_run_on_the_gpu_is_the_run_on_the_cpu(recipe, way):
    """The same units go, and every perplexity is the same: dense, pruned, recovered, control and cut."""
    told = [list(run(on(recipe, device, **way))) for device in ("cpu", "cuda")]
    assert [event.device for event in of(ModelLoaded, told[1])] == ["cuda"]
    plans = [[(event.heads, event.neuron_counts) for event in of(PlanMade, events)] for events in told]
    assert plans[0] == plans[1]
    expected, found = map(perplexities, told)
    assert found == pytest.approx(expected, rel=NEAR) and "cut" in expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("method", ["full", "lora", "distil"])
def test_every_recovery_learns_in_every_precision_on_the_gpu(recipe, method, precision):
    """The weights stay float32 and on the GPU; the loss on held-out text falls as it does in float32 on the CPU."""
    tuning = recipe.tuning.model_dump() | {"method": method, "steps": 12, "control": False}
    falls = []
    for device, arithmetic in (("cpu", "float32"), ("cuda", precision)):
        bench = Workbench(None, on(recipe, device, precision=arithmetic, tuning=tuning))
        told = list(serve(bench, Inbox(ask.commands_of(bench.recipe)[:-1]), lambda: False))
        losses = [event.loss for event in of(Validated, told)]
        falls.append(losses[0] - losses[-1])
        assert {(weight.device.type, weight.dtype) for weight in bench.desk.model.parameters()} == {(device, torch.float32)}
        bench.close()
    assert falls[1] > 0 and falls[1] == pytest.approx(falls[0], rel=0.1)


def test_a_training_that_the_gpu_has_no_room_for_makes_do_with_less(recipe):
    """The allocator of CUDA itself says no: the pieces get smaller, the steps stay those of the whole batch, dropout aside."""
    tuning = {"steps": 2, "batch_size": 256, "sequence_length": 64, "control": False}
    wish = on(recipe, model="gpt2-tiny", corpus="wikipedia-sample", tuning=tuning)
    free = [event.loss for event in of(StepTrained, list(run(wish)))]
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 800 * 10**6) / total)
    try:
        told = list(run(wish))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any("at once" in event.did for event in of(Degraded, told)), of(Degraded, told)
    assert [event.loss for event in of(StepTrained, told)] == pytest.approx(free, rel=1e-2)
    assert isinstance(told[-1], RunFinished)


def test_a_model_that_was_pruned_on_the_gpu_is_the_same_on_the_cpu(recipe, tmp_path):
    """What lies in the folder has the perplexity that was told; times and memory of the GPU are told with its name."""
    told = list(run(on(recipe), tmp_path / "run"))
    model, tokenizer = load_pruned(tmp_path / "run" / "model")
    blocks = Texts(read_corpus(recipe.corpus), tokenizer, 64, 400).blocks("evaluation", 32, 512)
    assert evaluate(model, blocks).perplexity == pytest.approx(perplexities(told)["cut"], rel=NEAR)
    (cut,) = of(ModelCut, told)
    assert torch.cuda.get_device_name() in cut.machine
    assert all(each.dense > 0 and each.cut > 0 for each in (*cut.latency, *cut.memory))
    assert any(event.accelerator for event in of(MemorySampled, told))
    assert not of(MemoryEstimated, told), "what a command takes there was never measured"


def test_a_cell_that_is_measured_with_others_is_the_cell_alone_on_the_gpu(recipe):
    """Hidden states are shared there too."""
    whole = on(recipe, neurons={"shape": "custom", "blocks": [0, 0, 0]})
    sweep = Sweep(whole, {"neurons.blocks": [[0, 0.2, 0], [0, 0.2, 0.5], [0, 0.5, 0.5]]})
    found = {event.number: event for event in measured(sweep.cells, 10**8) if isinstance(event, SweepCellDone)}
    for cell in sweep.cells:
        assert found[cell.number].perplexities == pytest.approx(perplexities(list(run(cell.recipe))), rel=NEAR)
    assert any(event.shared for event in found.values())
    assert within(10**15, "cuda") < torch.cuda.get_device_properties(0).total_memory // 2


@pytest.fixture
def started(recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    """Starts a run on the GPU with a worker; whatever processes are left at the end are ended."""
    monkeypatch.setenv(VARIABLE, "1")
    clients = []

    def begin(name: str, **changes) -> Client:
        tuning = recipe.tuning.model_dump() | {"steps": 12, "control": False} | changes
        client = start(on(recipe, tuning=tuning), tmp_path / name)
        clients.append(client)
        for command in ask.commands_of(client.recipe):
            client.post(command)
        return client

    yield begin
    for client in clients:
        holder = read_lock(client.folder)
        if holder is not None and psutil.pid_exists(holder["pid"]):
            psutil.Process(holder["pid"]).terminate()
        until(lambda client=client: not client.is_awake())


def test_a_gpu_that_ends_in_an_assertion_gives_way_to_the_cpu(started, monkeypatch):
    """As its driver words it: the next worker goes on from the last bookmark, on the CPU, and says so."""
    monkeypatch.setenv("ESPALIER_FAULTS", "device@5")
    state = wait(client := started("asserted"), lambda state: state.standing.perplexity.get("cut") is not None)
    (told,) = state.degraded
    assert told == Degraded("cuda", SHELTER, told.why) and "device-side assert" in told.why
    assert [step for step, _ in state.standing.curves["tuned"].training] == list(range(1, 13))
    resumed = of(TrainingResumed, [stamped.fact for stamped in client.poll()])
    assert [event.step for event in resumed] == [4]
    assert math.isfinite(state.standing.perplexity["cut"].perplexity)


def test_a_killed_worker_goes_on_from_its_bookmark_on_the_gpu(started):
    """To where the run that was left alone comes."""
    whole = wait(started("whole", steps=60), lambda state: state.standing.perplexity.get("cut") is not None)
    client = started("killed", steps=60)
    wait(client, lambda state: state.step is not None and state.step.step >= 5)
    psutil.Process(read_lock(client.folder)["worker"]).send_signal(signal.SIGKILL)
    state = wait(client, lambda state: state.standing.perplexity.get("cut") is not None)
    assert of(TrainingResumed, [stamped.fact for stamped in client.poll()]) and not state.degraded
    for stage, evaluated in whole.standing.perplexity.items():
        assert state.standing.perplexity[stage].perplexity == pytest.approx(evaluated.perplexity, rel=NEAR)
