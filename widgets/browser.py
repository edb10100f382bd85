"""What only the browser can do: keep a file, draw pictures of charts, show another address, name controls; sends it as script.

The script travels as an output of an `Output` widget, which Voilà, JupyterLab and Colab all run. What is in it is ours but
for values, and those pass through `json.dumps`; a file's bytes are base64.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import ipywidgets

MIMES = {"csv": "text/csv", "json": "application/json", "zip": "application/zip"}
HERE = Path(__file__).parent


class Browser:
    """Outputs of no size that carry scripts to the page. `widget` must be on the page."""

    def __init__(self):
        # The names have an output of their own, which is never emptied: a second view of the page runs it again.
        self._names, self._scripts = ipywidgets.Output(), ipywidgets.Output()
        scripts = [(HERE / f"{name}.js").read_text(encoding="utf-8") for name in ("names", "readouts", "popovers")]
        self._run("\n".join(scripts), self._names)
        self.widget = ipywidgets.Box([self._names, self._scripts])
        self.widget.add_class("esp-browser")

    def keep(self, name: str, content: bytes) -> None:
        """Have the browser save a file under a name, from a Blob in the page: nothing is served, nothing is on disk."""
        mime = MIMES[name.rpartition(".")[2]]
        self._run(f"{_pictures()} pictures.save({json.dumps(name)}, pictures.bytes({_base64(content)}), {json.dumps(mime)});")

    def keep_charts(self, stem: str, charts: Sequence[str]) -> None:
        """Have the browser draw charts with their titles and legends, and save each picture as `stem` and the chart's name."""
        self._run(
            f"{_pictures()} for (const [name, bytes] of await pictures.drawAll({json.dumps(list(charts))}, {json.dumps(stem)})) "
            "pictures.save(name, bytes, name.endsWith('png') ? 'image/png' : 'text/plain');"
        )

    def keep_archive(self, name: str, files: Mapping[str, bytes], charts: Sequence[str]) -> None:
        """Have the browser save a zip of some files and of pictures of charts, which it draws first, in the folder `charts/`."""
        given = ", ".join(f"[{json.dumps(path)}, pictures.bytes({_base64(content)})]" for path, content in files.items())
        self._run(
            f"{_pictures()} const files = [{given}, ...await pictures.drawAll({json.dumps(list(charts))}, 'charts/')];"
            f"pictures.save({json.dumps(name)}, pictures.zip(files), 'application/zip');"
        )

    def address(self, query: str) -> None:
        """Show a query in the address line without loading the page again, so that a reload finds the same run."""
        self._run(f"window.history.replaceState(null, '', window.location.pathname + {json.dumps(query)});")

    def _run(self, script: str, where: ipywidgets.Output | None = None) -> None:
        data = {"application/javascript": f"(async () => {{ {script} }})();", "text/plain": ""}
        (where or self._scripts).outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)


def _pictures() -> str:
    _, _, functions = (HERE / "pictures.js").read_text(encoding="utf-8").strip().partition("\n")
    return f"const pictures = {functions};"


def _base64(content: bytes) -> str:
    return json.dumps(base64.b64encode(content).decode())
