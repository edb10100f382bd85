"""Runs made by hand, as folded states, for the tests of what draws them; no model and no worker is behind them."""

import math

from engine.record.commands import fingerprint, preview_of
from engine.record.events import (
    Evaluated,
    GatesChanged,
    MemorySampled,
    ModelLoaded,
    Previewed,
    RunStarted,
    StepTrained,
    TextSampled,
    TuningStarted,
    UnitsScored,
    Validated,
)
from engine.record.line import Stamped
from engine.record.recipe import Recipe
from engine.record.state import RunState, fold
from widgets.view import Draft

GIB = 2**30
RECIPE = Recipe()  # what the controls say, where it matters to no test


def folded(*facts: object) -> RunState:
    """The state after these facts, one second apart."""
    return fold(RunState(), [Stamped(number, 1000.0 + number, fact) for number, fact in enumerate(facts)])


def loaded(heads: tuple[int, ...] = (6,) * 6, neurons: int = 512) -> ModelLoaded:
    """A model with these heads in its layers."""
    layers = len(heads)
    return ModelLoaded("gpt2-tiny", "gpt2", 4_000_000, 256, 4096, heads, (neurons,) * layers, (16_000,) * layers,
                       (384,) * layers, "cpu", "float32")  # fmt: skip


def scored(heads: tuple[int, ...]) -> UnitsScored:
    """Scores that grow with the layer and differ from head to head."""
    scores = tuple(
        tuple(0.1 + layer * 0.3 + 0.25 * math.sin(7 * head + layer) for head in range(many)) for layer, many in enumerate(heads)
    )
    return UnitsScored("activation", scores, 16_384, None)


def gates(heads: tuple[int, ...], closed: tuple[tuple[int, int], ...], neurons: int = 128, reason: str = "prune") -> GatesChanged:
    """These heads and as many neurons of each layer are closed."""
    counts = tuple(sum(1 for layer, _ in closed if layer == each) for each in range(len(heads)))
    return GatesChanged(closed, counts, (neurons,) * len(heads), 4_000_000, 3_100_000, reason)


def measured(stage: str, perplexity: float, **changes: object) -> Evaluated:
    """A perplexity of a stage under the usual protocol."""
    tokens = 16_384
    protocol = {"corpus": "wikipedia-sample", "tokens": tokens, "sequence_length": 256, "dtype": "float32", **changes}
    return Evaluated(stage, perplexity, math.log(perplexity) * tokens, **protocol)


def sampled(stage: str, tokens: tuple[str, ...] | None = None, surprises: tuple[float | None, ...] | None = None) -> TextSampled:
    """A text of a stage, three tokens of which are the prompt."""
    tokens = tokens or ("The", " history", " of", " the", " city", " is", "\n", "The", " <b>", " & co", " zyg", "ote")
    surprises = surprises or (None, 4.0, 0.5, 0.3, 2.8, 0.9, 3.1, 1.4, 7.2, 5.5, 9.3, 0.02)
    return TextSampled(stage, "The history of", 0, tokens, surprises, 3)


def trained(arm: str, steps: int = 200, start: float = 5.0, end: float = 3.4) -> list[object]:
    """An arm that trained to its end."""
    facts: list[object] = [TuningStarted(arm, "full", steps, "float32"), Validated(arm, 0, start + 0.1, 4096)]
    for step in range(1, steps + 1):
        loss = end + (start - end) * math.exp(-4 * step / steps)
        facts.append(StepTrained(arm, step, steps, loss + 0.15 * math.sin(step * 12.9898), 5e-4))
        if step % 25 == 0:
            facts.append(Validated(arm, step, loss + 0.08, 4096))
    return facts


def remembered(samples: int = 120, accelerator: bool = False) -> list[object]:
    """Samples of a machine of 16 GiB, with or without an accelerator."""
    card = (9 * GIB, 24 * GIB) if accelerator else (None, None)
    return [
        MemorySampled(int((1.2 + 0.4 * math.sin(number / 9)) * GIB), int((6 + number / 60) * GIB), 16 * GIB, *card)
        for number in range(samples)
    ]


def everything(heads: tuple[int, ...] = (6,) * 6) -> list[object]:
    """A run from its start to a recovery and its control."""
    closed = tuple((layer, head) for layer, many in enumerate(heads) for head in range(0, many, 3))
    return [
        RunStarted({}, "0.1.0"),
        *remembered(),
        loaded(heads),
        measured("baseline", 31.4),
        sampled("baseline"),
        scored(heads),
        gates(heads, closed),
        measured("pruned", 118.2),
        sampled("pruned"),
        *trained("tuned"),
        measured("tuned", 44.7),
        sampled("tuned", surprises=(None, 4.4, 0.7) + (1.0,) * 9),
        *trained("control", start=3.6, end=3.2),
        measured("control", 29.9),
    ]


def drafted(heads: tuple[int, ...] = (6,) * 6, neurons: int = 300) -> Draft:
    """Controls that ask for the last two heads of each layer and as many neurons."""
    gone = tuple((layer, head) for layer, many in enumerate(heads) for head in range(max(0, many - 2), many))
    counts = tuple(min(2, many) for many in heads)
    shares = tuple(min(2, many) / max(1, many) for many in heads)
    return Draft(gone, counts, (neurons,) * len(heads), shares, (neurons / 512,) * len(heads), 4_000_000, 2_900_000)


def previewed(draft: Draft, perplexity: float = 87.0, recipe: Recipe = RECIPE) -> Previewed:
    """What that draft was measured to cost, by the recipe that the controls say."""
    what = (draft.heads, draft.head_counts, draft.neuron_counts, 4_000_000, 2_900_000, perplexity, 4096, 256)
    return Previewed(*what, asked=fingerprint(preview_of(recipe)))
