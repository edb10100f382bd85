"""The form of a recipe: one control for each choice, with its help beside it; knows no run and asks for nothing.

Callbacks only note which control was moved: they may come on any thread. The pump reads the notes, decides what follows,
and is the one that writes here (`show`, `refuse`, `hold`).
"""

import html
from collections import deque
from collections.abc import Callable, Collection, Mapping

import ipywidgets
from ipywidgets.widgets.widget_description import DescriptionStyle
from ipywidgets.widgets.widget_string import TextStyle

from engine.record.catalogue import CORPORA, CRITERIA, model_names, models
from engine.record.fields import model_field
from engine.record.schedules import BLOCKS, SHAPES
from widgets.choices import KINDS, MORE, OWN_FILE, Choices, criterion_help
from widgets.form import Form
from widgets.meanings import GROUPS, HELP, LABELS, MEANINGS, glossary

OTHER = "another…"
# The recipe's field that a refusal names → the control to put the sentence beside.
FIELDS = {"tuning": "steps", "blocks": "front", "prompt": "prompt", "heads": "heads", "neurons": "neurons",
          "criterion": "criterion", "model": "model_name", "corpus": "corpus_path"}  # fmt: skip

# A text of the menu that needs more, as it begins in a recipe → what to write into the field below it.
TAKING = {f"{name}:": entry.facts["ASKS"] for name, entry in CORPORA.entries.items() if "TAKES" in entry.facts}
PATHS, BETWEEN = "paths:", ";"  # three texts of one's own, and what is written between their paths
SPLITS = CORPORA.entry("paths").facts["PARTS"]
TAKING |= {PATHS: "Write three paths with ; between them: of texts to train on, to calibrate on, and to measure on."}


