"""The model without the units that were pruned, removed for good and not just silenced: what it weighs, how fast it is, and
where it lies. Silenced units save no time; a smaller model does, and how much is measured here, not reckoned."""

from html import escape

import ipywidgets

from engine.record.costs import Latency, Memory
from engine.record.events import ModelCut
from widgets.export import SMALL
from widgets.requests import Download
from widgets.theme import Theme
from widgets.view import Act, Drawn, View
from widgets.words import size

TITLE = "The smaller model"


def build(theme: Theme, act: Act) -> Drawn:
    """A table beside the dense model's numbers, a download where that is small, and a line of Python."""
    says = ipywidgets.HTML(_table(None))
    download = ipywidgets.Button(description="Smaller model (zip)", disabled=True, layout={"width": "auto"})
    download.on_click(lambda _: act(Download("model")))
    row = ipywidgets.Box([download])
    row.add_class("esp-buttons")
    use = ipywidgets.HTML()

    def draw(view: View) -> None:
        standing = view.state.standing
        text, reason = _table(standing.cut), why_not(view)
        where = ""
        if standing.saved is not None and view.folder is not None:
            path = str((view.folder / standing.saved.folder).absolute())
            line = f'from engine import load_pruned; model, tokenizer = load_pruned("{path}")'
            where = (
                f'<p class="esp-says">It lies in <code class="esp-path">{escape(path)}</code></p>'
                f'<pre class="esp-code">{escape(line)}</pre>'
            )
        tip = reason or f"{size(standing.saved.size)}, safetensors and JSON."
        for widget, name, value in (
            (says, "value", text), (use, "value", where), (download, "disabled", bool(reason)), (download, "tooltip", tip),
        ):  # fmt: skip
            if getattr(widget, name) != value:
                setattr(widget, name, value)

    return Drawn(ipywidgets.VBox([says, row, use]), draw)


def why_not(view: View) -> str:
    """Why the smaller model cannot be downloaded from the page; empty where it can."""
    saved = view.state.standing.saved
    if saved is None:
        return "Press “Make the smaller model” first."
    if saved.size > SMALL:
        return f"It has {size(saved.size)}, too much for a page to hand over; copy the folder below instead."
    return ""


def _table(cut: ModelCut | None) -> str:
    if cut is None:
        return (
            '<p class="esp-says">Not measured yet. “Make the smaller model” removes the pruned units for good, '
            "in a copy, and measures it.</p>"
        )
    rows = [
        _row(
            "Parameters", f"{cut.parameters_before:,}", f"{cut.parameters_after:,}", cut.parameters_after / cut.parameters_before
        ),
    ]
    weights = size(cut.bytes_before), size(cut.bytes_after)
    files = weights
    if cut.file_before is not None and cut.file_after is not None:
        files = size(cut.file_before), size(cut.file_after)
    rows.append(_row("Weights" if files == weights else "Weights in memory", *weights, cut.bytes_after / cut.bytes_before))
    if files != weights:
        rows.append(_row("File of weights, float32", *files, cut.file_after / cut.file_before))
    rows += map(_timed, cut.latency)
    if not cut.latency:
        rows.append('<tr><td>Time for a pass</td><td colspan="3">not measured</td></tr>')
    rows += map(_held, cut.memory)
    where = f" Measured on {escape(cut.machine)}." if cut.machine else ""
    stored = "" if cut.file_stored is None else f" As it is stored, the dense model has {size(cut.file_stored)} of weights."
    slower = ", ".join(_work(one) for one in cut.latency if one.cut >= one.dense)
    none = f" It was not faster when {escape(slower)}." if slower else ""
    return (
        '<table class="esp-table"><thead><tr><th></th><th>dense</th><th>smaller</th><th>ratio</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
        f'<p class="esp-says">Largest difference between its logits and those of the pruned model: {cut.difference:.1e}.'
        f"{stored}{where}{none}</p>"
    )


def _work(found: Latency | Memory) -> str:
    if found.what == "decode":
        return f"writing a token after {found.batch} × {found.length} tokens"
    return f"reading {found.batch} × {found.length} tokens"


def _timed(found: Latency) -> str:
    what = _work(found).capitalize()
    return _row(what, f"{1e3 * found.dense:.1f} ms", f"{1e3 * found.cut:.1f} ms", found.cut / found.dense)


def _held(found: Memory) -> str:
    what = f"Memory for {_work(found)}"
    if found.dense is None or found.cut is None:
        return f'<tr><td>{escape(what)}</td><td colspan="3">not measured</td></tr>'
    return _row(what, size(found.dense), size(found.cut), found.cut / max(found.dense, 1))


def _row(what: str, dense: str, smaller: str, ratio: float) -> str:
    return f"<tr><td>{escape(what)}</td><td>{dense}</td><td>{smaller}</td><td>{ratio:.2f}</td></tr>"
