"""The model as it stands, on disk, so that an undo or a new process can go on from there; knows no command and no event.

    checkpoints/step-000003/
        state.json            name, run and model, parent, reason, plan, compensation, which checkpoint holds the trained weights,
                              how many lines the record of the run had, and checksums
        weights.safetensors   all parameters without compensation, where training changed them since the parent
        fitted.safetensors    what compensation overwrote them with
        control.safetensors   the control's parameters after the same training

A checkpoint is written beside its place and renamed. What did not change is not written again: `weights` names the
checkpoint that has them, None being the model as it was loaded. The checksums (SHA-256), of the other files and of state.json
itself, are all in state.json: one rename makes files and checksums valid at once, at whatever moment the process dies. A folder
in the place of another, of this run or of one of another model, is as damaged as one with a bit turned over. What older versions
have not written down, checksums or where a checkpoint comes from, is not checked.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engine.models.anatomy import matrix
from engine.models.biases import put
from engine.pruning.compensate import RIDGE
from engine.pruning.plan import Plan
from engine.record.digests import digest
from engine.record.disk import telling_full
from engine.record.errors import BadInput, shorten
from engine.record.extent import lines_of
from engine.record.faults import Faults, full
from engine.record.folder import write_atomic
from engine.record.recipe import Calibration
from engine.recovery.checksums import Damaged, check, sealed, unsealed

STEP = re.compile(r"step-([0-9]+)")  # the name of a checkpoint


@dataclass(frozen=True)
class Origin:
    """What a checkpoint is of: the run, by when it began, and the model, by its fingerprint; None and "" where nobody knows."""

    run: float | None = None
    model: str = ""

    def apart(self, other: "Origin") -> str:
        """In what two origins differ, in a clause; "" where they are one, as far as is known."""
        if None not in (self.run, other.run) and self.run != other.run:
            return "it is of another run"
        return "it is of another model" if self.model and other.model and self.model != other.model else ""


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
    of: Origin = Origin()

    @property
    def has_own_control(self) -> bool:
        """Whether the control of this very stand is kept; that of one before it has had less training."""
        return self.control_at is not None and self.control_at == self.name


ENTRIES = ("name", "parent", "reason", "plan", "method", "weights")  # of every checkpoint, of whatever version
LOADED = Checkpoint("", None, "load", Plan(), "none", None)


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter by name, each shared tensor once: as it lies there and no second one, but from an accelerator a copy."""
    return {name: parameter.detach().cpu().contiguous() for name, parameter in model.named_parameters()}


