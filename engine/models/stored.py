"""The folder of a cut model: its format, and reading it back; knows nothing of plans and never runs code from a folder.

    config.json             the dense model's, as transformers writes it
    pruning.json            what `Stored` says: which units are left, by their numbers in the dense model
    model.safetensors       every parameter and buffer once, by its dotted name
    generation_config.json  and the tokenizer's files, where there is one
    README.md               the same for people

transformers cannot read such weights: its configs know one width for all layers. `load_pruned` builds the dense shapes on the
meta device, narrows them, and takes only weights that fit exactly. Where all layers are equally wide and a config can say so,
config.json may be that of the smaller model, which transformers reads; `dense_config` is then the dense one, and buffers lie
in buffers.safetensors.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedTokenizerBase

from engine.models.anatomy import FLOATS, Anatomy, dissect
from engine.models.narrow import Kept, fill, skeleton
from engine.models.reading import MISFITS, config_from, quiet, read_config, read_json, read_tensors, read_tokenizer, told
from engine.record.digests import digest, digest_of
from engine.record.errors import BadInput, counted, shorten
from engine.record.events import ModelCut

FORMAT = 2
SIDECAR, WEIGHTS, GENERATION = "pruning.json", "model.safetensors", "generation_config.json"
BUFFERS = "buffers.safetensors"  # beside weights that transformers reads, which makes its buffers anew
_DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}  # as the file spells them


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Base(_Frozen):
    """The dense model that this one was cut from: its name, and its commit where it came from the hub."""

    model: str
    revision: str | None = None


class Results(_Frozen):
    """What was measured: perplexity by stage, and what the cut model weighs and costs beside the dense one."""

    perplexity: dict[str, float] = {}
    cut: ModelCut | None = None


class StoredLayer(_Frozen):
    """The units that one layer has left, by their numbers in the dense model, ascending; a key-value group for each head where
    keys are not shared. Format 1 did not list groups."""

    heads: list[int]
    groups: list[int] | None = None
    neurons: list[int]


class Stored(_Frozen):
    """What `pruning.json` holds; the file has these names at its top level.

    `added_biases` names the output projections' biases that the dense model lacks, `shared` maps the second name of a tied
    parameter to the one it is stored under, `attention` is how attention was computed (the two ways round differently),
    `tokenizer` says whether the folder has one, `sha256` is the digest of the weights' file, `files` has those of the other files
    that make the model what it is, and `seal` is that of this record without the seal; format 1 had none of the three. From
    `base` on it is what the writer knew of the model: `history` is what was done to it in order, `protocol` how perplexity was
    measured.
    """

    format: int
    family: str
    layers: list[StoredLayer]
    added_biases: list[str]
    shared: dict[str, str]
    attention: Literal["eager", "sdpa"]
    tokenizer: bool
    sha256: str | None = None
    files: dict[Literal["config.json", "buffers.safetensors"], str] = {}
    seal: str | None = None
    dense_config: dict[str, Any] | None = None
    base: Base | None = None
    espalier: str | None = None
    recipe: dict[str, Any] | None = None
    history: list[dict[str, Any]] = []
    protocol: dict[str, Any] | None = None
    results: Results | None = None

    @property
    def kept(self) -> Kept:
        """Which units of the dense model are left."""
        return Kept(tuple(tuple(one.heads) for one in self.layers), tuple(tuple(one.neurons) for one in self.layers))


def read_stored(folder: str | Path) -> Stored:
    """The `pruning.json` of a folder; raises `BadInput` for a newer format and for anything that is not this format, such as one
    that lacks a digest."""
    folder = Path(folder)
    facts = read_json(folder / SIDECAR)
    version = facts.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise BadInput(
            f"{shorten(str(folder))} has format {version}, and this Espalier reads up to {FORMAT}; install a newer one."
        )
    if isinstance(version, int) and version < 1:
        raise BadInput(f"{SIDECAR} in {shorten(str(folder))} has format {version}; there are the formats 1 to {FORMAT}.")
    try:
        stored = Stored.model_validate_json(json.dumps(_of_format_2(facts)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BadInput(f"{SIDECAR} in {shorten(str(folder))} is wrong at {shorten(place)}: {first['msg']}.") from error
    if stored.format > 1 and (lacking := _lacking(stored)):
        raise BadInput(f"{SIDECAR} in {shorten(str(folder))} has lost {lacking}, which it was saved with; copy the folder again.")
    return stored


def load_pruned(folder: str | Path) -> tuple[nn.Module, PreTrainedTokenizerBase | None]:
    """The model and the tokenizer (None where none was saved) of a folder that `engine.pruning.checkpoint.save` wrote.

    The model is on the CPU, in the dtype in which it was saved and in evaluation mode; its logits are those of the saved
    one, bit for bit. Raises `BadInput` for weights, a config or a record that are missing, truncated, changed or of a newer
    format, and for weights or kept units that do not fit the config. Tokenizer and settings of generation may be changed.
    """
    folder = Path(folder)
    stored = read_stored(folder)
    model_class, config = read_config(folder)
    if config.model_type != stored.family:
        raise BadInput(f"{SIDECAR} speaks of the model type {shorten(stored.family)}, and config.json of {config.model_type!r}.")
    if stored.dense_config is not None:
        model_class, config = config_from(stored.dense_config, folder / SIDECAR)
    if config.num_hidden_layers != len(stored.layers):
        raise BadInput(
            f"{SIDECAR} tells of {counted(len(stored.layers), 'layer')}, and the config of {shorten(config.num_hidden_layers)}."
        )
    config._attn_implementation = stored.attention
    tensors = read_tensors(folder / WEIGHTS)
    if stored.dense_config is not None:
        tensors |= read_tensors(folder / BUFFERS)
    with quiet():
        model = skeleton(model_class, config, stored.kept)
    _check_groups(stored, dissect(model))
    buffers = {name for name, _ in model.named_buffers()}
    check_dtypes(tensors.keys() - buffers, tensors)
    tensors |= {name: nn.Parameter(tensors[name]) for name in tensors.keys() - buffers}
    for second, first in stored.shared.items():
        if first not in tensors or second in tensors:
            raise BadInput(f"{SIDECAR} ties {shorten(second)} to {shorten(first)}, which does not fit the names in {WEIGHTS}.")
        tensors[second] = tensors[first]
    for name in stored.added_biases:
        if name not in tensors:
            raise BadInput(f"{SIDECAR} speaks of an added bias {shorten(name)}, and {WEIGHTS} has none of that name.")
    known = buffers.union(stored.added_biases, (name for name, _ in model.named_parameters(remove_duplicate=False)))
    for name in sorted(name for name in tensors.keys() - known if name.endswith(".bias")):
        raise BadInput(f"{WEIGHTS} has an added bias {shorten(name)}, of which {SIDECAR} does not speak.")
    fill(model, tensors)
    _check_unchanged(folder, stored)  # last: what does not fit is told in more words
    if (folder / GENERATION).exists():
        model.generation_config = _generation(folder)
    return model.eval(), read_tokenizer(folder) if stored.tokenizer else None


def weights_of(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every parameter and buffer on the CPU, each once, and for the second name of a tied one the first."""
    every, shared = _each_once(model)
    return {name: one.detach().cpu().contiguous() for name, one in every.items()}, shared


