"""Where an experiment lies on disk: its folder, and in it one for each of its sweeps; carries none out."""

import re
from pathlib import Path

from engine.record.folder import home


def default_folder(name: str, model: str, form: str) -> Path:
    """Where an experiment lies when nobody says where, so that it is found again."""
    return home() / "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.") for part in (name, model[-40:], form))


def folder_of(folder: Path, called: str) -> Path:
    """Where one sweep of an experiment lies."""
    return folder / re.sub(r"[^a-z0-9-]+", "-", called)
