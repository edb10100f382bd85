"""The heart of the page: folds what has happened, works out the draft, asks for what was pressed, draws once; computes no model.

`tick` is a plain function. On the page an asyncio task on the kernel's main loop calls it five to ten times a second, and
sooner when a control was moved. It is the only writer of widgets after they are built: two threads that write one widget
lose its state, and callbacks may come on any thread. A callback therefore leaves a note, and `nudge`s.
"""

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from pydantic import ValidationError

from engine.record import commands as ask
from engine.record.errors import BadInput
from engine.record.events import CommandFinished, CommandRefused, CommandStarted
from engine.record.fields import explain
from engine.record.recipe import Recipe
from widgets import words
from widgets.choices import BLOCK_SLIDERS, Choices, adopted, choices_of, moved, recipe_of
from widgets.controls import Controls
from widgets.effects import without_effect
from widgets.errands import BACKGROUND, Errands, pressed
from widgets.requests import Adopt, Download, NewRun, OfRuns, OfTrials, OpenRun, Press, Request, Turn
from widgets.roster import Roster
from widgets.screen import Screen
from widgets.session import LOADING, Refusal, Session, loaded_by
from widgets.theme import Theme
from widgets.transport import Transport, refusals
from widgets.trials import Trials
from widgets.view import Draft, View, draft_of

INTERVAL = 0.12  # seconds between two ticks
SHORTEST = 0.05  # and between two that were nudged: a dragged slider sends sixty values a second
REST, LONGEST = 0.4, 2.0  # seconds without a movement after which sliders follow while a command runs, and the longest wait
WATCH = 2.0  # seconds between two looks whether a worker that should be at work is
SETTLING = 120.0  # seconds in which a browser is sure to have taken a new page in; what is sent to it before that may be lost
NEW_RUN = ("model", "model_name", "corpus", "corpus_path", "device", "precision")
SHORT = ("Evaluate", "Sample", "SetGate")  # what a gate waits for: another click on the map is answered after it
NO_LAYERS = 3  # before a model is loaded its blocks have one layer each


