"""The model as it stands, on disk, so that an undo or a new process can go on from there; knows no command and no event.

    checkpoints/step-000003/
        state.json            parent, reason, plan, compensation, and which checkpoint holds the trained weights
        weights.safetensors   all parameters without compensation, where training changed them since the parent
        fitted.safetensors    what compensation overwrote them with
        control.safetensors   the control's parameters after the same training

A checkpoint is written beside its place and renamed. What did not change is not written again: `weights` names the
checkpoint that has them, None being the model as it was loaded.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engine.models.biases import put
from engine.pruning.compensate import RIDGE
from engine.pruning.plan import Plan
from engine.record.errors import BadInput, shorten
from engine.record.folder import write_atomic
from engine.record.recipe import Calibration


@dataclass(frozen=True)
class Checkpoint:
    """One stand of the model. `trained` counts the optimizer steps since it was loaded, `control` how many of them the
    control went through as well (its parameters lie with the checkpoint `control_at`). `calibration` is the text that the
    compensation was measured on, `ridge` and `add_biases` how, for a plan that changes it by hand."""

    name: str
    parent: str | None
    reason: str
    plan: Plan
    method: str
    weights: str | None
    calibration: Calibration = Calibration()
    ridge: float = RIDGE
    add_biases: bool = True
    trained: int = 0
    control: int = 0
    control_at: str | None = None


LOADED = Checkpoint("", None, "load", Plan(), "none", None)


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    """Copies of every parameter by name, on the CPU, each shared tensor once."""
    return {name: parameter.detach().to("cpu", copy=True).contiguous() for name, parameter in model.named_parameters()}


def put_parameters(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a model all the parameters that `parameters_of` copied; a bias that it was given since then goes."""
    given = {name for name, _ in model.named_parameters()}.difference(tensors)
    put(model, dict.fromkeys(given) | dict(tensors))


def write(folder: Path, stand: Checkpoint, fitted: Mapping[str, Tensor], weights: Mapping[str, Tensor] | None) -> Checkpoint:
    """Write a stand under the next free name and return it with that name; `weights` where training changed them."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"step-{1 + max((int(path.name[5:]) for path in folder.glob('step-*')), default=0):06d}"
    stand = replace(stand, name=name, weights=name if weights is not None else stand.weights)
    beside = Path(tempfile.mkdtemp(dir=folder, prefix=".writing-"))
    try:
        if weights is not None:
            save_file(dict(weights), beside / "weights.safetensors")
        if fitted:
            save_file({one: tensor.cpu().contiguous() for one, tensor in fitted.items()}, beside / "fitted.safetensors")
        plan = {"heads": sorted(stand.plan.heads), "neurons": sorted(stand.plan.neurons)}
        plain = asdict(stand) | {"plan": plan, "calibration": stand.calibration.model_dump()}
        (beside / "state.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        os.replace(beside, folder / name)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return stand


def add_control(folder: Path, stand: Checkpoint, control: nn.Module) -> Checkpoint:
    """Put the control's parameters, trained for as many steps as the model itself, into a checkpoint."""
    stand = replace(stand, control=stand.trained, control_at=stand.name)
    beside = folder / stand.name / ".control.safetensors"
    save_file(parameters_of(control), beside)
    os.replace(beside, folder / stand.name / "control.safetensors")
    plain = json.loads((folder / stand.name / "state.json").read_text(encoding="utf-8"))
    plain |= {"control": stand.control, "control_at": stand.control_at}
    write_atomic(folder / stand.name / "state.json", json.dumps(plain, indent=1) + "\n")
    return stand


def read(folder: Path, name: str | None) -> Checkpoint:
    """The stand of that name; None is the model as it was loaded.

    Raises `BadInput` for a checkpoint that is missing or damaged, and for one of another version, which has other entries.
    """
    if name is None:
        return LOADED
    try:
        plain = json.loads((folder / name / "state.json").read_text(encoding="utf-8"))
        plan, calibration = Plan(**plain["plan"]), Calibration(**plain["calibration"])
        return Checkpoint(**(plain | {"plan": plan, "calibration": calibration}))
    except OSError as error:
        raise BadInput(f"checkpoint {shorten(name)} cannot be read ({error.strerror}); start a new run.") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else shorten(" ".join(str(error).split()), 120)
        raise BadInput(
            f"checkpoint {shorten(name)} is damaged, or of another version of Espalier ({why}); start a new run."
        ) from error


def tensors_of(folder: Path, name: str, part: str) -> dict[str, Tensor]:
    """What a checkpoint has under `part` ("weights", "fitted" or "control"); `BadInput` where it is missing or damaged.

    Only "fitted" may be missing: a stand without compensation has nothing to keep there.
    """
    path = folder / name / f"{part}.safetensors"
    if part == "fitted" and not path.exists():
        return {}
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        why = shorten(" ".join(str(error).split()), 120)
        raise BadInput(f"checkpoint {shorten(name)} has no whole {path.name} ({why}); start a new run.") from error


def line_of(folder: Path, stand: Checkpoint) -> list[dict]:
    """The stands that led to this one, the first change first: what was done, in plain numbers without the units themselves."""
    line = []
    while stand.name:
        plan = {"heads": len(stand.plan.heads), "neurons": len(stand.plan.neurons)}
        line.append({"reason": stand.reason, "closed": plan, "compensation": stand.method, "trained_steps": stand.trained})
        stand = read(folder, stand.parent)
    return line[::-1]
