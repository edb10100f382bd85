"""With what and on what numbers are measured, in words that a result keeps; measures nothing."""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version as installed

from engine.record.catalogue import version
from engine.record.cells import SweepStarted
from engine.record.result import BETWEEN

PACKAGES = ("torch", "transformers")


def versions() -> dict[str, str]:
    """With what is measured here: this project, Python and the packages that the numbers may depend on."""
    return {"espalier": version(), "python": platform.python_version(), **{each: installed(each) for each in PACKAGES}}


def machine() -> str:
    """On what is measured here, in a few words."""
    import torch  # which an unknown name need not wait for

    accelerator = f" and {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.system()} {platform.machine()} with {os.cpu_count()} processors{accelerator}"


def told(started: Iterable[SweepStarted]) -> tuple[dict[str, str], str]:
    """With which versions and on what machine sweeps were carried out, as their beginnings say: where those differ all of them,
    one after another, and of an older record no more than the version of this project."""
    with_what: dict[str, list[str]] = {}
    machines: list[str] = []
    for each in started:
        for name, value in ({"espalier": each.version} | each.versions).items():
            with_what.setdefault(name, []).append(value)
        machines += [each.machine] if each.machine else []
    return {name: _each(values) for name, values in with_what.items()}, _each(machines) or "unknown"


def _each(values: Iterable[str]) -> str:
    """All of them once; a value may be several already, where a result file was gone on with."""
    return BETWEEN.join(dict.fromkeys(one for value in values for one in value.split(BETWEEN)))
