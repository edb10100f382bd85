"""Where an experiment lies on disk: its folder, and in it one for each of its sweeps; carries none out."""

import re
from pathlib import Path

from engine.record.folder import home


def default_folder(name: str, model: str, form: str) -> Path:
    """Where an experiment lies when nobody says where, so that it is found again."""
    return home() / f"{name}-{as_file_name(model)}-{form}"


def as_file_name(model: str) -> str:
    """A model's name, or the end of it, as a part of the name of a file."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", model[-40:]).strip("-.")


def folder_of(folder: Path, called: str) -> Path:
    """Where one sweep of an experiment lies."""
    return folder / re.sub(r"[^a-z0-9-]+", "-", called)