class Pump:
    """What the page remembers between two ticks.

    `deliver` makes a download; `at_run` is told which run is on the page, whenever that or the part that is shown has changed.
    """

    def __init__(
        self,
        session: Session,
        controls: Controls,
        transport: Transport,
        theme: Theme,
        *,
        deliver: Callable[[str, View], None],
        at_run: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self.session, self.controls, self.transport, self.theme = session, controls, transport, theme
        self.screen, self._roster, self._trials = Screen(transport, clock), Roster(clock), Trials(clock)
        self._deliver, self._at_run, self._clock = deliver, at_run, clock
        self._requests: deque[ask.Command | Request] = deque()
        self._run: str | None = None
        self._layers = NO_LAYERS
        self._sound: Recipe = session.recipe  # the last that nothing was wrong with
        self._moved = self._watched = self._caught_up = -1e9  # on the clock: a control was moved, word was left, sliders followed
        self._arrived = -1e9  # and this run came onto the page
        self._settled = clock() + SETTLING
        self._following: list[str] = []  # sliders that are still to follow
        self._unloadable: Refusal | None = None  # why the model or the text that the controls name is not there
        self._waiting = False  # something was asked that no worker has begun
        self._stopped = ""  # that a process of the run was stopped, in words
        self._errands = Errands()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._nudged = asyncio.Event()

    @property
    def part(self) -> str:
        """The part of the page that is shown."""
        return self._trials.part

    def act(self, asked: ask.Command | Request) -> None:
        """Ask for something, from any thread; it is seen to in the next tick."""
        self._requests.append(asked)
        self.nudge()

    def nudge(self) -> None:
        """Have the next tick come soon; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._nudged.set)

    def tick(self) -> View:
        """Take in what happened and what was moved and pressed, ask, draw. Returns what was drawn."""
        stamped = self.session.poll()
        self._arrive()
        self.transport.pace.see(stamped)
        if any(isinstance(line.fact, CommandStarted | CommandRefused | CommandFinished) for line in stamped):
            self._waiting = False
        self._follow(self.controls.drain())
        self._catch_up()
        view, wrong = self._look()
        while self._requests:
            self._obey(self._requests.popleft(), view)
        self._ask(view)
        self._draw(view, wrong or self.session.refusal or self._unloadable)
        self._watch(view)
        return view

    async def beat(self) -> None:
        """Tick for as long as the kernel lives. A tick that fails is shown on the page, and tried again a second later."""
        self._loop = asyncio.get_running_loop()
        while True:
            begun = self._clock()
            (failure,) = await asyncio.gather(self._turn(), return_exceptions=True)
            if failure is not None:
                self.transport.fail("".join(traceback.format_exception(failure)))
                await asyncio.sleep(1.0)
            try:
                await asyncio.wait_for(self._nudged.wait(), INTERVAL)
            except TimeoutError:
                continue
            self._nudged.clear()
            await asyncio.sleep(max(0.0, SHORTEST - (self._clock() - begun)))

    async def _turn(self) -> None:
        self.tick()

    def _arrive(self) -> None:
        """Settle in on a run that was not on the page before, and on a model with another number of layers."""
        state, name = self.session.state, self.session.client.name
        layers = len(state.model.heads) if state.model is not None else self._layers
        if name != self._run:
            if self.session.is_opened:
                self.controls.show(choices_of(self.session.recipe, layers))
            self._run, self._arrived = name, self._clock()
            self._errands.begin_again()
            self.screen.forget()
            self._at_run(name)
        if layers != self._layers:
            self._layers = layers
            self.controls.show(moved(self.controls.read(), "layers", layers))

    def _follow(self, touched: Iterable[str]) -> None:
        """Let the other controls follow those that were moved by hand, in the order of the movements."""
        touched = tuple(dict.fromkeys(touched))
        if not touched:
            return
        self._moved, self.session.refusal = self._clock(), None
        choices = self.controls.read()
        for name in touched:
            choices = moved(choices, name, self._layers)
        # Three sliders that follow a fourth cost the browser as much as all else that a movement brings.
        self._following = [name for name in BLOCK_SLIDERS if name not in touched] if self.session.state.status == "busy" else []
        self.controls.show(choices, self._following)
        if any(name in NEW_RUN for name in touched):
            self._change_run(choices)
        self._errands.unwritten = self._errands.unwritten or "prompt" in touched

    def _catch_up(self) -> None:
        """Let the block sliders stand where they are to; while a command runs, when the hand rests or two seconds are over."""
        clock = self._clock()
        rests = clock - self._moved >= REST or clock - self._caught_up >= LONGEST
        if self._following and (rests or self.session.state.status != "busy"):
            self.controls.catch_up()
            self._following, self._caught_up = [], clock

    def _change_run(self, choices: Choices) -> None:
        recipe, wrong = self._recipe(choices)
        if wrong is not None:
            return
        asked, standing = loaded_by(recipe), loaded_by(self.session.recipe)
        if asked == standing:
            self.session.drop_coming()
        elif asked != self.session.wanted:
            self.session.begin(recipe)

    def _recipe(self, choices: Choices) -> tuple[Recipe | None, Refusal | None]:
        wrong = self.controls.incomplete()
        if wrong is not None:
            return None, wrong
        try:
            return recipe_of(choices, self.session.recipe), None
        except ValidationError as error:
            return None, explain(error)

    def _look(self) -> tuple[View, Refusal | None]:
        """The view as it is now, and what is wrong with the controls, if anything is."""
        recipe, wrong = self._recipe(self.controls.read())
        state, draft = self.session.state, None
        self._unloadable = self.session.unloadable(recipe) if recipe is not None else None
        if recipe is not None:
            # A model or a text that was asked for and is not there (yet) is no part of what stands on the page.
            recipe = recipe.model_copy(update=dict(zip(LOADING, loaded_by(self.session.recipe), strict=True)))
            self._sound = recipe
        try:
            # While one value is refused the draft stays as it was: a wrong number of steps changes nothing in the plan.
            draft: Draft | None = draft_of(self._sound, state, self.session.pruned_by)
        except BadInput as error:
            recipe, wrong = None, (error.field, str(error))
        session, runs = self.session, self._roster.look(self.session.client.name)
        view = View(state, draft, self.theme, recipe, session.client.folder, session.is_changing, session.tune, runs)
        sweeps, tried, compared = self._trials.look(recipe or self._sound)
        return replace(view, part=self._trials.part, sweeps=sweeps, tried=tried, compared=compared), wrong

    def _obey(self, asked: ask.Command | Request, view: View) -> None:
        self.session.refusal = None
        try:
            match asked:
                case Press(button=name):
                    if not refusals(view, self._waiting)[name]:
                        self._post(*pressed(name, view))
                case OpenRun(name=name):
                    self.session.open(name)
                case NewRun():
                    self.session.begin(view.recipe or self.session.recipe)
                case of_runs if isinstance(of_runs, OfRuns):
                    self._roster.obey(of_runs)
                case of_trials if isinstance(of_trials, OfTrials):
                    self._load(self._trials.obey(of_trials), view)
                    if isinstance(of_trials, Turn):
                        self._at_run(self._run)
                case Download(what=what):
                    self._deliver(what, view)
                case Adopt(heads=heads, neurons=neurons):
                    self.controls.show(adopted(self.controls.read(), {"heads": heads, "neurons": neurons}))
                case ask.SetGate() if view.leaving:
                    raise BadInput(words.LEAVING)
                case ask.SetGate() if not words.is_free(view.state) and view.state.doing not in SHORT:
                    raise BadInput("A head can be opened or closed when nothing else is being done; wait, or press Stop.")
                case command:
                    self._post(command)
        except BadInput as error:
            self.session.refusal = error.field, str(error)

    def _load(self, recipe: Recipe | None, view: View) -> None:
        """Let the controls say what a recipe says, as they do for one in the page's address; nothing where there is none."""
        if recipe is None:
            return
        if words.is_bound(view.state) and loaded_by(recipe) != loaded_by(self.session.recipe):
            self._trials.refuse(words.BOUND)
            return
        choices = choices_of(recipe, self._layers)
        self.controls.show(choices)
        self._moved = self._clock()
        self._change_run(choices)

    def _ask(self, view: View) -> None:
        """Ask for what nobody presses a button for, while the model is free."""
        state = view.state
        if view.recipe is None or self._waiting or self.session.is_changing or not words.is_free(state) or state.model is None:
            return
        if self._moved < self._arrived and not self.session.client.is_awake():
            return  # no worker is started only to look at a run
        commands = self._errands.next(view, self._clock() - self._moved)
        if commands:
            self._post(*commands)

    def _post(self, *commands: ask.Command) -> None:
        self.session.post(*commands)
        if not all(isinstance(command, BACKGROUND) for command in commands):
            self._waiting = self._waiting or any(not isinstance(command, ask.HOLDS) for command in commands)
            self._errands.begin_again()

    def _draw(self, view: View, refusal: Refusal | None) -> None:
        field, sentence = refusal or ("", "")
        beside = self.controls.refuse(field, sentence)
        reasons = without_effect(self.controls.read(), self._layers)
        if words.is_bound(view.state):
            reasons |= dict.fromkeys(NEW_RUN, words.BOUND)
        self.controls.hold(reasons)
        loading = "Loading what was asked for; this run stays until it is there." if self.session.is_changing else self._stopped
        self.screen.draw(
            view,
            now=time.time(),
            waiting=self._waiting,
            hand=self._clock() - self._moved < REST,
            refusal="" if beside else sentence,
            note=loading,
        )

    def _watch(self, view: View) -> None:
        """Leave word every few seconds that somebody looks, and wake a worker where one should be at work and none is."""
        if self._clock() - self._watched < WATCH:
            return
        self._watched = self._clock()
        if self._watched < self._settled:
            self.transport.send_again()
        self._stopped = words.stopped_words(self.session.client.stopped())
        if view.state.is_over:
            return
        try:
            self.session.watch()
            if (self._waiting or view.state.status in ("busy", "paused", "new")) and not self.session.client.is_awake():
                self.session.client.wake()
        except BadInput as error:  # a run on a disk that takes no more can be looked at all the same
            self.session.refusal = error.field, str(error)
