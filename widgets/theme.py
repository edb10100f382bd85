"""Every colour, size and margin of the page, once, for light and for dark; knows no chart and no control.

The colours of series are first those of Okabe and Ito, "Color Universal Design" (2008), which can be told apart with every common
colour blindness, then some more. A colour stands for one thing on the whole page; colour is never the only sign of anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType

ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
NAMES = ("light", "dark")
STAGED = MappingProxyType({"pruned": "pruned", "recovered": "tuned", "control": "control"})  # words for stages in names of series

# Charts without a title of their own: the card around them has it. Sides in pixels.
MARGINS = MappingProxyType({"top": 10, "right": 16, "bottom": 42, "left": 52})


@dataclass(frozen=True)
class Theme:
    """The look of the page. Colours are CSS colours, sizes CSS lengths; `margins` are a figure's, in pixels.

    `blocks` are the colours of the front, middle and back block. `stages` has one for baseline, pruned, tuned, control and
    cut; the arms of a recovery, tuned and control, are drawn in their stages' colours. `ramp` runs from the least to the
    greatest value of a map, `surprise` from an expected token to an unexpected one (backgrounds, readable under `text`).
    """

    name: str
    page: str  # behind the cards
    card: str  # behind charts and controls
    line: str  # borders and grid lines
    text: str
    muted: str  # captions, axis labels
    accent: str  # the one colour of what can be pressed
    on_accent: str  # text on the accent
    bad: str  # sentences that refuse something
    good: str
    baseline: str
    ramp: tuple[str, ...]
    surprise: tuple[str, ...]
    further: tuple[str, ...]  # of series, beyond those that the stages have
    blocks: tuple[str, str, str] = (SKY, ORANGE, PURPLE)
    gone: str = VERMILLION  # the mark of a unit that is closed, or would be
    heads: str = BLUE  # where heads and neurons stand side by side
    neurons: str = ORANGE
    font: str = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
    mono: str = "ui-monospace, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
    size: str = "13px"
    small: str = "11.5px"
    chart_height: str = "228px"
    low_height: str = "118px"  # of a chart under the controls
    margins: Mapping[str, int] = field(default_factory=lambda: MARGINS)

    @property
    def stages(self) -> Mapping[str, str]:
        """A colour for each stage of a run at which perplexity is measured."""
        return {"baseline": self.baseline, "pruned": VERMILLION, "tuned": BLUE if self.name == "light" else "#4AA3DF",
                "control": GREEN, "cut": ORANGE}  # fmt: skip

    @property
    def series(self) -> tuple[str, ...]:
        """Ten colours for series without one of their own, which can be told apart side by side; only the last is of a stage."""
        return (*self.further, PURPLE, self.baseline)

    @property
    def named(self) -> Mapping[str, str]:
        """Colours of series whose name has one on the whole page."""
        found = dict(zip(("front", "middle", "back"), self.blocks, strict=True)) | {"heads": self.heads, "neurons": self.neurons}
        return found | {"the front": self.text} | {name: self.stages[stage] for name, stage in STAGED.items()}

    def colours(self, names: Sequence[str]) -> tuple[str, ...]:
        """A colour for each series of a figure: the one that its name has on the whole page, where no other series has that
        already, else one of `series`; up to ten of them no two alike. What is of a stage, such as "random, pruned", has the
        stage's colour, and is told from others of it by its mark."""
        known, found = self.named, {}
        for at, name in enumerate(names):
            of, _, last = name.rpartition(", ")
            if of and last in STAGED:
                found[at] = known[last]
            elif name in known and known[name] not in found.values():
                found[at] = known[name]
        free = [colour for colour in self.series if colour not in found.values()]
        left = [at for at in range(len(names)) if at not in found]
        found |= {at: free[turn % len(free)] for turn, at in enumerate(left)}
        return tuple(found[at] for at in range(len(names)))

    def css(self) -> str:
        """The style sheet of the page: this theme as CSS variables, then theme.css, which uses them."""
        words = {f.name: getattr(self, f.name) for f in fields(self) if isinstance(getattr(self, f.name), str)}
        words |= {f"block-{number}": colour for number, colour in enumerate(self.blocks)}
        words |= {f"stage-{stage}": colour for stage, colour in self.stages.items()}
        words |= {f"surprise-{number}": colour for number, colour in enumerate(self.surprise)}
        variables = " ".join(f"--esp-{name.replace('_', '-')}: {value};" for name, value in words.items())
        return f".esp {{ {variables} }}\n{Path(__file__).with_suffix('.css').read_text(encoding='utf-8')}"


LIGHT = Theme(
    name="light", page="#f4f5f3", card="#ffffff", line="#dfe3de", text="#1c2320", muted="#5b6660", accent="#1f6b4e",
    on_accent="#ffffff", bad="#a8380b", good="#1f6b4e", baseline="#5f6b66",
    ramp=("#f3f6f4", "#b9d3c6", "#6fa58c", "#2f7659", "#0c3b2a"),
    surprise=("#ffffff", "#fdf0d5", "#fad9a0", "#f5b96b", "#ee9450"),
    further=("#6a3d9a", "#93a100", "#8b2d12", "#c2298a", "#00a8a8", "#1b2a6b", "#9c7a54", "#5f7f2a"),
)  # fmt: skip
DARK = Theme(
    name="dark", page="#121614", card="#1b211e", line="#333c37", text="#e6ece8", muted="#9aa8a0", accent="#5cc495",
    on_accent="#0c1f17", bad="#ff9d70", good="#5cc495", baseline="#a9b5af",
    ramp=("#232b27", "#2f5746", "#3f8468", "#6bb996", "#c6efdc"),
    surprise=("#1b211e", "#3a2f1b", "#5a4117", "#7d5312", "#98590c"),
    further=("#8a63d2", YELLOW, "#4fe0d0", "#f2b8a0", "#ff5fb0", "#a8d84a", "#b58a5a", "#c9c2ff"),
)  # fmt: skip


def theme_named(name: str) -> Theme:
    """The theme of that name; light for any other, since the name comes from an address that anybody may type."""
    return DARK if name == "dark" else LIGHT
