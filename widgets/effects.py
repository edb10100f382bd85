"""Which choices change nothing as the others stand, and why: one rule a line, by the names of the controls; knows no widget."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.record.catalogue import CRITERIA
from engine.record.fields import leaves
from engine.record.schedules import block_of_layers
from widgets.choices import BLOCK_SLIDERS, KINDS, Choices

TUNING = tuple(name for name in leaves() if name.startswith("tuning.") and name != "tuning.steps")
FITTED = ("least-squares", "sequential")  # compensation that changes weights


@dataclass(frozen=True)
class Rule:
    """`fields` change nothing where `when` holds, for the reason `why`."""

    fields: tuple[str, ...]
    when: Callable[[Choices], bool]
    why: str


RULES = (
    Rule(
        ("steepness",),
        lambda it: it.shape == "uniform",
        "Shape is uniform, so every layer loses the same share; choose linear or exponential to use this.",
    ),
    Rule(
        ("steepness",),
        lambda it: it.shape == "custom",
        "Shape is custom, so Front, Middle and Back say it all; choose linear or exponential to use this.",
    ),
    Rule(
        ("steepness", *BLOCK_SLIDERS),
        lambda it: _each_layer(it),
        "Each layer has a share of its own, as suggested or as More choices say; choose another Shape to use this.",
    ),
    Rule(
        ("steepness",),
        lambda it: it.shape in ("linear", "exponential") and not any(_takes(it, kind) for kind in it.shaped),
        "None of the units that Shape acts on are to go.",
    ),
    Rule(
        ("ridge",),
        lambda it: it.more["compensation"] not in FITTED,
        "Compensation fits no weights; choose least-squares or sequential to use this.",
    ),
    Rule(("add_biases",), lambda it: it.more["compensation"] == "none", "Compensation is none, so no bias is fitted."),
    Rule(
        ("suggestion.by", "suggestion.damage"),
        lambda it: it.more["allocation"] != "suggest",
        "Only a suggestion goes by this: choose suggest for How shares are found, or ask for one below the charts.",
    ),
    Rule(
        ("rounds",),
        lambda it: it.more["allocation"] == "schedule" and not _sees_what_went(it) and it.more["recover"] == "end",
        "The criterion gives what is left the same scores in every round, so several rounds end where one does.",
    ),
    Rule(("ramp", "recover"), lambda it: it.more["rounds"] == 1, "There is one round only; ask for more Rounds to use this."),
    Rule(
        ("revive",),
        lambda it: it.more["rounds"] == 1 or it.more["recover"] == "end" or it.steps == 0,
        "Nothing is trained between rounds: ask for more Rounds, and choose rounds for When to recover, to use this.",
    ),
    *(
        Rule((f"{kind}.cap", f"{kind}.floor"), lambda it, kind=kind: not _takes(it, kind), f"None of the {kind} are to go.")
        for kind in KINDS
    ),
    Rule(("protect.first", "protect.last"), lambda it: not any(_takes(it, kind) for kind in KINDS), "Nothing is to go."),
    Rule(
        ("tuning.rank", "tuning.targets"),
        lambda it: "lora" not in (it.more["tuning.method"], _student(it)),
        "No matrices are put beside the weights: choose the training method lora, or distil with lora for what trains.",
    ),
    Rule(
        ("tuning.temperature", "tuning.mix", "tuning.student"),
        lambda it: it.more["tuning.method"] != "distil",
        "Nothing is learnt from the dense model: choose the training method distil to use this.",
    ),
    Rule((*TUNING, "precision"), lambda it: it.steps == 0, "Recovery steps is 0, so nothing is trained."),
)


def without_effect(choices: Choices, layers: int) -> dict[str, str]:
    """The controls that change nothing as the others stand, and why; for a model of `layers` layers."""
    found = {field: rule.why for rule in RULES if rule.when(choices) for field in rule.fields}
    there = set(block_of_layers(layers))
    for number, block in enumerate(BLOCK_SLIDERS):
        if number not in there:
            found[block] = f"This model has no layer in its {block} block."
    return found


def _takes(choices: Choices, kind: str) -> bool:
    return getattr(choices, kind) > 0 or bool(choices.more[f"{kind}.layers"])


def _each_layer(choices: Choices) -> bool:
    """Whether all that the shape would act on has a share for each layer, of which the sliders of the blocks show only means."""
    takes = [kind for kind in choices.shaped if _takes(choices, kind)]
    return bool(takes) and all(choices.more[f"{kind}.layers"] for kind in takes)


def _student(choices: Choices) -> str:
    return choices.more["tuning.student"] if choices.more["tuning.method"] == "distil" else ""


def _sees_what_went(choices: Choices) -> bool:
    """Whether scores change once other units are gone: those from text do, those from weights where compensation changes them."""
    cost = CRITERIA.entry(choices.criterion).facts["COST"]
    return cost != "free" and (cost != "weights" or choices.more["compensation"] in FITTED)