def put_parameters(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a model all the parameters that `parameters_of` another has; a bias that it was given since then goes."""
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
    there = [path.name for path in folder.glob("step-*")]  # a copy that somebody has made has no number
    # Where somebody has removed folders, what this one comes from keeps its name.
    named = map(STEP.fullmatch, [*there, *(name for name in (stand.parent, stand.weights, stand.control_at) if name)])
    number = 1 + max((int(found[1]) for found in named if found), default=0)
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
        more = {"lines": lines_of(folder.parent), "files": files}
        (beside / "state.json").write_text(sealed(plain | more), encoding="utf-8")
        os.replace(beside, folder / name)
    except BaseException:  # Ctrl-C too
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
            plain |= {"control": stand.control, "control_at": stand.control_at, "lines": lines_of(folder.parent), "files": files}
            write_atomic(folder / stand.name / "state.json", sealed(plain))
        finally:
            beside.unlink(missing_ok=True)
    return stand


def read(folder: Path, name: str | None, of: Origin = Origin()) -> Checkpoint:
    """The stand of that name; None is the model as it was loaded.

    Raises `Damaged` for a checkpoint that is missing, not as it was written, or not `of` this run and model, and `BadInput` for
    one of another version, which has other entries.
    """
    if name is None:
        return LOADED
    plain = unsealed(folder / name)
    plain.pop("lines", None)
    checked, lacking = plain.pop("files", None) is not None, [one for one in ENTRIES if one not in plain]
    if lacking and not checked:
        raise Damaged(name, f"its state.json has no {lacking[0]!r} and no checksum")
    try:
        plan, calibration = Plan(**plain["plan"]), Calibration(**plain["calibration"])
        parts = {"plan": plan, "calibration": calibration, "of": Origin(**plain.get("of", {}))}
        found = Checkpoint(**(plain | parts))
    except (ValueError, TypeError, KeyError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else shorten(" ".join(str(error).split()), 120)
        raise BadInput(f"checkpoint {shorten(name)} is of another version of Espalier ({why}); start a new run.") from error
    why = f"it is {shorten(found.name)} by what it says itself" if found.name != name else found.of.apart(of)
    if why:
        raise Damaged(name, why)
    return found


def tensors_of(folder: Path, name: str, part: str, model: nn.Module | None = None, of: Origin = Origin()) -> dict[str, Tensor]:
    """What a checkpoint has under `part` ("weights", "fitted" or "control").

    Raises `Damaged` where that is not as it was written, is not `of` this run and model, or has no place in `model`.

    Only "fitted" may never have been written: a stand without compensation has nothing to keep there.
    """
    read(folder, name, of)
    path = folder / name / f"{part}.safetensors"
    files = unsealed(folder / name).get("files")
    if part == "fitted" and (path.name not in files if files is not None else not path.exists()):
        return {}
    try:
        if files is not None:
            check(folder / name, path.name, files.get(path.name))
        found = load_file(path)
    except FileNotFoundError as error:
        raise Damaged(name, f"its {path.name} is gone") from error
    except (OSError, SafetensorError) as error:
        why = shorten(" ".join(str(error).split()), 120)
        raise Damaged(name, f"its {path.name} cannot be read ({why})") from error
    if model is not None and (why := _misfit(found, model, part != "fitted")):
        raise Damaged(name, f"its {path.name} {why}")
    return found


def _misfit(tensors: Mapping[str, Tensor], model: nn.Module, every: bool) -> str:
    """Why tensors cannot be put into a model, in a clause; "" where they can. Of `every` parameter there must be one, but of
    biases, which a model is given and which go again."""
    own = dict(model.named_parameters())
    for name, tensor in tensors.items():
        path, _, last = name.rpartition(".")
        if name not in own and last == "bias" and f"{path}.weight" in own:
            fits = tensor.shape == matrix(model.get_submodule(path)).shape[:1]
        else:
            fits = name in own and tensor.shape == own[name].shape
        if not fits:
            return f"has {name} {list(tensor.shape)}, for which this model has no place"
    missing = [name for name in own if name not in tensors and not name.endswith(".bias")] if every else []
    return f"has no {missing[0]}" if missing else ""


def before_rounds(folder: Path, stand: Checkpoint) -> Checkpoint:
    """The stand from which the rounds began whose last pruning led to this one; itself, where there were none."""
    while ", round " in stand.reason:
        first = stand.reason.startswith("prune, round 1 ")
        stand = read(folder, stand.parent, stand.of)
        if first:
            break
    return stand


def line_of(folder: Path, stand: Checkpoint) -> list[dict]:
    """The stands that led to this one, the first change first: what was done, in plain numbers without the units themselves.

    A stand that is damaged by now ends the line: what was done up to it is not known.
    """
    line = []
    while stand.name:
        plan = {"heads": len(stand.plan.heads), "neurons": len(stand.plan.neurons)}
        line.append({"reason": stand.reason, "closed": plan, "compensation": stand.method, "trained_steps": stand.trained})
        try:
            stand = read(folder, stand.parent, stand.of)
        except Damaged as error:
            line.append(
                {"reason": f"what is not known, since {error.why}", "closed": None, "compensation": None, "trained_steps": None}
            )
            break
    return line[::-1]
