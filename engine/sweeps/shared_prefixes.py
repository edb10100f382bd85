"""Perplexities of many prunings of one model, of which each runs only the layers after its first difference from an earlier one.

The hidden states of the evaluation blocks are kept where later prunings part from the one in hand: between two layers, with all
layers before them alike in the units that went and in how the others make up for them. Layers that lost units run cut. Both, the
states and what is left of a layer's parts, lie in one cache of so many bytes; what does not fit there is computed again. Knows
no recipe, and changes nothing of the model.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import LongTensor, Tensor, nn

from engine.desk import Desk
from engine.evaluation.perplexity import Evaluation, nats, total
from engine.models.anatomy import Layer
from engine.models.modes import evaluating
from engine.pruning.bounded_cache import NEVER, BoundedCache
from engine.pruning.cut_layers import KINDS, NOTHING, Fit, Part, Pieces
from engine.pruning.packed_plans import Packed, number_of, units_of
from engine.pruning.plan import parameters_removed
from engine.pruning.statistics import Statistics
from engine.pruning.streams import Call, calls, enter, leave
from engine.record.lifecycle import Progressed
from engine.record.recipe import Calibration, Measuring
from engine.watching import free_on

BATCH = 8  # blocks, as a perplexity by itself is measured
HORIZON = 500  # cells ahead that are looked at, to say what is needed when
PART = 4  # one part in so many of what is free on an accelerator is for what is kept there


@dataclass(frozen=True)
class Wish:
    """One pruning to be measured: what goes, how the rest makes up for it, and on which texts."""

    plan: Packed
    fit: Fit
    calibration: Calibration
    evaluation: Measuring


@dataclass(frozen=True)
class Found:
    """A perplexity, how many parameters were removed for it, how many compensation added in biases, and how many layers need not
    be run."""

    evaluation: Evaluation
    removed: int
    added: int
    shared: int


@dataclass(frozen=True)
class _Half:
    """The attention or the MLP of a layer without some units, and how the rest makes up for them."""

    layer: int
    name: str  # "attention" or "mlp"
    gone: bytes
    fit: Fit
    calibration: Calibration


@dataclass(frozen=True)
class _Path:
    """A wish as one number for each layer, equal where the layers are; each layer's halves as numbers, None for one that loses
    nothing, and all halves by their numbers."""

    evaluation: Measuring
    layers: tuple[int, ...]
    pairs: tuple[tuple[int | None, int | None], ...]
    halves: Mapping[int, _Half]


class Sharing:
    """What is shared between the prunings of the model on a desk, which must stand there bare; at most `most` bytes are kept, and
    on an accelerator no more than a part of what is free on it now."""

    def __init__(self, desk: Desk, most: int):
        self._desk, self._model = desk, desk.model
        self._all = desk.loaded.anatomy.layers
        self._pieces = Pieces(desk.model)
        self._coming: list[_Path] = []
        self._called: tuple[Measuring | None, dict[int, tuple[Call, ...]]] = (None, {})
        self._found: dict[int, tuple[Evaluation, int]] = {}  # of all that was measured, by the number of its path
        self.cache = BoundedCache(within(most, desk.device), self._next_use)

    def ordered(self, wishes: Sequence[Wish]) -> list[int]:
        """The places of the wishes in an order in which those that begin alike follow one another."""
        paths, met = [self._path(wish) for wish in wishes], {}
        for path in paths:
            for number in path.layers:
                met.setdefault(number, len(met))
        return sorted(range(len(wishes)), key=lambda at: (repr(paths[at].evaluation), [met[one] for one in paths[at].layers]))

    def expect(self, wishes: Iterable[Wish]) -> None:
        """Know which wishes come, in their order: what they share is kept for them."""
        self._coming = [self._path(wish) for wish in wishes]

    def measuring(self, wish: Wish) -> Generator[Progressed, None, Found]:
        """The perplexity of the model pruned like this. Raises `BadInput` as a compensation does, and for a plan that does not
        fit."""
        path = self._path(wish)
        if path in self._coming[:1]:
            self._coming.pop(0)
        removed = parameters_removed(wish.plan.plan, self._desk.loaded.anatomy)
        known = yield from self._desk.known(wish.fit.method, wish.calibration)
        key, shared = number_of((path.evaluation, path.layers)), len(self._all)
        if key not in self._found:
            *self._found[key], shared = yield from self._run(path, known)
        self.cache.tidy()
        evaluation, added = self._found[key]
        return Found(evaluation, removed, added, shared)

    def forget(self) -> None:
        """Let go of everything that is kept, after an error or for want of memory."""
        self.cache = BoundedCache(self.cache.most, self._next_use)
        self._called = (None, {})

    def _run(self, path: _Path, known: Statistics | None) -> Generator[Progressed, None, tuple[Evaluation, int, int]]:
        measuring = path.evaluation
        blocks = self._desk.texts.blocks("evaluation", measuring.sequence_length, measuring.tokens, "evaluation")
        batches = [batch.to(self._desk.device) for batch in blocks.split(BATCH)]  # each [batch, length]
        called = self._calls(measuring, batches)
        worth = {_alike(path, other) for other in self._coming[:HORIZON]}
        first, hidden, added = self._nearest(path)
        hidden = [enter(self._model, batch) for batch in batches] if hidden is None else hidden
        steps = len(self._all) - first + 1
        for done, layer in enumerate(self._all[first:]):
            yield Progressed("measuring", done, steps, "layers")
            module, more = self._module(layer, path, known)
            added += more
            hidden = self._through(module, hidden, [called[len(batch)][layer.index] for batch in batches])
            if layer.index + 1 in worth and layer.index + 1 < len(self._all):
                self.cache.put(_state(path, layer.index + 1), (hidden, added), sum(one.nbytes for one in hidden))
        yield Progressed("measuring", steps - 1, steps, "layers")
        parts = []
        for batch, states in zip(batches, hidden, strict=True):
            with torch.inference_mode():
                parts.append((nats(leave(self._model, batch, states), batch), batch[:, 1:].numel()))
        return total(parts), added, first

    def _through(self, module: nn.Module, hidden: Sequence[Tensor], called: Sequence[Call]) -> list[Tensor]:
        with evaluating(module), torch.inference_mode():
            return [
                module(states, *call.positional, **call.keyword)  # [batch, length, width]
                for states, call in zip(hidden, called, strict=True)
            ]

    def _calls(self, measuring: Measuring, batches: Sequence[LongTensor]) -> dict[int, tuple[Call, ...]]:
        if self._called[0] != measuring:
            sizes = {len(batch): batch for batch in batches}
            self._called = measuring, {size: calls(self._model, batch) for size, batch in sizes.items()}
        return self._called[1]

    def _nearest(self, path: _Path) -> tuple[int, list[Tensor] | None, int]:
        """How many layers need not be run, since what the last of them gave is kept; that, and what compensation added there."""
        for layers in range(len(path.layers) - 1, 0, -1):
            kept = self.cache.get(_state(path, layers))
            if kept is not None:
                return layers, *kept
        return 0, None, 0

    def _module(self, layer: Layer, path: _Path, known: Statistics | None) -> tuple[nn.Module, int]:
        """The layer as a path has it, and how many parameters compensation added to it."""
        halves = path.pairs[layer.index]
        if halves == (None, None):
            return self._pieces.own(layer), 0
        parts = [NOTHING if half is None else self._part(layer, half, path.halves[half], known) for half in halves]
        return self._pieces.layer(layer, *parts), sum(part.added for part in parts)

    def _part(self, layer: Layer, number: int, half: _Half, known: Statistics | None) -> Part:
        kept = self.cache.get(number)
        if kept is None:
            kept = self._pieces.part(layer, half.name, units_of(half.gone), half.fit, known)
            self.cache.put(number, kept, kept.size)
        return kept

    def _path(self, wish: Wish) -> _Path:
        pairs, halves = [], {}
        for layer in self._all:
            pair = []
            for name, kind in KINDS.items():
                gone = wish.plan.bits(kind, layer.index)
                if gone:
                    half = _Half(layer.index, name, gone, wish.fit, wish.calibration)
                    pair.append(number_of(half))
                    halves[pair[-1]] = half
                else:
                    pair.append(None)
            pairs.append(tuple(pair))
        return _Path(wish.evaluation, tuple(map(number_of, pairs)), tuple(pairs), halves)

    def _next_use(self, key: object) -> float:
        for ahead, path in enumerate(self._coming[:HORIZON]):
            if (key in path.halves) if isinstance(key, int) else self._serves(key, path):
                return ahead
        return NEVER

    def _serves(self, state: tuple, path: _Path) -> bool:
        """Whether a path would go on from a state: it begins like that, and nothing further on is kept of it."""
        evaluation, layers = state
        begins = evaluation == path.evaluation and path.layers[: len(layers)] == layers
        return begins and not any(self.cache.get(_state(path, more)) for more in range(len(layers) + 1, len(path.layers)))


def within(most: int, device: str) -> int:
    """How many of so many bytes may be kept on a device: there is where tensors lie, whatever memory the machine has."""
    return most if device == "cpu" else min(most, free_on(torch.device(device)) // PART)


def _state(path: _Path, layers: int) -> tuple[Measuring, tuple[int, ...]]:
    """What tells the hidden states behind the first so many layers of a path."""
    return path.evaluation, path.layers[:layers]


def _alike(one: _Path, other: _Path) -> int:
    """In how many layers two paths begin alike."""
    if one.evaluation != other.evaluation:
        return 0
    pairs = zip(one.layers, other.layers, strict=True)
    return next((at for at, (mine, theirs) in enumerate(pairs) if mine != theirs), len(one.layers))
