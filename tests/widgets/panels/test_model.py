"""The smaller model on the page: what it weighs and costs in plain words, and nothing that was not measured."""

import ipywidgets

from engine.record.costs import Latency, Memory
from engine.record.events import ModelCut
from tests.widgets.charts.states import folded
from tests.widgets.charts.test_charts import inside
from widgets.panels.model import build
from widgets.theme import LIGHT
from widgets.view import View

SIZES = (1000, 600, 4_000_000, 2_400_000)


def shown(*facts: object) -> str:
    """The HTML of the panel."""
    made = build(LIGHT, lambda command: None)
    made.draw(View(folded(*facts), None, LIGHT))
    return " ".join(each.value for each in inside(made.widget) if isinstance(each, ipywidgets.HTML))


def test_reading_and_writing_are_timed_with_their_memory():
    """Each with its batch, in milliseconds and bytes, and the machine that they were measured on."""
    latency = (Latency(8, 256, 0.1, 0.06, 7), Latency(8, 256, 0.01, 0.005, 7, "decode"))
    memory = (Memory(8, 256, 40_000_000, 30_000_000), Memory(8, 256, 2_000_000, None, "decode"))
    text = shown(ModelCut(*SIZES, latency, 1e-6, memory, 4_100_000, 2_500_000, "a <fast> machine", 2_060_000))
    for words in (
        "<td>Reading 8 × 256 tokens</td><td>100.0 ms</td><td>60.0 ms</td><td>0.60</td>",
        "<td>Writing a token after 8 × 256 tokens</td><td>10.0 ms</td><td>5.0 ms</td><td>0.50</td>",
        "<td>Memory for reading 8 × 256 tokens</td><td>40.0 MB</td><td>30.0 MB</td><td>0.75</td>",
        '<td>Memory for writing a token after 8 × 256 tokens</td><td colspan="3">not measured</td>',
        "<td>File of weights, float32</td><td>4.1 MB</td><td>2.5 MB</td><td>0.61</td>",
        "As it is stored, the dense model has 2.1 MB of weights. Measured on a &lt;fast&gt; machine.",
    ):
        assert words in text
    assert "not faster" not in text


def test_where_the_smaller_model_is_not_faster_it_says_so():
    """By batch and kind of work."""
    text = shown(ModelCut(*SIZES, (Latency(1, 256, 0.1, 0.1, 7), Latency(8, 256, 0.9, 0.6, 7)), 1e-6))
    assert "It was not faster when reading 1 × 256 tokens." in text


def test_a_cut_of_an_earlier_version_is_shown_with_what_it_measured():
    """No memory, no file, no machine, and no times where the text was too short for any."""
    text = shown(ModelCut(*SIZES, (), 1e-6))
    assert "not measured" in text and not [word for word in ("Memory", "File", "stored", "Measured on") if word in text]
