"""A page without a browser and runs without a worker: folders whose lock this process holds, and events written by hand."""

from collections.abc import Callable

from engine.record import client as runs
from engine.record import events as tell
from engine.record.claim import take_lock
from engine.record.client import Client
from engine.record.folder import Tail, Writer
from engine.record.recipe import Recipe, Schedule
from widgets.address import Address
from widgets.choices import choices_of
from widgets.controls import Controls
from widgets.pump import NO_LAYERS, Pump
from widgets.session import Session
from widgets.theme import LIGHT
from widgets.transport import Transport

RECIPE = Recipe(heads=Schedule(level=0.3), neurons=Schedule(level=0.3))
LAYERS = 6
LOADED = tell.ModelLoaded(
    "gpt2-tiny", "gpt2", 1_000_000, 256, 4096, (4,) * LAYERS, (100,) * LAYERS, (1000,) * LAYERS, (10,) * LAYERS, "cpu", "float32"
)
TEXT = tell.CorpusLoaded("wikipedia-sample", 90, 5, 5, None, 20_000, 20_000, "CC BY-SA 3.0")
SCORES = tuple(tuple(float((3 * head + layer) % 4) for head in range(4)) for layer in range(LAYERS))
NOTHING = (0,) * LAYERS


def measured(stage: str, perplexity: float) -> tell.Evaluated:
    """A perplexity at a stage."""
    return tell.Evaluated(stage, perplexity, 1.0, 1000, "wikipedia-sample", 256, "float32")


def gates(heads: tuple = ((0, 0),), neurons: int = 0, reason: str = "prune") -> tell.GatesChanged:
    """These heads are closed, and so many neurons of each layer."""
    counts = tuple(sum(layer == each for layer, _ in heads) for each in range(LAYERS))
    return tell.GatesChanged(heads, counts, (neurons,) * LAYERS, 1_000_000, 900_000, reason)


def asleep(recipe: Recipe) -> Client:
    """A new run that no worker will take up: this process holds its lock."""
    client = runs.start(recipe)
    assert take_lock(client.folder)
    return client


def tell_run(client: Client, *facts: object) -> None:
    """Write what happened, as a worker would."""
    writer = Writer(client.folder / "events.jsonl")
    for fact in facts:
        writer.append(fact)
    writer.close()


def opened(line: int = 0) -> tuple[object, ...]:
    """All that happens until a new run stands ready: loaded, measured, scored."""
    return (
        tell.RunStarted(RECIPE.model_dump(mode="json"), "0"), tell.WorkerStarted(1, 1), tell.CommandStarted(line, "Load"),
        LOADED, TEXT, tell.CommandFinished(line, "Load"), measured("baseline", 40.0),
        tell.UnitsScored("activation", SCORES, 1000, None), tell.CommandFinished(3, "Score"),
    )  # fmt: skip


def asked(client: Client, after: int = 0) -> list[object]:
    """The commands that a run was asked, from line `after` on."""
    return [stamped.fact for stamped in Tail(client.folder / "commands.jsonl").read()][after:]


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Page:
    """The parts of a page, wired as on the page, with a clock of its own. `drawn` counts the drawings."""

    def __init__(self, address: Address | None = None, start: Callable[[Recipe], Client] = asleep):
        self.clock, self.delivered, self.addresses, self.drawn = Clock(), [], [], []
        self.session = Session(address or Address(recipe=RECIPE), start)
        self.controls = Controls(choices_of(self.session.recipe, NO_LAYERS), lambda: None)
        self.transport = Transport(lambda press: self.pump.act(press))
        self.pump = Pump(
            self.session,
            self.controls,
            self.transport,
            LIGHT,
            deliver=lambda what, view: self.delivered.append(what),
            at_run=self.addresses.append,
            clock=self.clock,
        )

    def ready(self) -> "Page":
        """Let the run stand ready, and forget what was asked for until then."""
        tell_run(self.session.client, *opened())
        self.tick()
        self.pump.tick()
        return self

    def tick(self, seconds: float = 1.0) -> None:
        """Let some time pass and tick."""
        self.clock.now += seconds
        self.view = self.pump.tick()

    def move(self, control: str, value: object) -> None:
        """Move a control as a hand would."""
        self.controls._each[control].value = value

    def unfold(self) -> None:
        """Open the fold of all other choices, and let its controls be made."""
        self.controls.more.toggle.value = True
        self.tick()

    def shown(self, control: str) -> object:
        """What a control shows."""
        return self.controls._each[control].value

    def press(self, button: str) -> None:
        """Press a button."""
        self.transport._buttons[button].click()

    @property
    def status(self) -> str:
        """The status line, as HTML."""
        return self.transport._status.value

    @property
    def refusal(self) -> str:
        """The sentence beside a control, as HTML; empty where there is none."""
        return self.controls._error.value
