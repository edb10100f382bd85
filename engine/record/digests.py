"""What tells a file, or plain JSON, from any other; knows nothing of what they are for."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits; raises `OSError` where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(plain: Mapping[str, Any]) -> str:
    """The same of a JSON object, in whichever order its names stand."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
