"""Which controls are grey as the others stand: what the rules name, and that the engine agrees that those change nothing."""

from dataclasses import replace

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.evidence import Evidence
from engine.pruning.overlay import Overlay
from engine.pruning.rounds import Round, planning
from engine.pruning.suggest import compensation_goes_by
from engine.record.recipe import Recipe, Schedule
from tests.engine.pruning.small import small, text
from widgets.choices import BLOCK_SLIDERS, Choices, adopted, choices_of, moved, recipe_of
from widgets.effects import RULES, TUNING, without_effect

LORA, DISTIL = {"tuning.rank", "tuning.targets"}, {"tuning.temperature", "tuning.mix", "tuning.student"}
IN_ROUNDS = {"ramp", "recover", "revive"}
ALWAYS = {"suggestion.by", "suggestion.damage", *IN_ROUNDS}  # as long as nothing is suggested, and there is one round
SHAPED = choices_of(Recipe(neurons=Schedule(level=0.3, shape="linear")), 6)


def with_more(choices: Choices = SHAPED, **more: object) -> Choices:
    """The controls with other values in the fold."""
    return replace(choices, more=choices.more | more)


# What is said in the fold and above it → what it makes grey, besides `ALWAYS`.
GREY = {
    "as a recipe has them": (SHAPED, set()),
    "uniform": (replace(SHAPED, shape="uniform"), {"steepness"}),
    "custom": (replace(SHAPED, shape="custom"), {"steepness"}),
    "no neurons": (replace(SHAPED, neurons=0.0), {"steepness", "neurons.cap", "neurons.floor"}),
    "neurons by layer": (
        with_more(replace(SHAPED, neurons=0.0), **{"neurons.layers": (0.5,) * 6}),
        {"steepness", "front", "middle", "back"},
    ),
    "both as suggested": (
        adopted(SHAPED, {"heads": (0.5, 0.0) * 3, "neurons": (0.1, 0.4) * 3}),
        {"steepness", "front", "middle", "back"},
    ),
    "heads by layer, neurons by block": (
        with_more(replace(SHAPED, shape="custom", apply_to="both"), **{"heads.layers": (0.5,) * 6}),
        {"steepness"},
    ),
    "no heads": (replace(SHAPED, heads=0.0), {"heads.cap", "heads.floor"}),
    "bias": (with_more(compensation="bias"), {"ridge"}),
    "sequential": (with_more(compensation="sequential"), set()),
    "none": (with_more(compensation="none"), {"ridge", "add_biases"}),
    "random": (replace(SHAPED, criterion="random"), {"rounds"}),
    "random, ranked": (with_more(replace(SHAPED, criterion="random"), allocation="global"), set()),
    "magnitude": (replace(SHAPED, criterion="magnitude"), set()),
    "magnitude, bias": (with_more(replace(SHAPED, criterion="magnitude"), compensation="bias"), {"ridge", "rounds"}),
    "no recovery": (replace(SHAPED, steps=0), {*TUNING, "precision"}),
}


@pytest.mark.parametrize(("choices", "grey"), GREY.values(), ids=GREY)
def test_a_control_that_changes_nothing_says_why(choices: Choices, grey: set[str]) -> None:
    """Each with a sentence, and no other control."""
    found = without_effect(choices, 6)
    assert set(found) == grey | ALWAYS | LORA | DISTIL
    assert all(why.endswith(".") for why in found.values())


def test_another_shape_gives_the_sliders_back_that_shares_by_layer_had_made_grey() -> None:
    """The reason says so, and it is true."""
    suggested = adopted(SHAPED, {"heads": (0.5, 0.0) * 3, "neurons": (0.1, 0.4) * 3})
    assert "choose another Shape" in without_effect(suggested, 6)["front"]
    assert "front" not in without_effect(moved(replace(suggested, shape="linear"), "shape", 6), 6)


