"""The two things that only the browser can do: keep a download, and show another address; sends them as a few lines of script.

The script travels as an output of an `Output` widget, which Voilà, JupyterLab and Colab all run. What is in it is ours but
for values, and those pass through `json.dumps`; a file's bytes are base64.
"""

import base64
import json

import ipywidgets

MIMES = {"csv": "text/csv", "json": "application/json", "zip": "application/zip"}


class Browser:
    """An output of no size that carries scripts to the page. `widget` must be on the page."""

    def __init__(self):
        self.widget = ipywidgets.Output()
        self.widget.add_class("esp-browser")

    def keep(self, name: str, content: bytes) -> None:
        """Have the browser save a file under a name, from a Blob in the page: nothing is served, nothing is on disk."""
        mime = MIMES[name.rpartition(".")[2]]
        self._run(
            f"const bytes = Uint8Array.from(atob({json.dumps(base64.b64encode(content).decode())}), c => c.charCodeAt(0));"
            f"const link = document.createElement('a');"
            f"link.href = URL.createObjectURL(new Blob([bytes], {{type: {json.dumps(mime)}}}));"
            f"link.download = {json.dumps(name)}; document.body.appendChild(link); link.click(); link.remove();"
            "setTimeout(() => URL.revokeObjectURL(link.href), 60000);"
        )

    def address(self, query: str) -> None:
        """Show a query in the address line without loading the page again, so that a reload finds the same run."""
        self._run(f"window.history.replaceState(null, '', window.location.pathname + {json.dumps(query)});")

    def _run(self, script: str) -> None:
        data = {"application/javascript": f"(() => {{ {script} }})();", "text/plain": ""}
        self.widget.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
