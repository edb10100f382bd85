"""The model of a run, taken out of its folder for other programs; starts no run, changes none, and needs no worker.

from engine import export
export("my-run", "smaller")                # load_pruned reads it, and plain transformers where its config has the words
export("my-run", "zeroed", dense=True)     # plain transformers reads it; zeros where units went
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedTokenizerBase

from engine.evaluation.perplexity import evaluate
from engine.failures import is_shortage
from engine.models.load import check_same, finding_again, read
from engine.models.reading import MISFITS
from engine.models.stored import SIDECAR, load_pruned, read_stored
from engine.pruning.cut import cut
from engine.pruning.export import Exported, check_new
from engine.pruning.export import export as write
from engine.pruning.overlay import Overlay
from engine.record.catalogue import version
from engine.record.client import open_run
from engine.record.errors import BadInput, shorten
from engine.record.recipe import Measuring
from engine.record.spread import as_perplexity
from engine.record.state import RunState
from engine.record.steps import ended
from engine.recovery import checkpoints
from engine.recovery.checkpoints import Origin
from engine.recovery.checksums import Damaged
from engine.report import about
from engine.text.corpora import read_corpus
from engine.text.texts import Texts

TOLD = ("base", "espalier", "recipe", "history", "protocol", "results")


@dataclass(frozen=True)
class Handed:
    """What `export` wrote, and sentences about it for people: what lies there, and what could not be kept."""

    folder: Path
    exported: Exported
    says: tuple[str, ...]


def export(run: str | Path, folder: str | Path, dense: bool = False) -> Handed:
    """Write the smaller model of a run to a new folder; `dense` in the shapes of the dense model, zeros where units went.

    The model is the one that the run saved, and, where it has saved none since the last change, or where that is damaged, is cut
    from the last checkpoint; the latter is told.
    What plain transformers has no words for is told, and what leaving it out costs is measured on the run's evaluation text.
    Raises `BadInput` for a folder that holds no run or a run without a pruned model, for files that are broken, and for a
    `folder` that is not empty.
    """
    run, folder = Path(run), Path(folder)
    check_new(folder)
    state = open_run(run)
    model, tokenizer, told, instead = _taken(run, state)
    exported, plain = write(model, folder, tokenizer=tokenizer, about=told, dense=dense)
    says = [*instead, _in_words(exported)]
    if exported.left_out:
        says += [
            f"Left out were {len(exported.left_out)} biases that compensation added, since the config of a "
            f"{model.config.model_type} has no word for them; {_cost(state, model, plain.model, tokenizer)}.",
            "Set add_biases to false in the recipe to compensate without new biases, and nothing is left out.",
        ]
    return Handed(folder, exported, tuple(says))


def _taken(run: Path, state: RunState) -> tuple[nn.Module, PreTrainedTokenizerBase | None, dict[str, Any], list[str]]:
    """The cut model of a run as it stands, its tokenizer, what is known of it, and what there is to say of its origin."""
    saved, why = state.standing.saved, ""
    if saved is not None and (run / saved.folder / SIDECAR).is_file():
        try:
            facts = read_stored(run / saved.folder).model_dump(mode="json", include=set(TOLD))
            return *load_pruned(run / saved.folder), {name: value for name, value in facts.items() if value is not None}, []
        except BadInput as error:
            why = str(error)
    if state.model is None or state.checkpoint is None:
        raise BadInput(why or f"The run {shorten(run.name)} has no pruned model yet; prune in it first, or wait until it has.")
    loaded = read(state.model.model, ended(finding_again(state.model)), device="cpu")
    check_same(loaded, state.model)
    folder, of = run / "checkpoints", Origin(state.started, state.model.fingerprint)
    try:
        stand = checkpoints.read(folder, state.checkpoint, of)
        if stand.weights is not None:
            weights = checkpoints.tensors_of(folder, stand.weights, "weights", loaded.model, of)
            checkpoints.put_parameters(loaded.model, weights)
        fitted = checkpoints.tensors_of(folder, stand.name, "fitted", loaded.model, of)
        Overlay(loaded.model, loaded.anatomy).put(stand.plan, stand.method, fitted)
        history = checkpoints.line_of(folder, stand)
    except Damaged as error:
        again = "Open the run, which then goes on from the checkpoint before it, and export again."
        if state.is_over:
            again = (
                f"The run is over and goes on no more; carry its recipe out again: python -m engine run {run / 'recipe.json'}."
            )
        raise BadInput(f"The {error} {again}") from error
    except (OSError, SafetensorError, ValidationError, *MISFITS) as error:
        if is_shortage(error):  # no fault of the file's
            raise
        why = shorten(" ".join(str(error).split()), 120)
        raise BadInput(f"The checkpoint {state.checkpoint} of the run {shorten(run.name)} cannot be read: {why}.") from error
    standing = state.standing
    told = about(loaded, state.recipe, history, standing.perplexity, standing.cut) | {"espalier": state.version or version()}
    instead = (
        [f"Cut from the checkpoint {stand.name}, since the model that the run has saved cannot be used. {why}"] if why else []
    )
    return cut(loaded.model, stand.plan), loaded.tokenizer, told, instead


def _in_words(exported: Exported) -> str:
    size = f"{exported.parameters:,} parameters"
    match exported.form:
        case "plain":
            return f"A smaller model of {size}, which AutoModelForCausalLM.from_pretrained reads, and load_pruned too."
        case "dense":
            apart = f"its logits and those of the smaller model are at most {exported.difference:.1e} apart"
            return f"A dense model of {size}, zeros where units went, which AutoModelForCausalLM.from_pretrained reads; {apart}."
    return f"A smaller model of {size}, which load_pruned reads. {exported.why}"


def _cost(state: RunState, kept: nn.Module, plain: nn.Module, tokenizer: PreTrainedTokenizerBase | None) -> str:
    """What leaving biases out does to the perplexity, in words."""
    try:
        measuring = Measuring.model_validate(state.recipe.get("evaluation") or {})
        texts = Texts(read_corpus(state.recipe["corpus"]), tokenizer, kept.config.max_position_embeddings, kept.config.vocab_size)
        blocks = texts.blocks("evaluation", measuring.sequence_length, measuring.tokens, "evaluation")
    except (BadInput, ValidationError, LookupError) as error:
        return f"what that costs was not measured: {shorten(str(error), 120)}"
    before, after = (evaluate(model, blocks) for model in (kept, plain))
    says = f"the perplexity is {as_perplexity(after.perplexity)} without them and {as_perplexity(before.perplexity)} with them"
    return f"{says}, over {after.tokens:,} predicted tokens"
