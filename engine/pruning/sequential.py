"""Compensation layer by layer, on what the pruned model really sees: each fit also mends what the layers before have spoilt.

Two streams of hidden states go through the model side by side, that of the dense model and that of the pruned one. At an output
projection, with x what comes in there in the pruned model, r its residual stream before the projection writes to it, and R the
dense model's residual stream after, the projection is fitted to

    W' x_K + b'  ≈  R − r  =  the dense output + what the residual stream has drifted by then

by ridge regression on the change of the weights, W' = W_K + D, so that an endless ridge leaves them and corrects the bias alone.
With the drift left out of the target, each layer would faithfully repeat what the dense one adds, on top of a stream that is off.
From the first projection that loses units on, all are fitted, also those that lose nothing: they too can mend. Asymmetric
reconstruction as such: He, Zhang and Sun 2017 (arXiv 1707.06168); for projections of transformers arXiv 2510.14444.
"""

import math
from collections.abc import Iterator

from torch import LongTensor, Tensor, nn

from engine.models.anatomy import Anatomy, Layer
from engine.pruning.compensate import RIDGE, Compensation, Spot, Steps, check_ridge, correct, spots
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan, check
from engine.pruning.regression import Gathering
from engine.pruning.running_sums import workable
from engine.pruning.streams import Seen, calls, enter, step
from engine.record.errors import BadInput
from engine.record.lifecycle import Progressed

SWEEPS = 3  # over the text in every layer: to fit the attention, to fit the MLP, to go on


def refitting(
    model: nn.Module,
    plan: Plan,
    anatomy: Anatomy,
    blocks: LongTensor,
    ridge: float = RIDGE,
    add_biases: bool = True,
    batch_size: int = 8,
) -> Steps:
    """Correct, in place, the output projections from the first that loses units on; return a record of each.

    `blocks` [n, length] is the calibration text, without padding. The model is given bare: every gate open, its weights those of
    the dense model. Afterwards its kept columns and its biases are changed and its gates are open again. In a record `dropped` is
    the error beside the target with the projection as it was, `compensated` that with the fitted one.

    The cost is that of about three forward passes, and of the moments. Kept in memory are the two streams, 2 · tokens · width
    numbers (a third one where a layer norms after adding), and the moments of one projection, channels² in float64. Raises
    `BadInput` as `compensating` does, and for activations that are not finite. Whoever stops halfway, or is stopped by an error,
    restores the originals.
    """
    check_ridge(ridge)
    check(plan, anatomy)
    if not plan.heads and not plan.neurons:
        return ()
    records: list[Compensation] = []
    with Gates(model) as gates:
        walk = _Walk(model, anatomy, gates, blocks, batch_size)
        for layer in anatomy.layers:
            walk.closed = Plan(
                [(layer.index, head) for head in plan.heads_of(layer.index)],
                [(layer.index, neuron) for neuron in plan.neurons_of(layer.index)],
            )
            attention, mlp = (_Fitting(spot) for spot in spots(layer, plan))
            wanted = bool(records or attention.spot.gone)
            yield from walk.through_the_dense(layer, mlp, attention if wanted else None)
            if wanted:
                records.append(attention.correct(model, ridge, add_biases))
            wanted = wanted or bool(mlp.spot.gone)
            if wanted:
                yield from walk.to_the_mlp(layer, mlp)
                records.append(mlp.correct(model, ridge, add_biases))
            yield from walk.through_the_pruned(layer, wanted)
    return tuple(records)


class _Fitting:
    """What is gathered about one output projection: its equations, and how much the dense one's output varies."""

    def __init__(self, spot: Spot):
        self.spot = spot
        self.errors = Gathering()
        self.outputs = Gathering()
        self.tokens = 0

    def add_output(self, output: Tensor) -> None:
        """Take in what the projection gives in the dense model, [batch, length, width]."""
        output = output.flatten(0, 1)  # [tokens, width]
        self.outputs.add(output[:, :0], output, output.new_ones(len(output)))
        self.tokens += len(output)

    def add_error(self, inputs: Tensor, goal: Tensor, there: tuple[Tensor, ...]) -> None:
        """Take in `inputs` [batch, length, channels] and, as the error, what the sum of `there` lacks of the goal, each
        [batch, length, width]."""
        error = workable(goal) - sum(map(workable, there))  # [batch, length, width]
        inputs = inputs.flatten(0, 1)[:, list(self.spot.kept)]  # [tokens, kept]
        self.errors.add(inputs, error.flatten(0, 1), error.new_ones(len(inputs)))

    def correct(self, model: nn.Module, ridge: float, add_biases: bool) -> Compensation:
        """Fit the projection. Raises `BadInput` where what was gathered is not finite."""
        found, variance = self.errors.equations(), self.outputs.equations().spread
        if not (math.isfinite(found.spread) and bool(found.among.isfinite().all())):
            raise BadInput(
                f"What {self.spot.path} takes in or gives is not finite on the calibration text; the weights are damaged or the "
                "precision is too low for this model: load it in float32 or bfloat16."
            )
        return correct(model, self.spot, found, variance, self.tokens, "sequential", ridge, add_biases)


