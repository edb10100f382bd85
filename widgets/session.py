"""The run that the page shows and the one that is to take its place; posts commands, folds events, draws nothing.

A change of model or text needs a run of its own. The old run stays on the page until the new one has loaded: a model that
cannot be had costs nothing but a sentence.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from engine.record import client as runs
from engine.record.beforehand import check_there
from engine.record.client import Client
from engine.record.commands import Command, Evaluate, Finish, Load, Prune, Sample, Score, Stop, Tune
from engine.record.errors import BadInput
from engine.record.events import CommandFinished, CommandRefused, CommandStarted, PlanMade, RunFailed
from engine.record.folder import Tail, post, read_commands
from engine.record.line import Stamped
from engine.record.live import discard
from engine.record.recipe import Recipe
from engine.record.state import RunState, fold
from widgets.address import Address
from widgets.choices import recipe_as_asked

LOADING = ("model", "corpus", "device", "precision")
Refusal = tuple[str, str]  # the recipe's field, or "", and one sentence


def loaded_by(recipe: Recipe) -> tuple[object, ...]:
    """What a recipe asks for that needs a run of its own."""
    return tuple(getattr(recipe, name) for name in LOADING)


def opening_commands(recipe: Recipe) -> tuple[Command, ...]:
    """What every new run is asked for first: the model, what it can do, and which of its units matter."""
    return (
        Load(recipe.model, recipe.corpus, recipe.device, recipe.precision, recipe.seed),
        Evaluate("baseline", recipe.evaluation),
        Sample("baseline", recipe.prompt, seed=recipe.seed),
        Score(recipe.criterion, recipe.calibration, recipe.seed),
    )


class Session:
    """Holds the client of the run on the page. `recipe` is that run's, as later commands have changed it."""

    def __init__(self, address: Address, start: Callable[[Recipe], Client] = runs.start):
        self.state = RunState()
        self.refusal: Refusal | None = address.wrong
        self._unloadable: tuple[tuple[object, ...], Refusal] | None = None  # what was asked for last and cannot be had, and why
        self._coming: _Coming | None = None
        self._unread: list[Stamped] = []  # of a run that has just come onto the page
        self._start = start
        try:
            if address.run:
                self._take(*_attached(address.run), opened=True)
                return
        except BadInput as error:
            self.refusal = "", f"{error} A new run was started instead."
        self._take(self._start(address.recipe), address.recipe)
        self.post(*opening_commands(address.recipe))

    @property
    def is_changing(self) -> bool:
        """Whether another run is loading, to take this one's place."""
        return self._coming is not None

    @property
    def wanted(self) -> tuple[object, ...]:
        """The model and the text that were asked for last, and where they are to be, whether they are there yet or not."""
        recipe = self._coming.recipe if self._coming is not None else self.recipe
        return loaded_by(recipe)

    def unloadable(self, recipe: Recipe) -> Refusal | None:
        """Why the model or the text of a recipe cannot be had, where just these were refused; None where they were not."""
        asked, why = self._unloadable or (None, None)
        return why if asked == loaded_by(recipe) else None

    @property
    def pruned_by(self) -> Prune | None:
        """The command whose plan is in force; None where none is, or where it is not known."""
        command = self._asked_at(self._planned.get(self.state.standing.plan))
        return command if isinstance(command, Prune) else None

    @property
    def tune(self) -> Tune | None:
        """The recovery in hand; None where none is."""
        command = self._asked_at(self.state.doing_line) if self.state.doing == "Tune" else None
        return command if isinstance(command, Tune) else None

    def poll(self) -> list[Stamped]:
        """What has come since the last call, folded into `state`; a run that has loaded takes its place here."""
        self._await_coming()
        stamped, self._unread = self._unread + self.client.poll(), []
        for line in stamped:
            match line.fact:
                case CommandRefused(name="Load") | RunFailed(field="model" | "corpus" | "device" | "precision"):
                    self._unloadable = loaded_by(self.recipe), (line.fact.field, line.fact.reason)
            match line.fact:
                case CommandStarted(command=number):
                    self._in_hand = number
                case PlanMade() as plan:
                    self._planned[plan] = self._in_hand
                # A refused Load is followed by refusals of all that needed it: the first one says why.
                case CommandRefused() as refused if self.refusal is None:
                    self.refusal = refused.field, refused.reason
                case RunFailed() as failed if failed.field:  # others are the status line's to tell
                    self.refusal = failed.field, failed.reason
        self.state = fold(self.state, stamped)
        return stamped

    def post(self, *commands: Command) -> None:
        """Ask the run on the page for something; raises `BadInput` where it is over."""
        if self.state.is_over:
            raise BadInput(f"run {self.client.name!r} is over; start a new one to go on.")
        for command in commands:
            # Not `client.post`, which reads the end of the events to learn what is known here, and wakes once for each.
            post(self.client.folder, command)
        self.client.wake()

    def open(self, name: str) -> None:
        """Show another run, from its first event on; raises `BadInput` where there is none of that name."""
        client, recipe = _attached(name)
        self.drop_coming()
        _leave(self.client)
        self._take(client, recipe, opened=True)
        self.watch()

    def begin(self, recipe: Recipe) -> None:
        """Start a run that takes the place of the one on the page as soon as it has loaded; none for what is not there."""
        self.drop_coming()
        self._unloadable = None
        try:
            check_there(recipe)
        except BadInput as error:
            self._unloadable = loaded_by(recipe), (error.field, str(error))
            return
        self._coming = _Coming(self._start(recipe), recipe)
        for command in opening_commands(recipe):
            self._coming.client.post(command)

    def drop_coming(self) -> None:
        """Give up the run that was to come, where there is one."""
        if self._coming is not None:
            _drop(self._coming.client)
            self._coming = None

    def watch(self) -> None:
        """Leave word that somebody looks, so that the workers stay."""
        self.client.watch()
        if self._coming is not None:
            self._coming.client.watch()

    def _asked_at(self, number: int | None) -> Command | None:
        """The command of that line of commands.jsonl."""
        if number is not None and number not in self._asked:
            self._asked |= {line.seq: line.fact for line in self._commands.read()}
        return self._asked.get(number)

    def _take(self, client: Client, recipe: Recipe, *, opened: bool = False) -> None:
        self.client, self.recipe, self.state, self._unread, self._unloadable = client, recipe, RunState(), [], None
        self._commands, self._asked = Tail(client.folder / "commands.jsonl"), {}
        self._in_hand, self._planned = None, {}  # lines of commands.jsonl: in hand, and that which made each plan
        self.is_opened = opened  # the run was there before the page asked for it, so the controls follow it, not it them

    def _await_coming(self) -> None:
        coming, has_loaded = self._coming, False
        if coming is None:
            return
        for line in coming.client.poll():
            coming.seen.append(line)
            match line.fact:
                case (CommandRefused(name="Load") | RunFailed()) as refused:
                    self._unloadable = loaded_by(coming.recipe), (refused.field, refused.reason)
                    self.drop_coming()
                    return
                case CommandFinished(name="Load"):
                    has_loaded = True
        if has_loaded:
            old, self._coming = self.client, None
            self._take(coming.client, coming.recipe)
            self._unread = coming.seen
            _leave(old)


@dataclass
class _Coming:
    """A run that is to take the place of the one on the page, and what has been read of it."""

    client: Client
    recipe: Recipe
    seen: list[Stamped] = field(default_factory=list)


def _attached(name: str) -> tuple[Client, Recipe]:
    client = runs.attach(name)
    asked = [stamped.fact for stamped in read_commands(client.folder)]
    return client, recipe_as_asked(client.recipe, asked)


def _leave(client: Client) -> None:
    """Look at a run no more. It stays as it is, and whoever opens it again can undo, recover and take away; its worker ends."""
    client.leave()
    client.let_go()


def _drop(client: Client) -> None:
    """End a run that has never been on a page, and what it is doing, since a download goes on for nobody; then delete it."""
    if not client.is_over():
        client.post(Stop())
        client.post(Finish())
    client.leave()
    threading.Thread(target=_delete, args=(client,), name="delete a run", daemon=True).start()


def _delete(client: Client) -> None:
    client.join()
    with suppress(BadInput):  # another page looks at it by now: then it stays
        discard(client.name)