class Controls:
    """The widgets of the form, and what was moved since they were last asked. `changed` is called from any thread."""

    def __init__(self, choices: Choices, changed: Callable[[], None]):
        self._touched: deque[str] = deque()
        self._changed = changed
        self._silent = False
        self._rest: Choices = choices
        self._set: dict[str, float] = {}  # what each slider was last set to from here
        self._owed: dict[str, float] = {}  # what was set and is not shown yet
        self._each = _build(choices)
        self._error = ipywidgets.HTML()
        self._error.layout.display = "none"
        for name, widget in self._each.items():
            widget.tooltip = HELP[name]
            widget.add_class(f"esp-control-{name.replace('_', '-')}")
            widget.layout.order = str(2 * list(LABELS).index(name))
            widget.observe(lambda _, name=name: self._note(name), names="value")
        self.more = Form("More choices", MORE, MEANINGS, self._note, GROUPS)
        self.show(choices)
        self.widget = ipywidgets.VBox([*self._each.values(), self._error, self.more.toggle, ipywidgets.HTML(glossary())])
        for last in self.widget.children[-2:]:
            last.layout.order = "99"
        self.widget.add_class("esp-controls")

    def drain(self) -> list[str]:
        """The names of the controls that were moved by hand since the last call, in that order."""
        return [self._touched.popleft() for _ in range(len(self._touched))]

    def read(self) -> Choices:
        """What the controls say now."""
        value = {name: self._set[name] if self._is_as_set(name) else widget.value for name, widget in self._each.items()}
        return Choices(
            model=value["model_name"].strip() if value["model"] == OTHER else value["model"],
            corpus=self._corpus(value["corpus"], value["corpus_path"].strip()),
            criterion=value["criterion"],
            heads=round(value["heads"], 4),
            neurons=round(value["neurons"], 4),
            shape=value["shape"],
            steepness=round(value["steepness"], 3),
            blocks=tuple(round(value[block], 4) for block in BLOCKS),
            apply_to=value["apply_to"],
            steps=_whole(value["steps"]),
            prompt=value["prompt"],
            given=self._rest.given,
            more=self.more.read(),
        )

    def incomplete(self) -> tuple[str, str] | None:
        """The field that still waits for words and what to write there, or None."""
        if self._each["model"].value == OTHER and not self._each["model_name"].value.strip():
            return "model", "Write the model's id on the hub, or the path of a folder on this machine."
        kind, where = self._each["corpus"].value, self._each["corpus_path"].value.strip()
        if kind in TAKING and (not where or kind == PATHS and isinstance(self._corpus(kind, where), str)):
            return "corpus", TAKING[kind]
        return None

    def show(self, choices: Choices, later: Collection[str] = ()) -> None:
        """Set every control; only what differs is sent, and nothing of it counts as moved by hand.

        The sliders in `later` are shown by the next `catch_up`; what they were set to counts from now on.
        """
        self._silent, self._rest = True, choices
        name = choices.model if choices.model in [option[1] for option in self._each["model"].options] else OTHER
        wanted = {
            "model": name, "criterion": choices.criterion, "heads": choices.heads, "neurons": choices.neurons,
            "shape": choices.shape, "steepness": choices.steepness, "apply_to": choices.apply_to,
            "steps": str(choices.steps), "prompt": choices.prompt,
            **dict(zip(BLOCKS, choices.blocks, strict=True)),
        }  # fmt: skip
        if name == OTHER:
            wanted["model_name"] = choices.model
        if isinstance(choices.corpus, dict):
            wanted |= {"corpus": PATHS, "corpus_path": _in_a_line(choices.corpus)}
        elif (kind := f"{choices.corpus.partition(':')[0]}:") in TAKING:
            wanted |= {"corpus": kind, "corpus_path": choices.corpus.removeprefix(kind)}
        else:
            wanted["corpus"] = choices.corpus
        self._set = {each: value for each, value in wanted.items() if isinstance(value, float)}
        for each, value in wanted.items():
            # A hand on a slider sends values while this runs; one that is as wanted to its last shown digit is left alone.
            if each in self._set:
                self._owed[each] = value
            elif self._each[each].value != value:
                self._each[each].value = value
        self.more.show(choices.more)
        self.catch_up(later)
        self.unfold()
        self._silent = False

    def catch_up(self, later: Collection[str] = ()) -> None:
        """Show what the sliders were set to, but for those in `later`."""
        silent, self._silent = self._silent, True
        for each in [name for name in tuple(self._owed) if name not in later]:
            value = self._owed.pop(each, None)
            if value is not None and not self._is_as_set(each):
                self._each[each].value = self._on_step(each, value)
        self._silent = silent

    def unfold(self) -> None:
        """Show the fields for a name and a path only where the menus above them ask for one."""
        for menu, values, field in (("model", (OTHER,), "model_name"), ("corpus", TAKING, "corpus_path")):
            wanted = None if self._each[menu].value in values else "none"
            if self._each[field].layout.display != wanted:
                self._each[field].layout.display = wanted

    def refuse(self, field: str, sentence: str) -> bool:
        """Put a sentence beside the control that a recipe's field belongs to; False for a field that none belongs to.

        An empty sentence takes away the one that is there.
        """
        in_fold = self.more.refuse(field, sentence)
        control = None if in_fold else next((FIELDS[part] for part in reversed(field.split(".")) if part in FIELDS), None)
        sentence = _in_words_of_the_page(field, control, sentence if control else "")
        order, display = str(2 * list(LABELS).index(control or "prompt") + 1), None if sentence else "none"
        text = f'<div role="alert" class="esp-refusal">{html.escape(sentence)}</div>' if sentence else ""
        if (self._error.value, self._error.layout.order, self._error.layout.display) != (text, order, display):
            self._error.layout.order, self._error.layout.display, self._error.value = order, display, text
        return in_fold or control is not None

    def hold(self, reasons: Mapping[str, str]) -> None:
        """Grey the controls that are named, each with its reason as the tooltip, and give back all others."""
        self.more.hold(reasons)
        for name, widget in self._each.items():
            reason = reasons.get(name, "")
            tip = reason or (criterion_help(widget.value) if name == "criterion" else HELP[name])
            if widget.disabled != bool(reason) or widget.tooltip != tip:
                widget.disabled, widget.tooltip = bool(reason), tip

    def _corpus(self, kind: str, where: str) -> str | dict[str, str]:
        """The text that is chosen, as a recipe has it; three paths of which some are missing stay as they were written."""
        written = kind + where if kind in TAKING else kind
        if kind != PATHS:
            return written
        rest, paths = self._rest.corpus, [path.strip() for path in where.split(BETWEEN)]
        if isinstance(rest, dict) and where == _in_a_line(rest):  # a path may have what stands between them in its name
            return rest
        return dict(zip(SPLITS, paths, strict=True)) if len(paths) == len(SPLITS) and all(paths) else written

    def _is_as_set(self, name: str) -> bool:
        """Whether a slider stands where it was set, to a step: then what was set is what counts, with all its digits."""
        if name not in self._set:
            return False
        widget = self._each[name]
        return name in self._owed or abs(widget.value - self._set[name]) <= 0.51 * widget.step

    def _on_step(self, name: str, value: float) -> float:
        """The step of a slider that is nearest to a value. The browser would go there by itself, and tell of it as of a movement
        by hand, at a moment when something else may have been set since."""
        step = self._each[name].step
        return round(round(value / step) * step, 6)

    def _note(self, name: str) -> None:
        if self._silent:
            return
        self._owed.pop(name, None)  # a hand is newer than what was to be shown
        if not self._is_as_set(name):
            self._touched.append(name)
            self._changed()


