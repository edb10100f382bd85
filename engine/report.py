"""Turns what the engine holds (models, plans, records) into the plain numbers of events and files; changes nothing."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from engine.models.anatomy import Anatomy
from engine.models.fingerprint import fingerprint_of
from engine.models.headers import weight_files
from engine.models.load import Loaded, devices
from engine.models.stored import SIDECAR, file_size, read_stored
from engine.pruning.agreement import agreements
from engine.pruning.compensate import Compensation
from engine.pruning.compensation_warnings import given_biases, without_biases
from engine.pruning.plan import Plan, Scores, parameters_removed
from engine.record.agreement import RankCorrelation
from engine.record.catalogue import version
from engine.record.costs import Latency, Memory
from engine.record.errors import BadInput, counted
from engine.record.events import Compensated, CorpusLoaded, CriteriaCompared, Evaluated, ModelCut, ModelLoaded, Residual
from engine.recovery.ranks import own_device
from engine.text.texts import Texts


def pick_device(asked: str) -> str:
    """The device that a recipe's word stands for; raises `BadInput` for an accelerator that is not there."""
    if asked == "auto":
        return own_device()
    there = devices()
    if not there[asked]:
        found = ", ".join(name for name, count in there.items() if count)
        raise BadInput(f"device {asked!r} is not on this machine; use auto or one of: {found}.")
    return asked


def loaded_as(loaded: Loaded, device: str, precision: torch.dtype) -> ModelLoaded:
    """What a model is, as the event that says so."""
    anatomy, layers = loaded.anatomy, loaded.anatomy.layers
    return ModelLoaded(
        model=loaded.name,
        family=anatomy.family,
        parameters=anatomy.parameters,
        context=anatomy.context,
        vocabulary=anatomy.vocabulary,
        heads=tuple(layer.heads for layer in layers),
        neurons=tuple(layer.neurons for layer in layers),
        head_parameters=tuple(layer.head_parameters for layer in layers),
        neuron_parameters=tuple(layer.neuron_parameters for layer in layers),
        device=device,
        precision=str(precision).removeprefix("torch."),
        groups=tuple(layer.groups for layer in layers),
        group_parameters=tuple(layer.group_parameters for layer in layers),
        keeps_heads=tuple(layer.keeps_heads for layer in layers),
        revision=loaded.revision,
        fingerprint=fingerprint_of(loaded.model),
    )


def texts_as(texts: Texts) -> CorpusLoaded:
    """What a text is, as the event that says so; raises `BadInput` as `Texts.blocks` does."""
    splits = texts.splits
    tokens = {f"{split}_tokens": texts.blocks(split, 2).numel() for split in ("calibration", "evaluation")}
    documents = {f"{split}_documents": len(getattr(splits, split)) for split in ("train", "calibration", "evaluation")}
    return CorpusLoaded(splits.name, **documents, **tokens, train_tokens=None, licence=splits.licence)


def counts(plan: Plan, anatomy: Anatomy, added: int = 0) -> dict[str, Any]:
    """The fields that every event about a plan has: which heads, how many units of each layer, parameters before and after.

    `added` is the number of parameters that the model has been given, as biases.
    """
    return {
        "heads": tuple(sorted(plan.heads)),
        "head_counts": tuple(len(plan.heads_of(layer.index)) for layer in anatomy.layers),
        "neuron_counts": tuple(len(plan.neurons_of(layer.index)) for layer in anatomy.layers),
        "parameters_before": anatomy.parameters,
        "parameters_after": anatomy.parameters - parameters_removed(plan, anatomy) + added,
    }


def residuals(records: Iterable[Compensation]) -> tuple[Residual, ...]:
    """What is foretold of the error in every output projection that was fitted."""
    return tuple(Residual(one.layer, one.part, one.dropped, one.compensated, one.variance) for one in records)


def compensated(method: str, records: tuple[Compensation, ...]) -> Compensated:
    """The records of a compensation as one event."""
    notes = (*given_biases(records), *without_biases(records))
    return Compensated(method, records[0].tokens if records else 0, residuals(records), notes)


def compared(criteria: Sequence[str], scores: Sequence[Scores], tokens: int) -> CriteriaCompared:
    """How alike criteria rank the units, each with its scores, as one event."""
    correlations = tuple(
        RankCorrelation(criteria[pair.one], criteria[pair.other], pair.kind, pair.correlation, pair.layers)
        for pair in agreements(scores)
    )
    return CriteriaCompared(tuple(criteria), correlations, tokens)


