"""Reading the files of a model folder, each failure told in one sentence; knows neither names of models nor the network."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from huggingface_hub.utils import logging as hub_logging
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.utils import logging

from engine.failures import is_shortage
from engine.models.anatomy import supported
from engine.record.catalogue import FAMILIES
from engine.record.errors import BadInput, shorten

COUNTS = ("num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size", "max_position_embeddings")
TOKENIZERS = ("tokenizer.json", "vocab.json", "tokenizer.model")  # one of these has the words
# What libraries raise on values that are well-formed and make no sense.
MISFITS = (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError)
MISFITS += (StrictDataclassError,)


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no advice from transformers and the hub's client inside; what they report as errors stays."""
    before = logging.get_verbosity(), hub_logging.get_verbosity()
    bars, hub_bars = logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(before[0])
        hub_logging.set_verbosity(before[1])
        if bars:
            logging.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()


def read_json(path: Path) -> dict:
    """The object in a JSON file; raises `BadInput` for a missing or broken file and for any other JSON value."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"There is no {path.name} in {shorten(str(path.parent))}, so it holds no model.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path.name} in {shorten(str(path.parent))} cannot be read as JSON: {told(error)}.") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path.name} in {shorten(str(path.parent))} holds {shorten(value)} instead of a JSON object.")
    return value


def read_config(folder: Path) -> tuple[type[transformers.PreTrainedModel], PreTrainedConfig]:
    """The model class and the config of a folder; raises `BadInput`, naming the supported types, for any other model."""
    return config_from(read_json(folder / "config.json"), folder / "config.json")


def config_from(facts: dict, path: Path) -> tuple[type[transformers.PreTrainedModel], PreTrainedConfig]:
    """The same of the object that a config is; `path` is the file that it was in, for the errors."""
    model_type, where = facts.get("model_type"), shorten(str(path.parent))
    if not isinstance(model_type, str) or model_type.replace("_", "-") not in FAMILIES.names():
        raise BadInput(f"{where} holds a model of the type {shorten(model_type)}; supported are {supported()}.")
    if facts.get("quantization_config") or facts.get("compression_config"):  # the second is what compressed-tensors began with
        raise BadInput(
            f"{where} holds quantised weights, which cannot be pruned; take the unquantised model, of a type among {supported()}."
        )
    model_class = getattr(transformers, FAMILIES.load(model_type.replace("_", "-")).FAMILY.model_class)
    built = facts.get("architectures")
    if isinstance(built, list) and built and all("For" in str(one) and one != model_class.__name__ for one in built):
        # The weights below its head would load all the same, with a language model's head that nobody trained.
        raise BadInput(
            f"{where} holds the class {shorten(str(built[0]))}, which is no causal language model; of the type {model_type} "
            f"a {model_class.__name__} can be pruned, and supported are {supported()}."
        )
    try:
        with quiet():
            config = model_class.config_class.from_dict(facts)
            config.return_dict = True  # all here asks for logits by their name
            if config._attn_implementation not in (None, "eager"):  # such as a kernel that is not on this machine
                config._attn_implementation = "sdpa"
    except MISFITS as error:
        raise BadInput(f"{path.name} in {where} is no config of a {model_type}: {told(error)}.") from error
    for name in COUNTS:
        if getattr(config, name) < 1:
            raise BadInput(f"{path.name} in {where} has {name} {getattr(config, name)}; it takes 1 or more.")
    return model_class, config


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, from its files alone; raises `BadInput` where they are missing or broken."""
    if not any((folder / name).is_file() for name in TOKENIZERS):  # transformers would make one up that knows no word
        raise BadInput(f"{shorten(str(folder))} holds no tokenizer; save it there, as {TOKENIZERS[0]}, beside the model.")
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # what the reader in Rust raises is a plain Exception
        if is_shortage(error):  # no fault of the file's
            raise
        raise BadInput(f"The tokenizer in {shorten(str(folder))} cannot be read: {told(error)}.") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, in memory of their own; raises `BadInput` for a missing, truncated or other file."""
    try:
        # Copied, because the reader maps the file: whoever truncates it later would take this process down.
        return {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()}
    except FileNotFoundError:
        raise BadInput(f"There is no {path.name} in {shorten(str(path.parent))}; the model is incomplete.") from None
    except (OSError, SafetensorError, *MISFITS) as error:
        if is_shortage(error):  # no fault of the file's
            raise
        raise BadInput(f"{path.name} in {shorten(str(path.parent))} is no whole safetensors file: {told(error)}.") from error


def told(error: Exception) -> str:
    """What another library said of a file, in one line."""
    if isinstance(error, KeyError):  # which says no more than the name that it looked for
        return f"there is no {shorten(str(error.args[0]), 100)}"
    return shorten(" ".join(str(error).split()), 160)
