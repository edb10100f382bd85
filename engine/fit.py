"""Will it fit? How many bytes a command is expected to take, from the shapes of the model and the text; carries nothing out.

An estimate is what the process holds before the command, and what it takes on top at its worst moment. Every part is counted
from shapes; the constants at the top were measured, and say where. All of it is about a model on the CPU.
"""

import math
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.desk import Desk
from engine.models.anatomy import Anatomy
from engine.models.headers import entries, weight_files
from engine.models.reading import read_json
from engine.pruning.calibration import BATCH, memory_needed
from engine.pruning.compensate import NEEDS
from engine.pruning.gradients import blocks_at_once, graph_bytes
from engine.record import commands as ask
from engine.record.catalogue import CRITERIA
from engine.record.errors import blaming
from engine.record.lifecycle import MemoryEstimated
from engine.record.memory import available, give_back, resident
from engine.record.recipe import Calibration, Suggestion, Tuning
from engine.recovery.loss import LOGITS
from engine.text.sizes import to_take_in

FLOAT = 4  # bytes; weights and activations of a run are float32
MB = 10**6
# Measured on the built-in models and SmolLM2 (Linux, torch 2.13): code that is first touched, the text, the tokenizer.
LOADING, LOADING_A_TOKEN = 24 * MB, 1350  # the second for each entry of the vocabulary
COMPUTING = 6 * MB  # of code: twice as much when a process computes for the first time, little later
# Float64 matrices as large as the widest projection's covariance, alive at once where weights are solved for with a third of the
# channels gone, or a curve of damage is made; and where channels are put in an order by what the others make up for.
SOLVING, ORDERING = 4, 8
ADAPTING = 80 * MB  # of code: peft, which is brought in by the first recovery with adapters
APART = 10  # as large as the logits of a piece, alive at once: both models', their logarithms, what lies apart, its gradients
TOKEN = 44  # bytes of a token of text in a list and in a tensor
LETTERS = 4  # in a token, about


def foretell(command: ask.Command, desk: Desk | None, base: int) -> MemoryEstimated | None:
    """What a Score, Agree, Suggest, Preview, Prune or Tune will take; None for any other command, and on an accelerator, in whose
    memory the model stands: what that takes was never measured. `base` is what was held before any Load."""
    if desk is None or desk.device != "cpu":
        return None
    anatomy = desk.loaded.anatomy
    match command:
        case ask.Score():
            extra = to_score(anatomy, (command.criterion,), command.calibration)
        case ask.Agree():
            extra = to_score(anatomy, command.criteria, command.calibration)
        case ask.Suggest():
            extra = max(_to_plan(desk, command), to_suggest(anatomy, command.suggestion, command.calibration))
        case ask.Preview():  # it measures a copy that is cut: logits of a batch, and their logarithms
            logits = 2 * FLOAT * BATCH * command.evaluation.sequence_length * anatomy.vocabulary
            extra = max(_to_plan(desk, command), COMPUTING + weights(anatomy) + logits)
        case ask.Prune():
            extra = _to_plan(desk, command)
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
    return MemoryEstimated(command, max(now, at_least) + extra, now, now + available())


def to_load(folder: Path, corpus: str | dict[str, str] = "") -> int:
    """What reading the model in a folder takes, with its tokenizer and a text; from the headers and the sizes of files alone.

    Raises `BadInput` for files whose header cannot be read, and for an index of them that is broken.
    """
    stored, count, wide = 0, 0, True
    for path in weight_files(folder):
        for tensor in entries(path):
            stored += tensor.size
            count += math.prod(tensor.shape)
            wide = wide and tensor.dtype == "F32"
    vocabulary = read_json(folder / "config.json").get("vocab_size") or 0
    # The model is tried out on two tokens: float32 that was only mapped is read by that, and other weights have been copied.
    own = FLOAT * count + (0 if wide else stored)
    return own + COMPUTING + LOADING + LOADING_A_TOKEN * vocabulary + to_take_in(corpus)


def to_score(anatomy: Anatomy, criteria: Iterable[str], calibration: Calibration) -> int:
    """What criteria take together: a pass over the text for all that they need, and then what one takes that works on
    covariances step by step."""
    facts = [_facts(criterion) for criterion in criteria]
    passing = to_read(anatomy, {need for each in facts for need in each["NEEDS"]}, calibration)
    ordering = any("covariance" in each["NEEDS"] and "STEPS" in each for each in facts)
    return max(passing, COMPUTING + covariances(anatomy) + ORDERING * matrix_bytes(anatomy)) if ordering else passing


def to_read(anatomy: Anatomy, needs: Collection[str], calibration: Calibration) -> int:
    """What a pass over the text takes that gathers these statistics; next to nothing where there are none to gather."""
    if not needs:
        return COMPUTING
    return COMPUTING + memory_needed(anatomy, needs, length=calibration.sequence_length, batch_size=_at_once(calibration))


