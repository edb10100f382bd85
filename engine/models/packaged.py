"""Models that an installed Python package carries as a GGUF file, converted once into the cache folder; knows no network.

    ESPALIER_HOME/cache/models/smollm2-135m-<16 of the file's sha256>-1/    config.json, model.safetensors, the tokenizer's files
                               smollm2-135m-<16 of the file's sha256>-1.lock    held by whoever is converting

transformers reads GGUF by multiplying its four-bit numbers out, which takes a quarter of a minute; the result is kept in float32,
the very numbers that it gives. The package itself is never imported: only its file is read.
"""

import contextlib
import errno
import io
import os
import shutil
import tempfile
from collections.abc import Generator
from copy import deepcopy
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.models.reading import quiet
from engine.record.beforehand import package_file
from engine.record.catalogue import Packaged, to_install
from engine.record.digests import digest
from engine.record.errors import BadInput, shorten
from engine.record.exclusive import alone
from engine.record.folder import cache_home
from engine.record.lifecycle import Progressed

FORMAT = 1  # another one where the same file comes to be converted otherwise
STEPS = 3


def converting(model: Packaged) -> Generator[Progressed, None, Path]:
    """The folder of the converted model, which is made first where there is none yet; says how far that is.

    One process converts and the others wait for it. The folder is written beside its place and renamed, so that it is there as a
    whole or not at all. Raises `BadInput` where the package or what reads its file is not installed, where the file is no model,
    and where the cache folder cannot be written to.
    """
    file = package_file(model)
    folder = folder_of(model, file)
    if folder.is_dir():
        return folder
    if lacking := to_install(model):
        raise BadInput(f"The model {model.name!r} cannot be read yet; run {' and '.join(lacking)}.")
    yield Progressed(f"converting {model.name}, once", 0, STEPS, "steps")
    with alone(folder.with_name(f"{folder.name}.lock")) as none_else:
        if folder.is_dir():  # another process has converted it meanwhile
            return folder
        if none_else:  # then whatever was left half was left by a process that died
            for left in folder.parent.glob(f".{folder.name}.*"):
                shutil.rmtree(left, ignore_errors=True)
        yield from _converted(model, file, folder)
    return folder


def folder_of(model: Packaged, file: Path) -> Path:
    """Where the model in this very file is kept once it is converted, whether it is there or not."""
    return cache_home() / "models" / f"{model.name}-{digest(file)[:16]}-{FORMAT}"


def _converted(model: Packaged, file: Path, folder: Path) -> Generator[Progressed, None, None]:
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise BadInput(_unwritable(model, folder, error)) from error
    try:
        for done, _ in enumerate(_steps(file, beside), start=1):
            yield Progressed(f"converting {model.name}, once", done, STEPS, "steps")
        if not folder.is_dir():
            os.rename(beside, folder)
    except (ValueError, KeyError, IndexError, RuntimeError, ImportError) as error:
        raise BadInput(
            f"{shorten(str(file))} cannot be read as a model ({type(error).__name__}: {shorten(str(error), 120)}); install the "
            f"package again: {model.install}."
        ) from error
    except (OSError, SafetensorError) as error:
        raise BadInput(_unwritable(model, folder, error)) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _steps(file: Path, beside: Path) -> Generator[None, None, None]:
    with _silent():
        model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    yield
    with _silent():
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(beside)
    yield
    # The model counts as quantised, and such a one is not saved: its weights go to one that was never called so.
    config = deepcopy(model.config)
    del config.quantization_config
    with torch.device("meta"):
        plain = type(model)(config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = model.generation_config
    with _silent():
        plain.save_pretrained(beside)
    yield


@contextlib.contextmanager
def _silent():
    # transformers shows a bar of its own here, which knows no switch.
    with quiet(), contextlib.redirect_stderr(io.StringIO()):
        yield


def _unwritable(model: Packaged, folder: Path, error: Exception) -> str:
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC or "No space left" in str(error)
    why = "the disk is full" if full else f"{type(error).__name__}: {shorten(str(error), 120)}"
    return (
        f"The model {model.name!r} cannot be kept in {shorten(str(folder.parent))} ({why}); make room for "
        f"{model.parameters * 4 / 1e6:,.0f} MB there, or name another place in ESPALIER_HOME."
    )
