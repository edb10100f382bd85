"""Turns what the engine holds (models, plans, records) into the plain numbers of events and files; changes nothing."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from engine.models.anatomy import Anatomy
from engine.models.load import Loaded
from engine.pruning.agreement import agreements
from engine.pruning.compensate import Compensation
from engine.pruning.plan import Plan, Scores, parameters_removed
from engine.record.catalogue import version
from engine.record.errors import BadInput
from engine.record.events import Compensated, CriteriaCompared, Evaluated, ModelLoaded, RankCorrelation, Residual


def pick_device(asked: str) -> str:
    """The device that a recipe's word stands for; raises `BadInput` for an accelerator that is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        return next(name for name, available in there.items() if available)
    if not there[asked]:
        found = ", ".join(name for name, available in there.items() if available)
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
    )


def counts(plan: Plan, anatomy: Anatomy) -> dict[str, Any]:
    """The fields that every event about a plan has: which heads, how many units of each layer, parameters before and after."""
    return {
        "heads": tuple(sorted(plan.heads)),
        "head_counts": tuple(len(plan.heads_of(layer.index)) for layer in anatomy.layers),
        "neuron_counts": tuple(len(plan.neurons_of(layer.index)) for layer in anatomy.layers),
        "parameters_before": anatomy.parameters,
        "parameters_after": anatomy.parameters - parameters_removed(plan, anatomy),
    }


def compensated(method: str, records: Iterable[Compensation]) -> Compensated:
    """The records of a compensation as one event."""
    records = tuple(records)
    residuals = tuple(Residual(one.layer, one.part, one.dropped, one.compensated, one.variance) for one in records)
    notes = tuple(dict.fromkeys(note for one in records for note in one.notes))
    return Compensated(method, records[0].tokens if records else 0, residuals, notes)


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


def about(recipe: dict[str, Any], history: Iterable[Mapping[str, Any]], measured: Mapping[str, Evaluated]) -> dict[str, Any]:
    """What a saved model tells of itself: the recipe of its run, what was done to it in order, and what was measured how."""
    return {
        "espalier": version(),
        "recipe": recipe,
        "history": list(history),
        "perplexity": {stage: found.perplexity for stage, found in measured.items()},
        "protocol": protocol(next(iter(measured.values()), None)),
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


def write_scores(folder: Path | None, criterion: str, scores: Scores) -> str | None:
    """Write all scores as `artifacts/scores-CRITERION.safetensors` of a run and return that path; None without a folder."""
    if folder is None:
        return None
    name = f"artifacts/scores-{criterion}.safetensors"
    (folder / "artifacts").mkdir(mode=0o700, exist_ok=True)
    tensors = {
        f"{kind}.{layer}": torch.tensor(of_layer, dtype=torch.float64)  # [units]
        for kind in ("heads", "neurons")
        for layer, of_layer in enumerate(getattr(scores, kind))
    }
    save_file(tensors, folder / f"{name}.writing")
    os.replace(folder / f"{name}.writing", folder / name)
    return name
