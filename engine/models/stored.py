"""The folder of a cut model: its format, and reading it back; knows nothing of plans and never runs code from a folder.

    config.json             the dense model's, as transformers writes it
    pruning.json            what `Stored` says: which units are left, by their numbers in the dense model
    model.safetensors       every parameter and buffer once, by its dotted name
    generation_config.json  and the tokenizer's files, where there is one

transformers cannot read such weights: its configs know one width for all layers. `load_pruned` builds the dense shapes on the
meta device, narrows them, and takes only weights that fit exactly.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerBase

from engine.models.narrow import Kept, fill, skeleton
from engine.models.reading import quiet, read_config, read_json, read_tensors, read_tokenizer
from engine.record.errors import BadInput, shorten

FORMAT = 1
SIDECAR, WEIGHTS, GENERATION = "pruning.json", "model.safetensors", "generation_config.json"


class StoredLayer(BaseModel):
    """The units that one layer has left, by their numbers in the dense model, ascending."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    heads: list[int]
    neurons: list[int]


class Stored(BaseModel):
    """What `pruning.json` holds.

    `biases` names the output projections' biases that the dense model lacks, `shared` maps the second name of a tied
    parameter to the one it is stored under, `attention` is how attention was computed (the two ways round differently),
    `tokenizer` says whether the folder has one, `about` is the writer's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    format: int
    family: str
    layers: list[StoredLayer]
    biases: list[str]
    shared: dict[str, str]
    attention: Literal["eager", "sdpa"]
    tokenizer: bool
    about: dict[str, object]


def read_stored(folder: Path) -> Stored:
    """The `pruning.json` of a folder; raises `BadInput` for a newer format and for anything that is not this format."""
    facts = read_json(folder / SIDECAR)
    version = facts.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise BadInput(
            f"{shorten(str(folder))} has format {version}, and this Espalier reads up to {FORMAT}; install a newer one."
        )
    try:
        return Stored.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BadInput(f"{SIDECAR} in {shorten(str(folder))} is wrong at {place}: {first['msg']}.") from error


def load_pruned(folder: str | Path) -> tuple[nn.Module, PreTrainedTokenizerBase | None]:
    """The model and the tokenizer (None where none was saved) of a folder that `engine.pruning.checkpoint.save` wrote.

    The model is on the CPU, in the dtype in which it was saved and in evaluation mode; its logits are those of the saved
    one, bit for bit. Raises `BadInput` for a file that is missing, truncated or of a newer format, and for weights or
    kept units that do not fit the config.
    """
    folder = Path(folder)
    stored = read_stored(folder)
    model_class, config = read_config(folder)
    if config.model_type != stored.family:
        raise BadInput(f"{SIDECAR} speaks of a {shorten(stored.family)}, and config.json of a {config.model_type}.")
    config._attn_implementation = stored.attention
    kept = Kept(
        tuple(tuple(layer.heads) for layer in stored.layers),
        tuple(tuple(layer.neurons) for layer in stored.layers),
    )
    tensors = read_tensors(folder / WEIGHTS)
    with quiet():
        model = skeleton(model_class, config, kept)
    buffers = {name for name, _ in model.named_buffers()}
    for name in tensors.keys() - buffers:
        if not tensors[name].is_floating_point():
            raise BadInput(f"{name} in {WEIGHTS} holds {tensors[name].dtype}; weights must be floating-point numbers.")
        tensors[name] = nn.Parameter(tensors[name])
    for second, first in stored.shared.items():
        if first not in tensors or second in tensors:
            raise BadInput(f"{SIDECAR} ties {shorten(second)} to {shorten(first)}, which does not fit the names in {WEIGHTS}.")
        tensors[second] = tensors[first]
    fill(model, tensors)
    if (folder / GENERATION).is_file():
        model.generation_config = GenerationConfig.from_dict(read_json(folder / GENERATION))
    return model.eval(), read_tokenizer(folder) if stored.tokenizer else None
