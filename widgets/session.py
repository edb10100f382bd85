"""The run that the page shows and the one that is to take its place; posts commands, folds events, draws nothing.

A change of model or text needs a run of its own. The old run stays on the page until the new one has loaded: a model that
cannot be had costs nothing but a sentence.
"""

from engine.record import client as runs
from engine.record.client import Client
from engine.record.commands import Command, Evaluate, Finish, Load, Sample, Score
from engine.record.errors import BadInput
from engine.record.events import CommandFinished, CommandRefused, RunFailed
from engine.record.folder import Tail
from engine.record.line import Stamped
from engine.record.recipe import Recipe
from engine.record.state import RunState, fold
from widgets.address import Address
from widgets.choices import recipe_as_asked

Refusal = tuple[str, str]  # the recipe's field, or "", and one sentence


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

    def __init__(self, address: Address):
        self.state = RunState()
        self.refusal: Refusal | None = address.wrong
        self._coming: Client | None = None
        self._coming_recipe: Recipe | None = None
        try:
            if address.run:
                self._take(*_attached(address.run), opened=True)
                return
        except BadInput as error:
            self.refusal = "", f"{error} A new run was started instead."
        self._take(runs.start(address.recipe), address.recipe)
        self.post(*opening_commands(address.recipe))

    @property
    def is_changing(self) -> bool:
        """Whether another run is loading, to take this one's place."""
        return self._coming is not None

    @property
    def wanted(self) -> tuple[str, object]:
        """The model and the text that were asked for last, whether they are there yet or not."""
        recipe = self._coming_recipe or self.recipe
        return recipe.model, recipe.corpus

    def poll(self) -> list[Stamped]:
        """What has come since the last call, folded into `state`; a run that has loaded takes its place here."""
        self._await_coming()
        stamped = self.client.poll()
        for line in stamped:
            match line.fact:
                # A refused Load is followed by refusals of all that needed it: the first one says why.
                case CommandRefused(field=field, reason=reason) if self.refusal is None:
                    self.refusal = field, reason
                case RunFailed(field=field, reason=reason):
                    self.refusal = field, reason
        self.state = fold(self.state, stamped)
        return stamped

    def post(self, *commands: Command) -> None:
        """Ask the run on the page for something."""
        for command in commands:
            self.client.post(command)

    def open(self, name: str) -> None:
        """Show another run, from its first event on; raises `BadInput` where there is none of that name."""
        client, recipe = _attached(name)
        self.drop_coming()
        self.client.leave()
        self._take(client, recipe, opened=True)
        self.watch()

    def begin(self, recipe: Recipe) -> None:
        """Start a run that takes the place of the one on the page as soon as it has loaded."""
        self.drop_coming()
        self._coming, self._coming_recipe = runs.start(recipe), recipe
        for command in opening_commands(recipe):
            self._coming.post(command)

    def drop_coming(self) -> None:
        """Give up the run that was to come, where there is one."""
        if self._coming is not None:
            _finish(self._coming)
            self._coming = self._coming_recipe = None

    def watch(self) -> None:
        """Leave word that somebody looks, so that the workers stay."""
        self.client.watch()
        if self._coming is not None:
            self._coming.watch()

    def _take(self, client: Client, recipe: Recipe, *, opened: bool = False) -> None:
        self.client, self.recipe, self.state = client, recipe, RunState()
        self.is_opened = opened  # the run was there before the page asked for it, so the controls follow it, not it them

    def _await_coming(self) -> None:
        if self._coming is None:
            return
        for line in self._coming.poll():
            match line.fact:
                case CommandFinished(name="Load"):
                    old, client, recipe = self.client, runs.attach(self._coming.name), self._coming_recipe
                    self._coming.leave()
                    self._coming = self._coming_recipe = None
                    self._take(client, recipe)
                    _finish(old)
                    return
                case CommandRefused(field=field, reason=reason) | RunFailed(field=field, reason=reason):
                    self.refusal = field, reason
                    self.drop_coming()
                    return


def _attached(name: str) -> tuple[Client, Recipe]:
    client = runs.attach(name)
    asked = [stamped.fact for stamped in Tail(client.folder / "commands.jsonl").read()]
    return client, recipe_as_asked(client.recipe, asked)


def _finish(client: Client) -> None:
    """End a run that nobody will ask anything of again."""
    if not client.is_over():
        client.post(Finish())
    client.leave()
