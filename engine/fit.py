"""Will it fit? How many bytes a command is expected to take, from the shapes of the model and the text; carries nothing out.

An estimate is what the process holds before the command, and what it takes on top at its worst moment. Every part is counted
from shapes; the constants at the top were measured, and say where.
"""

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil

from engine.desk import Desk
from engine.models.anatomy import Anatomy
from engine.models.reading import read_json
from engine.pruning.calibration import BATCH, memory_needed
from engine.pruning.compensate import NEEDS
from engine.pruning.gradients import blocks_at_once
from engine.record import commands as ask
from engine.record.catalogue import CRITERIA
from engine.record.errors import blaming
from engine.record.lifecycle import MemoryEstimated
from engine.record.recipe import Calibration, Suggestion, Tuning
from engine.record.resident import give_back, resident

FLOAT = 4  # bytes; weights and activations of a run are float32
MB = 10**6
# Measured on the built-in models and SmolLM2 (Linux, torch 2.13): code that is first touched, the text, the tokenizer.
LOADING, LOADING_A_TOKEN = 24 * MB, 1350  # the second for each entry of the vocabulary
COMPUTING = 6 * MB  # of code: twice as much when a process computes for the first time, little later
SOLVING = 8  # float64 matrices as large as the widest projection's covariance, alive at once in a solve
ADAPTING = 80 * MB  # of code: peft, which is brought in by the first recovery with adapters
CURVES = 4  # the same, where a curve of damage is worked out
TOKEN = 44  # bytes of a token of text in a list and in a tensor
LETTERS = 4  # in a token, about


def foretell(command: ask.Command, desk: Desk | None, base: int) -> MemoryEstimated | None:
    """What a Score, Agree, Suggest, Preview, Prune or Tune will take; None for any other command. `base` is what was held before
    any Load."""
    if desk is None:
        return None
    anatomy = desk.loaded.anatomy
    match command:
        case ask.Score():
            extra = to_score(anatomy, _needs(command.criterion), command.calibration)
        case ask.Agree():
            extra = to_score(anatomy, {need for each in command.criteria for need in _needs(each)}, command.calibration)
        case ask.Suggest():
            extra = max(_to_plan(anatomy, command), to_suggest(anatomy, command.suggestion, command.calibration))
        case ask.Preview():  # it measures a copy that is cut: logits of a batch, and their logarithms
            logits = 2 * FLOAT * BATCH * command.evaluation.sequence_length * anatomy.vocabulary
            extra = max(_to_plan(anatomy, command), COMPUTING + weights(anatomy) + logits)
        case ask.Prune():
            extra = _to_plan(anatomy, command)
        case ask.Tune():
            letters = sum(len(document) for document in desk.texts.splits.train)
            extra = to_tune(anatomy, command.tuning, letters)
        case _:
            return None
    return estimate(type(command).__name__, extra, base + weights(anatomy))


def estimate(command: str, extra: int, at_least: int = 0) -> MemoryEstimated:
    """An estimate from what is taken on top; `at_least` is what will have been held by then whatever is held now, in bytes."""
    give_back()
    now = resident()
    return MemoryEstimated(command, max(now, at_least) + extra, now, now + psutil.virtual_memory().available)


def to_load(folder: Path) -> int:
    """What reading the model in a folder takes, with its tokenizer and a text; from the heads of its files alone."""
    stored, count, wide = 0, 0, True
    for path in folder.glob("*.safetensors"):
        for tensor in _head(path):
            size = math.prod(tensor["shape"])
            stored += tensor["data_offsets"][1] - tensor["data_offsets"][0]
            count += size
            wide = wide and tensor["dtype"] == "F32"
    vocabulary = read_json(folder / "config.json").get("vocab_size") or 0
    # The model is tried out on one token: float32 that was only mapped is read by that, and other weights have been copied.
    own = FLOAT * count + (0 if wide else stored)
    return own + COMPUTING + LOADING + LOADING_A_TOKEN * vocabulary


def to_score(anatomy: Anatomy, needs: Iterable[str], calibration: Calibration) -> int:
    """What a criterion takes that needs these statistics; nothing where it goes by the weights alone."""
    length, sums = calibration.sequence_length, frozenset(needs) - {"gradients"}
    extra = memory_needed(anatomy, sums, length=length) if needs else 0
    if "gradients" in needs:
        extra = max(extra, graph(anatomy, length * blocks_at_once(anatomy, length, BATCH)))
    return COMPUTING + extra


