"""The model as it stands, on disk, so that an undo or a new process can go on from there; knows no command and no event.

    checkpoints/step-000003/
        state.json            parent, reason, plan, compensation, which checkpoint holds the trained weights, and checksums
        weights.safetensors   all parameters without compensation, where training changed them since the parent
        fitted.safetensors    what compensation overwrote them with
        control.safetensors   the control's parameters after the same training

A checkpoint is written beside its place and renamed. What did not change is not written again: `weights` names the
checkpoint that has them, None being the model as it was loaded. The checksums (SHA-256), of the other files and of state.json
itself, are all in state.json: one rename makes files and checksums valid at once, at whatever moment the process dies.
Checkpoints of versions before the checksums are read unchecked.
"""

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
from engine.record.digests import digest
from engine.record.disk import telling_full
from engine.record.errors import BadInput, shorten
from engine.record.faults import Faults, full
from engine.record.folder import write_atomic
from engine.record.recipe import Calibration
from engine.recovery.seals import Damaged, check, sealed, unsealed


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


def write(
    folder: Path,
    stand: Checkpoint,
    fitted: Mapping[str, Tensor],
    weights: Mapping[str, Tensor] | None,
    faults: Faults | None = None,
) -> Checkpoint:
    """Write a stand under the next free name and return it with that name; `weights` where training changed them.

    Raises `Unwritten` where the disk takes no more; nothing of it is left there then.
    """
    with telling_full("The checkpoint"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _write(folder, stand, fitted, weights, faults or Faults(""))


def _write(
    folder: Path, stand: Checkpoint, fitted: Mapping[str, Tensor], weights: Mapping[str, Tensor] | None, faults: Faults
) -> Checkpoint:
    number = 1 + max((int(path.name[5:]) for path in folder.glob("step-*")), default=0)
    name = f"step-{number:06d}"
    stand = replace(stand, name=name, weights=name if weights is not None else stand.weights)
    beside = Path(tempfile.mkdtemp(dir=folder, prefix=".writing-"))
    try:
        if weights is not None:
            save_file(dict(weights), beside / "weights.safetensors")
        if fitted:
            save_file({one: tensor.cpu().contiguous() for one, tensor in fitted.items()}, beside / "fitted.safetensors")
        plan = {"heads": sorted(stand.plan.heads), "neurons": sorted(stand.plan.neurons)}
        plain = asdict(stand) | {"plan": plan, "calibration": stand.calibration.model_dump()}
        if faults.strikes("checkpoint", number - 1):
            raise full()
        files = {path.name: digest(path) for path in sorted(beside.iterdir())}
        (beside / "state.json").write_text(sealed(plain | {"files": files}), encoding="utf-8")
        os.replace(beside, folder / name)
    except Exception:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return stand


def add_control(folder: Path, stand: Checkpoint, control: nn.Module) -> Checkpoint:
    """Put the control's parameters, trained for as many steps as the model itself, into a checkpoint.

    Raises `Unwritten` where the disk takes no more; the checkpoint is as it was then.
    """
    stand = replace(stand, control=stand.trained, control_at=stand.name)
    beside = folder / stand.name / ".control.safetensors"
    with telling_full("The control's checkpoint"):
        try:
            save_file(parameters_of(control), beside)
            plain = unsealed(folder / stand.name)
            files = plain.get("files", {}) | {"control.safetensors": digest(beside)}
            os.replace(beside, folder / stand.name / "control.safetensors")
            plain |= {"control": stand.control, "control_at": stand.control_at, "files": files}
            write_atomic(folder / stand.name / "state.json", sealed(plain))
        finally:
            beside.unlink(missing_ok=True)
    return stand


def read(folder: Path, name: str | None) -> Checkpoint:
    """The stand of that name; None is the model as it was loaded.

    Raises `Damaged` for a checkpoint that is missing or not as it was written, and `BadInput` for one of another version, which
    has other entries.
    """
    if name is None:
        return LOADED
    plain = unsealed(folder / name)
    plain.pop("files", None)
    try:
        plan, calibration = Plan(**plain["plan"]), Calibration(**plain["calibration"])
        return Checkpoint(**(plain | {"plan": plan, "calibration": calibration}))
    except (ValueError, TypeError, KeyError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else shorten(" ".join(str(error).split()), 120)
        raise BadInput(f"checkpoint {shorten(name)} is of another version of Espalier ({why}); start a new run.") from error


def tensors_of(folder: Path, name: str, part: str) -> dict[str, Tensor]:
    """What a checkpoint has under `part` ("weights", "fitted" or "control"); `Damaged` where it is not as it was written.

    Only "fitted" may never have been written: a stand without compensation has nothing to keep there.
    """
    path = folder / name / f"{part}.safetensors"
    files = unsealed(folder / name).get("files")
    if part == "fitted" and (path.name not in files if files is not None else not path.exists()):
        return {}
    try:
        if files is not None:
            check(folder / name, path.name, files.get(path.name))
        return load_file(path)
    except FileNotFoundError as error:
        raise Damaged(name, f"its {path.name} is gone") from error
    except (OSError, SafetensorError) as error:
        why = shorten(" ".join(str(error).split()), 120)
        raise Damaged(name, f"its {path.name} cannot be read ({why})") from error


def line_of(folder: Path, stand: Checkpoint) -> list[dict]:
    """The stands that led to this one, the first change first: what was done, in plain numbers without the units themselves.

    A stand that is damaged by now ends the line: what was done up to it is not known.
    """
    line = []
    while stand.name:
        plan = {"heads": len(stand.plan.heads), "neurons": len(stand.plan.neurons)}
        line.append({"reason": stand.reason, "closed": plan, "compensation": stand.method, "trained_steps": stand.trained})
        try:
            stand = read(folder, stand.parent)
        except Damaged as error:
            line.append(
                {"reason": f"what is not known, since {error.why}", "closed": None, "compensation": None, "trained_steps": None}
            )
            break
    return line[::-1]
