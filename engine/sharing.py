"""Perplexities of many prunings of one model, of which each runs only the layers after its first difference from an earlier one.

The hidden states of the evaluation blocks are kept where later prunings part from the one in hand: between two layers, with all
layers before them alike in the units that went and in how the others make up for them. Layers that lost units run cut. Both, the
states and what is left of a layer's parts, lie on one shelf of so many bytes; what does not fit there is computed again. Knows
no recipe, and changes nothing of the model.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import LongTensor, Tensor, nn

from engine.desk import Desk
from engine.evaluation.perplexity import Evaluation, nats, total
from engine.models.anatomy import Layer
from engine.pruning.modes import evaluating
from engine.pruning.pieces import KINDS, NOTHING, Fit, Part, Pieces
from engine.pruning.plan import Plan, Unit, check
from engine.pruning.shelf import NEVER, Shelf
from engine.pruning.statistics import Statistics
from engine.pruning.streams import Call, calls, enter, leave
from engine.record.lifecycle import Progressed
from engine.record.recipe import Calibration, Measuring

BATCH = 8  # blocks, as a perplexity by itself is measured
HORIZON = 500  # cells ahead that are looked at, to say what is needed when


@dataclass(frozen=True)
class Wish:
    """One pruning to be measured: what goes, how the rest makes up for it, and on which texts."""

    plan: Plan
    fit: Fit
    calibration: Calibration
    evaluation: Measuring


@dataclass(frozen=True)
class Found:
    """A perplexity, how many parameters compensation added in biases, and how many layers need not be run for it."""

    evaluation: Evaluation
    added: int
    shared: int


@dataclass(frozen=True)
class _Path:
    """A wish as one number for each layer, equal where the layers are; and the numbers of all halves in it."""

    evaluation: Measuring
    layers: tuple[int, ...]
    halves: frozenset[int]


@dataclass(frozen=True)
class _Half:
    """The attention or the MLP of a layer without some units, and how the rest makes up for them."""

    layer: int
    name: str  # "attention" or "mlp"
    gone: tuple[int, ...]
    fit: Fit
    calibration: Calibration


class Sharing:
    """What is shared between the prunings of the model on a desk, which must stand there bare; at most `most` bytes are kept."""

    def __init__(self, desk: Desk, most: int):
        self._desk, self._model = desk, desk.model
        self._all = desk.loaded.anatomy.layers
        self._pieces = Pieces(desk.model)
        self._halves: list[_Half] = []
        self._pairs: list[tuple[int | None, int | None]] = []  # of a layer, its halves; None for one that loses nothing
        self._numbers: dict[object, int] = {}  # of halves and of pairs, their places above
        self._added: dict[int, int] = {}  # half → parameters that its compensation added
        self._coming: list[_Path] = []
        self._called: tuple[Measuring | None, dict[int, tuple[Call, ...]]] = (None, {})
        self._measured: dict[tuple[Measuring, tuple[int, ...]], Evaluation] = {}
        self.shelf = Shelf(most, self._next_use)

    def ordered(self, wishes: Sequence[Wish]) -> list[int]:
        """The places of the wishes in an order in which those that begin alike follow one another."""
        paths = [self._path(wish) for wish in wishes]
        return sorted(range(len(wishes)), key=lambda at: (repr(paths[at].evaluation), paths[at].layers))

    def expect(self, wishes: Iterable[Wish]) -> None:
        """Know which wishes come, in their order: what they share is kept for them."""
        self._coming = [self._path(wish) for wish in wishes]

    def measuring(self, wish: Wish) -> Generator[Progressed, None, Found]:
        """The perplexity of the model pruned like this. Raises `BadInput` as a compensation does, and for a plan that does not
        fit."""
        path = self._path(wish)
        if path in self._coming[:1]:
            self._coming.pop(0)
        check(wish.plan, self._desk.loaded.anatomy)
        known = yield from self._desk.known(wish.fit.method, wish.calibration)
        key, shared = (path.evaluation, path.layers), len(self._all)
        if key not in self._measured:
            self._measured[key], shared = yield from self._run(path, known)
        self.shelf.tidy()
        return Found(self._measured[key], sum(self._added[half] for half in path.halves), shared)

    def forget(self) -> None:
        """Let go of everything that is kept, after an error or for want of memory."""
        self.shelf = Shelf(self.shelf.most, self._next_use)
        self._called = (None, {})

    def _run(self, path: _Path, known: Statistics | None) -> Generator[Progressed, None, tuple[Evaluation, int]]:
        measuring = path.evaluation
        blocks = self._desk.texts.blocks("evaluation", measuring.sequence_length, measuring.tokens, "evaluation")
        batches = [batch.to(self._desk.device) for batch in blocks.split(BATCH)]  # each [batch, length]
        called = self._calls(measuring, batches)
        worth = {_alike(path, other) for other in self._coming[:HORIZON]}
        first, hidden = self._nearest(path)
        hidden = [enter(self._model, batch) for batch in batches] if hidden is None else hidden
        steps = len(self._all) - first + 1
        for done, layer in enumerate(self._all[first:]):
            yield Progressed("measuring", done, steps, "layers")
            module = self._module(layer, path.layers[layer.index], known)
            hidden = self._through(module, hidden, [called[len(batch)][layer.index] for batch in batches])
            if layer.index + 1 in worth and layer.index + 1 < len(self._all):
                self.shelf.put(_state(path, layer.index + 1), hidden, sum(one.nbytes for one in hidden))
        yield Progressed("measuring", steps - 1, steps, "layers")
        parts = []
        for batch, states in zip(batches, hidden, strict=True):
            with torch.inference_mode():
                parts.append((nats(leave(self._model, batch, states), batch), batch[:, 1:].numel()))
        return total(parts), first

    def _through(self, module: nn.Module, hidden: Sequence[Tensor], called: Sequence[Call]) -> list[Tensor]:
        with evaluating(self._model), torch.inference_mode():
            return [
                module(states, *call.positional, **call.keyword)  # [batch, length, width]
                for states, call in zip(hidden, called, strict=True)
            ]

    def _calls(self, measuring: Measuring, batches: Sequence[LongTensor]) -> dict[int, tuple[Call, ...]]:
        if self._called[0] != measuring:
            sizes = {len(batch): batch for batch in batches}
            self._called = measuring, {size: calls(self._model, batch) for size, batch in sizes.items()}
        return self._called[1]

    def _nearest(self, path: _Path) -> tuple[int, list[Tensor] | None]:
        """How many layers need not be run, since what the last of them gave is kept, and that."""
        for layers in range(len(path.layers) - 1, 0, -1):
            kept = self.shelf.get(_state(path, layers))
            if kept is not None:
                return layers, kept
        return 0, None

    def _module(self, layer: Layer, number: int, known: Statistics | None) -> nn.Module:
        halves = self._pairs[number]
        parts = [NOTHING if half is None else self._part(layer, half, known) for half in halves]
        return self._pieces.own(layer) if halves == (None, None) else self._pieces.layer(layer, *parts)

    def _part(self, layer: Layer, number: int, known: Statistics | None) -> Part:
        kept = self.shelf.get(number)
        if kept is None:
            half = self._halves[number]
            kept = self._pieces.part(layer, half.name, half.gone, half.fit, known)
            self._added[number] = kept.added
            self.shelf.put(number, kept, kept.size)
        return kept

    def _path(self, wish: Wish) -> _Path:
        units = {name: _by_layer(getattr(wish.plan, kind)) for name, kind in KINDS.items()}
        layers, halves = [], []
        for layer in self._all:
            pair = []
            for name in KINDS:
                gone = tuple(sorted(units[name].get(layer.index, ())))
                half = _Half(layer.index, name, gone, wish.fit, wish.calibration)
                pair.append(self._number(half, self._halves) if gone else None)
            layers.append(self._number(tuple(pair), self._pairs))
            halves += [half for half in pair if half is not None]
        return _Path(wish.evaluation, tuple(layers), frozenset(halves))

    def _number(self, thing: object, among: list) -> int:
        if thing not in self._numbers:
            self._numbers[thing] = len(among)
            among.append(thing)
        return self._numbers[thing]

    def _next_use(self, key: object) -> float:
        for ahead, path in enumerate(self._coming[:HORIZON]):
            if (key in path.halves) if isinstance(key, int) else self._serves(key, path):
                return ahead
        return NEVER

    def _serves(self, state: tuple, path: _Path) -> bool:
        """Whether a path would go on from a state: it begins like that, and nothing further on is kept of it."""
        evaluation, layers = state
        begins = evaluation == path.evaluation and path.layers[: len(layers)] == layers
        return begins and not any(self.shelf.get(_state(path, more)) for more in range(len(layers) + 1, len(path.layers)))


def _state(path: _Path, layers: int) -> tuple[Measuring, tuple[int, ...]]:
    """What tells the hidden states behind the first so many layers of a path."""
    return path.evaluation, path.layers[:layers]


def _alike(one: _Path, other: _Path) -> int:
    """In how many layers two paths begin alike."""
    if one.evaluation != other.evaluation:
        return 0
    pairs = zip(one.layers, other.layers, strict=True)
    return next((at for at, (mine, theirs) in enumerate(pairs) if mine != theirs), len(one.layers))


def _by_layer(units: Iterable[Unit]) -> dict[int, list[int]]:
    layers: dict[int, list[int]] = {}
    for layer, index in units:
        layers.setdefault(layer, []).append(index)
    return layers