def to_prune(anatomy: Anatomy, needs: Iterable[str], compensation: str, calibration: Calibration) -> int:
    """What scores and a compensation take: the passes over the text, then the solves, beside copies of all that they change."""
    scoring = to_score(anatomy, needs, calibration)
    if compensation == "none":
        return scoring
    widths = [width for layer in anatomy.layers for width in (layer.heads * layer.head_width, layer.neurons)]
    stream = max((layer.heads * layer.head_width for layer in anatomy.layers), default=0)  # about the residual stream's width
    originals, solves = FLOAT * stream * sum(widths), SOLVING * 8 * max(widths, default=0) ** 2
    if compensation == "sequential":
        streams = 3 * FLOAT * calibration.tokens * stream  # the dense and the pruned one, and what is to be reached
        batch = to_score(anatomy, ("rms",), calibration)
        return max(scoring, batch + streams + originals + solves)
    passing = to_score(anatomy, NEEDS.get(compensation, ()), calibration)  # an unknown one is refused by whoever would do it
    sums = FLOAT * sum(width * width for width in widths)
    return max(scoring, passing, COMPUTING + sums + originals + solves)


def to_suggest(anatomy: Anatomy, suggestion: Suggestion, calibration: Calibration) -> int:
    """What predicting damage takes: the covariances, the moments of the outputs' gradients, and a pass forward and back or what
    turns both into curves. Where it is measured: the covariances, and the logits of a batch with their logarithms."""
    widths = [width for layer in anatomy.layers for width in (layer.heads * layer.head_width, layer.neurons)]
    stream, length = max(widths[::2], default=0), calibration.sequence_length
    sums = FLOAT * sum(width * width for width in widths)
    if suggestion.damage == "measured":
        return COMPUTING + sums + 2 * FLOAT * BATCH * length * anatomy.vocabulary
    sums += 8 * len(widths) * stream**2
    passing = graph(anatomy, length * blocks_at_once(anatomy, length, BATCH))
    return COMPUTING + sums + max(passing, CURVES * 8 * max(widths, default=0) ** 2)


def to_tune(anatomy: Anatomy, tuning: Tuning, letters: int) -> int:
    """What training takes: gradients and two moments of what trains, the graph of a piece of a batch, the control, a teacher.

    `letters` is how many the training text has, all of which is made into tokens. Not counted in is that the cut model is smaller
    and that a teacher may be the student itself.
    """
    size, by_lora = weights(anatomy), "lora" in (tuning.method, tuning.student if tuning.method == "distil" else "")
    trained = min(size, adapters(anatomy, tuning.rank)) if by_lora else size
    best = trained if tuning.patience or tuning.guard else 0
    copies = (size if tuning.control else 0) + (size if tuning.method == "distil" else 0)
    piece = -(-tuning.batch_size // tuning.accumulation) * tuning.sequence_length
    worst = max(graph(anatomy, piece), trained)  # the gradients are there once the graph has gone
    code = COMPUTING + (ADAPTING if by_lora and "peft" not in sys.modules else 0)
    # At the end all weights are copied for the checkpoint, when moments, gradients and graph are gone.
    return code + copies + best + max(2 * trained + worst, size) + TOKEN * letters // LETTERS


def adapters(anatomy: Anatomy, rank: int) -> int:
    """The bytes of two matrices of that rank beside every projection of a model, about: the width of the residual stream is taken
    for that of a layer's heads."""
    numbers = 0
    for layer in anatomy.layers:
        width = layer.heads * layer.head_width
        numbers += rank * (8 * width + (1 + len(layer.mlp_inputs)) * (width + layer.neurons))
    return FLOAT * numbers


def graph(anatomy: Anatomy, tokens: int) -> int:
    """What a forward pass over so many tokens keeps for the backward pass, with what that takes at its beginning.

    Of every token: its log-probabilities, their gradients and those of the logits; of every layer norms, residual streams,
    queries, keys, values and what attention makes of them; and of the neurons what their activation function takes and gives,
    where they are gated of both halves and their product too.
    """
    layers = sum(
        8 * layer.heads * layer.head_width + (2 if len(layer.mlp_inputs) == 1 else 5) * layer.neurons for layer in anatomy.layers
    )
    return FLOAT * tokens * (3 * anatomy.vocabulary + layers)


def weights(anatomy: Anatomy) -> int:
    """The bytes of a model's weights in float32."""
    return FLOAT * anatomy.parameters


def _to_plan(anatomy: Anatomy, wish: ask.Prune | ask.Preview | ask.Suggest) -> int:
    """What finding units and laying them over the model takes; where shares are suggested on the way, that as well."""
    pruning = to_prune(anatomy, _needs(wish.criterion), wish.compensation, wish.calibration)
    if isinstance(wish, ask.Suggest) or wish.allocation != "suggest":
        return pruning
    return max(pruning, to_suggest(anatomy, wish.suggestion, wish.calibration))


def _needs(criterion: str) -> tuple[str, ...]:
    with blaming("criterion"):
        return CRITERIA.entry(criterion).facts["NEEDS"]


def _head(path: Path) -> list[dict]:
    """What a safetensors file says of its tensors: eight bytes of length, then JSON."""
    with path.open("rb") as file:
        told = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return [tensor for name, tensor in told.items() if name != "__metadata__"]
