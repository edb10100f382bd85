"""The notebook in a kernel without Voilà or a browser, as JupyterLab and Colab run it: it executes, and shows the page."""

import os
from pathlib import Path

import nbclient
import nbformat
import pytest

from engine.record.client import open_run
from engine.record.folder import list_runs

ROOT = Path(__file__).parents[1]
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the run, for Jupyter and for IPython; the kernel inherits the environment."""
    for name in ("ESPALIER_HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in [name for name in os.environ if name.startswith("VOILA") or name in ("QUERY_STRING", "SERVER_SOFTWARE")]:
        monkeypatch.delenv(name)
    return tmp_path / "espalier_home"


@pytest.mark.slow
def test_the_notebook_runs_and_shows_the_page(home: Path) -> None:
    """No cell fails, the one cell shows a widget with every control in its state, and a run has begun."""
    notebook = nbformat.read(ROOT / "dashboard.ipynb", as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(ROOT)}}, store_widget_state=True)
    client.execute()
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [output.output_type for output in cell.outputs] == ["execute_result"]
    (shown,) = cell.outputs
    state = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    assert shown.data[WIDGET]["model_id"] in state
    words = {each["state"].get("description") for each in state.values()}
    assert {"Model", "Text", "Criterion", "Heads", "Neurons", "Prune", "Recover", "Undo", "Reset"} <= words
    (run,) = list_runs(home / "runs")
    assert open_run(run).is_over is False
