"""The cards beside the laboratory: sweeps and what came of them, an experiment, runs side by side; none of them knows another.

A card is one file of the same shape as a chart of the laboratory: its docstring is the help text, `TITLE` the heading, and
`build(theme, act)` makes its widgets once and returns them with the `draw(view)` that the pump calls. `is_wanted(view)` says
whether there is anything for it to show; a card for which there is not is left out. A card is imported and built when the part
of the page that it stands in is first opened: the laboratory, which is what a page opens with, waits for none.
"""

from pathlib import Path

from engine.record.registry import Registry

SWEEPS = Registry("Card", __name__, Path(__file__).parent)