def _build(choices: Choices) -> dict[str, ipywidgets.DOMWidget]:
    width = {"description_width": "118px"}
    # One style for all of a kind: every model counts towards the first paint. A menu has long words, and its label a short one.
    menus, sliders = DescriptionStyle(description_width="84px"), ipywidgets.SliderStyle(**width)
    texts, steep = TextStyle(**width), model_field("neurons.steepness")

    def menu(name: str, options: list[tuple[str, str]]) -> ipywidgets.Dropdown:
        return ipywidgets.Dropdown(description=LABELS[name], options=options, style=menus, layout={"width": "100%"})

    def slider(name: str, low: float = 0.0, high: float = 1.0, step: float = 0.01) -> ipywidgets.FloatSlider:
        return ipywidgets.FloatSlider(
            description=LABELS[name], value=low, min=low, max=high, step=step, readout_format=".2f", style=sliders,
            layout={"width": "100%"},
        )  # fmt: skip

    def text(name: str) -> ipywidgets.Text:
        return ipywidgets.Text(description=LABELS[name], continuous_update=False, style=texts, layout={"width": "100%"})

    return {
        "model": menu("model", _models(choices)),
        "model_name": text("model_name"),
        "corpus": menu("corpus", _corpora()),
        "corpus_path": text("corpus_path"),
        "criterion": menu(
            "criterion",
            [(f"{name} ({entry.facts['COST']})", name) for name, entry in CRITERIA.entries.items()],
        ),
        "heads": slider("heads"),
        "neurons": slider("neurons"),
        "shape": menu("shape", [(name, name) for name in SHAPES]),
        "steepness": slider("steepness", steep.low, steep.high, 0.05),
        "apply_to": ipywidgets.ToggleButtons(
            description=LABELS["apply_to"], options=["neurons", "heads", "both"], style=width | {"button_width": "auto"}
        ),
        **{block: slider(block) for block in BLOCKS},
        "steps": text("steps"),  # a field for numbers reads 1e9 as 19, and says nothing
        "prompt": text("prompt"),
    }


def _whole(text: str) -> int | str:
    """A whole number as somebody wrote it, 1e3 among them; what is none stays as it is, for the recipe to refuse."""
    try:
        value = float(text)
        return int(text) if text.strip().lstrip("+-").isdecimal() else int(value) if value.is_integer() else text
    except ValueError:
        return text


def _in_words_of_the_page(field: str, control: str | None, sentence: str) -> str:
    """A sentence that begins with a recipe's field, with the words beside the control in its place."""
    alone = control in ("steps", "prompt", "criterion", *KINDS)  # others stand for several fields, or for a part of one
    return LABELS[control] + sentence.removeprefix(field) if alone and sentence.startswith(f"{field} ") else sentence


def _models(choices: Choices) -> list[tuple[str, str]]:
    found = []
    for model in models():
        if model.source == "built in":
            found.append((model.name, model.name))
        else:
            size = f", {model.size / 1e6:,.0f} MB" if model.size else ""
            found.append((f"{model.name} ({'on disk' if model.ready else f'needs {model.needs}{size}'})", model.name))
    if choices.model in model_names() and choices.model not in [name for _, name in found]:
        found.insert(0, (choices.model, choices.model))  # on disk, but not finished: it has no card yet
    return [*found, (OTHER, OTHER)]


def _corpora() -> list[tuple[str, str]]:
    found = []
    for name, entry in CORPORA.entries.items():
        if f"{name}:" not in TAKING:
            found.append((f"{name} ({entry.facts['SOURCE']})" if entry.facts["SOURCE"] != "built in" else name, name))
    labels = {kind: CORPORA.entry(kind.removesuffix(":")).facts["LABEL"] for kind in TAKING} | {OWN_FILE: "own file"}
    return [*found, *((labels[kind], kind) for kind in TAKING)]


def _in_a_line(paths: Mapping[str, str]) -> str:
    return f"{BETWEEN} ".join(paths[split] for split in SPLITS)