class _Walk:
    """The two streams on their way through the model: for every batch of text what comes into the next layer, on the CPU."""

    def __init__(self, model: nn.Module, anatomy: Anatomy, gates: Gates, blocks: LongTensor, batch_size: int):
        self.model = model
        self.gates = gates
        self.closed = Plan()
        self.device = next(model.parameters()).device
        batches = [batch.to(self.device) for batch in blocks.split(batch_size)]
        self.calls = {size: calls(model, batch) for size, batch in {len(batch): batch for batch in batches}.items()}
        self.dense = [enter(model, batch).cpu() for batch in batches]  # each [batch, length, width]
        self.pruned = list(self.dense)
        self.goals: list[Tensor] = []  # each [batch, length, width]: the dense stream where the MLP has written to it
        self.norms_after = False  # whether this layer norms the sum, as OPT-350m does, and not the summand
        self.done, self.total = 0, SWEEPS * len(anatomy.layers) * len(batches)

    def through_the_dense(self, layer: Layer, mlp: _Fitting, attention: _Fitting | None) -> Iterator[Progressed]:
        """Bring the dense stream through a layer, and gather what the pruned one's attention lacks."""
        self.goals = []
        for at, before in enumerate(self.dense):
            whole = self._run(layer, before, Plan())
            mlp.add_output(whole.mlp)
            if attention is not None:
                attention.add_output(whole.attention)
                part = self._run(layer, self.pruned[at], self.closed, "attention")
                goal = before.to(self.device) + whole.attention  # [batch, length, width]
                attention.add_error(part.attention_inputs, goal, (self.pruned[at].to(self.device), part.attention))
            self.dense[at] = whole.hidden.cpu()
            if at == 0:
                self.norms_after = not _adds_up(before.to(self.device), whole)
            # Where the layer ends in the sum, the sum is what comes into the next layer: no third stream is kept.
            self.goals.append((whole.read + whole.mlp).cpu() if self.norms_after else self.dense[at])
            yield self._progress()

    def to_the_mlp(self, layer: Layer, mlp: _Fitting) -> Iterator[Progressed]:
        """Gather what the pruned one's MLP lacks, its attention being fitted already."""
        for at, before in enumerate(self.pruned):
            part = self._run(layer, before, self.closed, "mlp")
            mlp.add_error(part.mlp_inputs, self.goals[at].to(self.device), (self._residual(before, part), part.mlp))
            yield self._progress()

    def through_the_pruned(self, layer: Layer, differs: bool) -> Iterator[Progressed]:
        """Bring the pruned stream through the layer as it is now; up to the first change it is the dense one."""
        for at, before in enumerate(self.pruned):
            self.pruned[at] = self._run(layer, before, self.closed).hidden.cpu() if differs else self.dense[at]
            yield self._progress()

    def _run(self, layer: Layer, hidden: Tensor, closed: Plan, until: str = "hidden") -> Seen:
        self.gates.set(closed)
        return step(self.model, layer, hidden.to(self.device), self.calls[len(hidden)][layer.index], until)

    def _residual(self, before: Tensor, seen: Seen) -> Tensor:
        """What the MLP's output is added to: the layer's input and the attention's output, or their norm, which the MLP reads."""
        return seen.read if self.norms_after else before.to(self.device) + seen.attention  # [batch, length, width]

    def _progress(self) -> Progressed:
        self.done += 1
        return Progressed("compensation", self.done, self.total, "batches")


def _adds_up(before: Tensor, seen: Seen) -> bool:
    """Whether a layer's output is its input plus what its two projections gave, up to rounding in any dtype."""
    apart = seen.hidden.float() - (before + seen.attention + seen.mlp).float()  # [batch, length, width]
    return bool(apart.norm() <= 0.01 * seen.hidden.float().norm())