def test_a_block_without_layers_and_a_suggestion_have_rules_too() -> None:
    """One layer is the middle block; where shares are suggested, how is asked."""
    assert set(without_effect(SHAPED, 1)) == {"front", "back"} | ALWAYS | LORA | DISTIL
    assert set(without_effect(with_more(allocation="suggest"), 6)) == LORA | DISTIL | IN_ROUNDS
    nothing = replace(SHAPED, heads=0.0, neurons=0.0)
    assert {"protect.first", "protect.last"} <= set(without_effect(nothing, 6))


def test_rounds_have_fields_of_their_own() -> None:
    """How the level rises where there are several, and what may open again where something is trained between them."""
    random = with_more(replace(SHAPED, criterion="random"), rounds=3)
    assert IN_ROUNDS.intersection(without_effect(random, 6)) == {"revive"} and "rounds" in without_effect(random, 6)
    gradual = with_more(random, recover="rounds")
    assert not {"rounds", *IN_ROUNDS}.intersection(without_effect(gradual, 6))
    assert "revive" in without_effect(replace(gradual, steps=0), 6)


@pytest.mark.parametrize(("method", "student", "grey"), [
    ("full", "lora", LORA | DISTIL), ("lora", "full", DISTIL), ("distil", "full", LORA), ("distil", "lora", set()),
])  # fmt: skip
def test_a_way_to_recover_has_fields_of_its_own(method: str, student: str, grey: set[str]) -> None:
    """Those of the others are grey; of the two students of a distillation one has lora's."""
    found = without_effect(with_more(**{"tuning.method": method, "tuning.student": student}), 6)
    assert set(found) == grey | ALWAYS


def test_every_rule_names_controls_that_are_there() -> None:
    """A field that is renamed takes its rule along."""
    assert {field for rule in RULES for field in rule.fields} <= {*SHAPED.more, "steepness", *BLOCK_SLIDERS}


def logits(recipe: Recipe) -> torch.Tensor:
    """Those of a small model that was pruned as a recipe says."""
    model, blocks = small("llama", biases=False), text(24)
    evidence, overlay = Evidence(model, dissect(model)), Overlay(model, dissect(model))
    plan = [step.plan for step in planning(evidence, overlay, blocks, recipe) if isinstance(step, Round)][-1]
    overlay.off()
    steps = compensation_goes_by(evidence, blocks, recipe.compensation)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            known = end.value
            break
    overlay.lay(plan, recipe.compensation, known, recipe.ridge, recipe.add_biases)
    with torch.no_grad():
        return model(blocks[:2], use_cache=False).logits  # [2, length, vocabulary]


CHANGES = {
    "ridge": 1e3,
    "add_biases": False,
    "rounds": 3,
    "ramp": "cubic",
    "revive": True,
    "suggestion.by": "block",
    "suggestion.damage": "measured",
    "heads.floor": 3,
    "heads.cap": 0.4,
    "neurons.floor": 9,
    "neurons.cap": 0.3,
}


@pytest.mark.parametrize("said", [name for name, (_, grey) in GREY.items() if grey.intersection(CHANGES)])
def test_the_engine_agrees_that_it_changes_nothing(said: str) -> None:
    """Whatever a grey control says, the pruned model is the same to the bit."""
    choices, grey = GREY[said]
    wanted = logits(recipe_of(choices, Recipe()))
    for field in (grey | ALWAYS).intersection(CHANGES):
        other = recipe_of(with_more(choices, **{field: CHANGES[field]}), Recipe())
        assert torch.equal(logits(other), wanted), field


def test_the_engine_agrees_that_what_is_not_grey_does_change_something() -> None:
    """The same fields, where the rules leave them alone."""
    ranked = replace(SHAPED, neurons=0.6)
    wanted = logits(recipe_of(ranked, Recipe()))
    for field in ("ridge", "add_biases", "rounds", "neurons.cap"):
        changes = {field: 0.6} | ({} if field == "neurons.cap" else {field: CHANGES[field]})
        assert not torch.equal(logits(recipe_of(with_more(ranked, **changes), Recipe())), wanted), field