def check_dtypes(names: Iterable[str], tensors: Mapping[str, Tensor]) -> None:
    """Raise `BadInput` for weights that are no plain floating-point numbers, and for weights of two dtypes: torch multiplies none
    of one by one of the other."""
    found = {tensors[name].dtype: name for name in sorted(names)}
    for dtype, name in found.items():
        if dtype not in FLOATS:
            raise BadInput(f"{name} holds {dtype}; weights must be floating-point numbers, in {', '.join(map(str, FLOATS))}.")
    if len(found) > 1:
        first, second, *_ = (f"{name} holds {dtype}" for dtype, name in found.items())
        raise BadInput(f"{first} and {second}; the weights of a model must be of one dtype.")


def file_size(model: nn.Module) -> int:
    """The bytes that `model.safetensors` has when this model is saved: its tensors, and the header that names them."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, one in sorted(_each_once(model)[0].items(), key=lambda item: (-item[1].element_size(), item[0])):
        header[name] = {"dtype": _DTYPES[one.dtype], "shape": list(one.shape), "data_offsets": [end, end + one.nbytes]}
        end += one.nbytes
    length = len(json.dumps(header, separators=(",", ":")))
    return 8 + length + -length % 8 + end


def _each_once(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    every = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    names: dict[int, str] = {}
    shared = {name: names[id(one)] for name, one in every.items() if names.setdefault(id(one), name) != name}
    return {name: one for name, one in every.items() if name not in shared}, shared


def groups_kept(heads: tuple[int, ...], layer_heads: int, layer_groups: int) -> list[int]:
    """The key-value groups that original `heads` belong to, of a layer that has so many heads and groups left."""
    return sorted({head // (layer_heads // layer_groups) for head in heads})


def seal_of(facts: Mapping[str, Any]) -> str:
    """The SHA-256 of what a record says, but for its seal."""
    return digest_of({name: value for name, value in facts.items() if name != "seal"})


def _lacking(stored: Stored) -> str:
    """The first of the digests that a record has to have and has not; "" where all are there."""
    wanted = {"its sha256": stored.sha256, "its seal": stored.seal}
    for name in ("config.json", BUFFERS)[: 1 if stored.dense_config is None else 2]:
        wanted[f"the digest of {name}"] = stored.files.get(name)
    return next((name for name, known in wanted.items() if known is None), "")


def _check_unchanged(folder: Path, stored: Stored) -> None:
    known = dict(stored.files) if stored.sha256 is None else {WEIGHTS: stored.sha256} | stored.files
    changed = [name for name, saved in known.items() if not (folder / name).is_file() or digest(folder / name) != saved]
    if changed:
        raise BadInput(
            f"{changed[0]} in {shorten(str(folder))} is not the file that was saved with its {SIDECAR}; copy the folder again."
        )
    if stored.seal is not None and seal_of(read_json(folder / SIDECAR)) != stored.seal:
        raise BadInput(f"{SIDECAR} in {shorten(str(folder))} was changed since it was saved; copy the folder again.")


def _check_groups(stored: Stored, anatomy: Anatomy) -> None:
    for one, layer in zip(stored.layers, anatomy.layers, strict=True):
        found = groups_kept(tuple(one.heads), layer.heads, layer.groups) if layer.heads else []
        if one.groups is not None and one.groups != found:
            groups = shorten(one.groups)
            raise BadInput(f"{SIDECAR} keeps the key-value groups {groups} of layer {layer.index}, and its heads are of {found}.")


def _generation(folder: Path) -> GenerationConfig:
    facts = read_json(folder / GENERATION)
    try:
        with quiet():
            return GenerationConfig.from_dict(facts)
    except MISFITS as error:
        raise BadInput(f"{GENERATION} in {shorten(str(folder))} cannot be used: {told(error)}.") from error


def _of_format_2(facts: dict[str, Any]) -> dict[str, Any]:
    """Format 1 called the added biases `biases` and kept all that its writer knew under `about`."""
    if facts.get("format") != 1 or not isinstance(facts.get("about", {}), dict):
        return facts
    about = facts.get("about", {})
    told = {"added_biases": facts["biases"]} if "biases" in facts else {}
    told |= {name: about[name] for name in ("espalier", "recipe", "history", "protocol") if name in about}
    if "perplexity" in about:
        told["results"] = {"perplexity": about["perplexity"]}
    return {name: value for name, value in facts.items() if name not in ("biases", "about")} | told