def size_of(model: nn.Module) -> tuple[int, int]:
    """(parameters, bytes) of a model's weights, each shared tensor once."""
    tensors = list(model.parameters())
    return sum(one.numel() for one in tensors), sum(one.numel() * one.element_size() for one in tensors)


def cut_as(
    dense: nn.Module, smaller: nn.Module, costs: Sequence[tuple[Latency, Memory]], difference: float, folder: Path | None = None
) -> ModelCut:
    """What a cut model weighs and costs beside the dense one, whose files are in `folder`, as the event that says so."""
    (before, bytes_before), (after, bytes_after) = size_of(dense), size_of(smaller)
    return ModelCut(
        parameters_before=before,
        parameters_after=after,
        bytes_before=bytes_before,
        bytes_after=bytes_after,
        latency=tuple(latency for latency, _ in costs),
        difference=difference,
        memory=tuple(memory for _, memory in costs),
        file_before=file_size(dense),
        file_after=file_size(smaller),
        machine=machine(smaller),
        file_stored=stored_size(folder) if folder is not None else None,
    )


def stored_size(folder: Path) -> int | None:
    """The bytes of the files of weights in a model's folder, in whatever dtype; None where there are none. Raises `BadInput` for
    an index of them that is broken."""
    return sum(path.stat().st_size for path in weight_files(folder)) or None


def machine(model: nn.Module) -> str:
    """Where a model was measured: processor, threads, dtype and the version of torch, in a few words."""
    one = next(model.parameters())
    dtype = str(one.dtype).removeprefix("torch.")
    if one.device.type == "cuda":
        return f"{torch.cuda.get_device_name(one.device)}, {dtype}, torch {torch.__version__}"
    processor = f"{platform.machine()}, {counted(torch.get_num_threads(), 'thread')}"
    return f"{one.device.type} ({processor}), {dtype}, torch {torch.__version__}"


def about(
    loaded: Loaded,
    recipe: Mapping[str, Any],
    history: Iterable[Mapping[str, Any]],
    measured: Mapping[str, Evaluated],
    cut: ModelCut | None,
) -> dict[str, Any]:
    """What a saved model tells of itself: what it was cut from, the recipe of its run, what was done, and what was measured how.

    Of a model that was cut already it tells the dense one and all that was done to it since.
    """
    earlier = read_stored(loaded.folder) if (loaded.folder / SIDECAR).is_file() else None
    base = earlier.base.model_dump() if earlier and earlier.base else {"model": loaded.name, "revision": loaded.revision}
    return {
        "base": base,
        "espalier": version(),
        "recipe": dict(recipe),
        "history": [*(earlier.history if earlier else ()), *history],
        "protocol": protocol(next(iter(measured.values()), None)),
        "results": {"perplexity": {stage: found.perplexity for stage, found in measured.items()}, "cut": cut},
    }


def protocol(found: Evaluated | None) -> dict[str, Any] | None:
    """How a perplexity was measured; None where none was."""
    if found is None:
        return None
    return {
        "corpus": found.corpus,
        "tokens": found.tokens,
        "sequence_length": found.sequence_length,
        "dtype": found.dtype,
    }


def write_scores(folder: Path | None, criterion: str, scores: Scores, number: int = 1) -> str | None:
    """Write all scores as `artifacts/scores-CRITERION.safetensors` of a run and return that path; None without a folder.

    Those of a later round have its `number` in their name.
    """
    if folder is None:
        return None
    name = f"artifacts/scores-{criterion}{f'-{number}' if number > 1 else ''}.safetensors"
    (folder / "artifacts").mkdir(mode=0o700, exist_ok=True)
    tensors = {
        f"{kind}.{layer}": torch.tensor(of_layer, dtype=torch.float64)  # [units]
        for kind in ("heads", "neurons")
        for layer, of_layer in enumerate(getattr(scores, kind))
    }
    try:
        save_file(tensors, folder / f"{name}.writing")
        os.replace(folder / f"{name}.writing", folder / name)
    finally:
        (folder / f"{name}.writing").unlink(missing_ok=True)
    return name
