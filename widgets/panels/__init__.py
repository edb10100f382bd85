"""The cards beside the charts; each is one file of the same shape as a chart, and none of them knows another.

The first paragraph of a panel's docstring is its help text, `TITLE` the heading of its card, and `build(theme, act)` makes its
widgets once and returns them with the `draw(view)` that the pump calls.
"""

from pathlib import Path

from engine.record.registry import Registry

PANELS = Registry("Panel", __name__, Path(__file__).parent)