def to_prune(
    anatomy: Anatomy, criterion: str, compensation: str, calibration: Calibration, scored: bool = False, gathered: bool = False
) -> int:
    """What scores and a compensation take: the passes over the text, then the solves, beside copies of all that they change.

    There is no pass for units that are `scored` already, and none for statistics that are `gathered`: those are held.
    """
    scoring = COMPUTING if scored else to_score(anatomy, (criterion,), calibration)
    originals = FLOAT * sum(layer.width * sum(layer.channels) for layer in anatomy.layers)
    if compensation == "none":  # the weights under closed gates are kept as well, and copied once more for the checkpoint
        return max(scoring, COMPUTING + 2 * originals)
    solves = SOLVING * matrix_bytes(anatomy)
    if compensation == "sequential":
        width = max((layer.width for layer in anatomy.layers), default=0)
        streams = 3 * FLOAT * calibration.tokens * width  # the dense and the pruned one, and what is to be reached
        return max(scoring, to_read(anatomy, ("rms",), calibration) + streams + originals + solves)
    needs = () if gathered else NEEDS.get(compensation, ())  # an unknown one is refused by whoever would do it
    sums = 0 if gathered else covariances(anatomy)
    return max(scoring, to_read(anatomy, needs, calibration), COMPUTING + sums + originals + max(solves, originals))


def to_suggest(anatomy: Anatomy, suggestion: Suggestion, calibration: Calibration) -> int:
    """What predicting damage takes: the covariances, the moments of the outputs' gradients, and a pass forward and back, at whose
    end those gradients are kept, or what turns both into curves. Where it is measured: the covariances, and the logits of a batch
    with their logarithms."""
    sums, length = covariances(anatomy), calibration.sequence_length
    if suggestion.damage == "measured":
        return COMPUTING + sums + 2 * FLOAT * BATCH * length * anatomy.vocabulary
    sums += 8 * sum(2 * layer.width**2 for layer in anatomy.layers)
    tokens = length * blocks_at_once(anatomy, length, _at_once(calibration))
    passing = graph_bytes(anatomy, tokens) + FLOAT * tokens * sum(2 * layer.width for layer in anatomy.layers)
    return COMPUTING + sums + max(passing, SOLVING * matrix_bytes(anatomy))


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
    graph = graph_bytes(anatomy, piece, training=not by_lora)
    if tuning.method == "distil":  # its heads go over a few tokens at a time
        graph = graph_bytes(replace(anatomy, vocabulary=0), piece, training=not by_lora) + heads(anatomy, piece, not by_lora)
    worst = max(graph, trained)  # the gradients are there once the graph has gone
    code = COMPUTING + (ADAPTING if by_lora and "peft" not in sys.modules else 0)
    return code + copies + best + 2 * trained + worst + TOKEN * letters // LETTERS


def heads(anatomy: Anatomy, tokens: int, training: bool) -> int:
    """The bytes of what two models' heads make of so many tokens in a distillation, and, where they train, of the gradients of
    the student's: the sum, that of a piece, and what comes of it."""
    width = max((layer.width for layer in anatomy.layers), default=0)
    return FLOAT * (APART * min(LOGITS, tokens * anatomy.vocabulary) + 3 * training * anatomy.vocabulary * width)


def adapters(anatomy: Anatomy, rank: int) -> int:
    """The bytes of two matrices of that rank beside every projection of a model, queries, keys and values each by themselves."""
    numbers = 0
    for layer in anatomy.layers:
        made = 2 * (layer.heads + layer.groups) * layer.head_width  # queries, keys, values, and what they come to
        numbers += 4 * layer.width + made + (1 + len(layer.mlp_inputs)) * (layer.width + layer.neurons)
    return FLOAT * rank * numbers


def covariances(anatomy: Anatomy) -> int:
    """The bytes of the covariances of all that comes into output projections."""
    return FLOAT * sum(width * width for layer in anatomy.layers for width in layer.channels)


def matrix_bytes(anatomy: Anatomy) -> int:
    """The bytes of a float64 matrix as large as the covariance of what comes into the widest projection."""
    return 8 * max((width for layer in anatomy.layers for width in layer.channels), default=0) ** 2


def weights(anatomy: Anatomy) -> int:
    """The bytes of a model's weights in float32."""
    return FLOAT * anatomy.parameters


def _to_plan(desk: Desk, wish: ask.Prune | ask.Preview | ask.Suggest) -> int:
    """What finding units and laying them over the model takes; where shares are suggested on the way, that as well."""
    anatomy, blocks = desk.loaded.anatomy, desk.calibration_blocks(wish.calibration)
    again = not isinstance(wish, ask.Suggest) and wish.rounds > 1 and not (isinstance(wish, ask.Prune) and wish.only)
    scored = not again and desk.evidence.has_scores(wish.criterion, blocks, wish.seed)  # a later round scores what is left anew
    gathered = desk.evidence.has_statistics(blocks, NEEDS.get(wish.compensation, ()))
    pruning = to_prune(anatomy, wish.criterion, wish.compensation, wish.calibration, scored, gathered)
    if isinstance(wish, ask.Suggest) or wish.allocation != "suggest":
        return pruning
    return max(pruning, to_suggest(anatomy, wish.suggestion, wish.calibration))


def _at_once(calibration: Calibration) -> int:
    """How many blocks a pass has in hand: no more than a short text has."""
    return min(BATCH, max(1, calibration.tokens // calibration.sequence_length))


def _facts(criterion: str) -> Mapping[str, Any]:
    with blaming("criterion"):
        return CRITERIA.entry(criterion).facts
