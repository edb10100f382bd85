"""Tests of engine/record/recipe.py: what a recipe may hold, and how it is refused."""

import math
import random

import pytest
from pydantic import ValidationError

from engine.record.errors import BadInput
from engine.record.fields import assign, explain
from engine.record.recipe import PROMPT_LIMIT, Recipe, Schedule

SPELT_OUT = """
{"model": "gpt2-tiny", "corpus": "wikipedia-sample", "criterion": "activation",
 "heads":   {"level": 0.3, "shape": "uniform"},
 "neurons": {"level": 0.3, "shape": "linear", "steepness": 2.0},
 "allocation": "schedule", "compensation": "least-squares", "rounds": 1,
 "tuning": {"method": "full", "steps": 200, "learning_rate": 5e-4, "batch_size": 8, "sequence_length": 128, "control": true},
 "calibration": {"tokens": 16384}, "evaluation": {"tokens": 16384, "sequence_length": 256},
 "prompt": "The history of", "cut": true, "device": "auto", "precision": "auto", "seed": 0}
"""
FIELDS = "model, corpus, criterion, heads, neurons, allocation, "
RANGE = "is not allowed; it takes a number from 0 to 1."

# What is wrong → the field that is blamed, and what the sentence must say.
REFUSED = {
    '{"modle": "gpt2"}': ("modle", "field 'modle' is not known (did you mean 'model'?); known are " + FIELDS),
    '{"level": 0.5}': ("level", "did you mean 'heads.level'?"),
    '{"a.b": 5}': ("a.b", "field 'a.b' is not known; known are model"),
    '{"strength": 5}': ("strength", "field 'strength' is not known"),
    '{"heads": {"levle": 1}}': ("heads.levle", "did you mean 'heads.level'?); known are heads.level, heads.shape"),
    '{"model": "gtp2"}': ("model", "model 'gtp2' is not known (did you mean 'gpt2'?)"),
    '{"model": ""}': ("model", "model '' is not known"),
    '{"criterion": "activaton"}': ("criterion", "did you mean 'activation'?); known are ablation, activation, energy, entropy,"),
    '{"criterion": "ablation"}': ("criterion", "criterion 'ablation' scores heads only; let none of the neurons go (level 0)"),
    '{"criterion": "ablation", "neurons": {"level": 0, "shape": "custom", "blocks": [0, 0, 0.5]}}': ("criterion", "heads only"),
    '{"corpus": "wikipedia-sampel"}': ("corpus", "did you mean 'wikipedia-sample'?"),
    '{"corpus": "file:"}': ("corpus", "corpus 'file:' is not known"),
    '{"corpus": "file"}': ("corpus", "corpus 'file' is not known"),
    '{"corpus": 5}': ("corpus", "corpus 5 is no text"),
    '{"corpus": {"train": "a"}}': ("corpus", "must name exactly three paths: train, calibration and evaluation."),
    '{"corpus": {"train": "a", "calibration": 5, "evaluation": "c"}}': ("corpus", "corpus.calibration 5 is no path"),
    '{"compensation": "sequentially"}': ("compensation", "compensation 'sequentially' is not known (did you mean 'sequential'?)"),
    '{"ridge": -0.1}': ("ridge", "ridge -0.1 is not allowed; it takes a number from 0 to 1,000,000."),
    '{"ridge": Infinity}': ("ridge", "ridge inf is not allowed; it takes a number from 0 to 1,000,000."),
    '{"device": "tpu"}': ("device", "device 'tpu' is not known (did you mean 'cpu'?); known are auto, cpu, cuda, mps."),
    '{"heads": {"shape": "liner"}}': ("heads.shape", "heads.shape 'liner' is not known (did you mean 'linear'?)"),
    '{"heads": {"level": 1.5}}': ("heads.level", f"heads.level 1.5 {RANGE}"),
    '{"neurons": {"level": -0.1}}': ("neurons.level", f"neurons.level -0.1 {RANGE}"),
    '{"neurons": {"level": NaN}}': ("neurons.level", f"neurons.level nan {RANGE}"),
    '{"neurons": {"level": Infinity}}': ("neurons.level", f"neurons.level inf {RANGE}"),
    '{"neurons": {"level": "0.5"}}': ("neurons.level", f"neurons.level '0.5' {RANGE}"),
    '{"neurons": {"level": null}}': ("neurons.level", f"neurons.level null {RANGE}"),
    '{"neurons": {"level": true}}': ("neurons.level", f"neurons.level true {RANGE}"),
    '{"heads": {"level": 0.5, "cap": 0.2}}': ("heads.level", "heads.level 0.5 cannot be reached under a cap of 0.2."),
    '{"heads": {"shape": "custom"}}': ("heads.shape", "takes either blocks (front, middle, back) or layers"),
    '{"heads": {"shape": "custom", "blocks": [0, 0, 0], "layers": [0]}}': ("heads.shape", "and both are given."),
    '{"heads": {"shape": "custom", "blocks": [0.1, 0.2]}}': (
        "heads.blocks",
        "heads.blocks [0.1, 0.2] has 2 shares; it takes three",
    ),
    '{"heads": {"shape": "custom", "blocks": []}}': ("heads.blocks", "heads.blocks [] must be a list of shares from 0 to 1."),
    '{"heads": {"shape": "custom", "layers": 0.5}}': ("heads.layers", "heads.layers 0.5 must be a list of shares from 0 to 1."),
    '{"heads": {"shape": "custom", "layers": [0, 7]}}': (
        "heads.layers",
        "heads.layers [0, 7] holds 7, which is no share from 0 to 1.",
    ),
    '{"heads": {"shape": "custom", "layers": [NaN]}}': ("heads.layers", "holds nan, which is no share"),
    '{"heads": {"shape": "custom", "layers": [true]}}': ("heads.layers", "holds True, which is no share"),
    '{"heads": {"shape": "custom", "layers": [0, 0.7], "cap": 0.5}}': ("heads.layers", "goes over the cap of 0.5."),
    '{"heads": {"blocks": [0, 0, 0]}}': ("heads.blocks", 'goes with shape "custom" only, not with "uniform".'),
    '{"heads": 5}': ("heads", "heads 5 is not allowed; it takes an object with the fields level, shape"),
    '{"seed": 2147483648}': ("seed", "it takes a whole number from 0 to 2,147,483,647."),
    '{"seed": 1.5}': ("seed", "seed 1.5 is not allowed; it takes a whole number"),
    '{"rounds": 0}': ("rounds", "rounds 0 is not allowed; it takes a whole number from 1 to 64."),
    '{"allocation": "globl"}': ("allocation", "did you mean 'global'?); known are schedule, global, suggest."),
    '{"suggestion": {"by": "head"}}': ("suggestion.by", "suggestion.by 'head' is not known"),
    '{"suggestion": {"damage": "guessed"}}': ("suggestion.damage", "known are predicted, measured."),
    '{"protect": {"first": -1}}': ("protect.first", "it takes a whole number from 0 to 10,000."),
    '{"protect": 2}': ("protect", "protect 2 is not allowed; it takes an object with the fields first, last."),
    '{"heads": {"floor": 0.5}}': ("heads.floor", "it takes a whole number from 0 to 1,000,000."),
    '{"tuning": {"steps": -1}}': ("tuning.steps", "it takes a whole number from 0 to 1,000,000."),
    '{"tuning": {"learning_rate": 9}}': ("tuning.learning_rate", "it takes a number from 0.0000001 to 1."),
    '{"tuning": {"control": "yes"}}': ("tuning.control", "tuning.control 'yes' is not allowed; it takes true or false."),
    '{"calibration": {"tokens": 300, "sequence_length": 512}}': ("calibration.tokens", "does not fill one sequence of 512."),
    '{"evaluation": {"tokens": 100}}': ("evaluation.tokens", "evaluation.tokens 100 does not fill one sequence of 256."),
    '{"prompt": ""}': ("prompt", "prompt '' is empty; write at least one word."),
    '{"prompt": " \\n\\t"}': ("prompt", "is empty; write at least one word."),
    '{"prompt": "a\\u0000b"}': ("prompt", "prompt 'a\\x00b' holds the control character U+0000; take it out."),
    '{"prompt": "\\u001c\\u001d"}': ("prompt", "holds the control character U+001C; take it out."),
    '{"prompt": 5}': ("prompt", "prompt 5 is not allowed; it takes a text."),
    '{"prompt": "' + "x" * 100_000 + '"}': ("prompt", "has 100,000 characters; at most 2,000 are allowed."),
    '{"cut": 1}': ("cut", "cut 1 is not allowed; it takes true or false."),
    "[]": ("", "The recipe [] is not allowed; it takes an object with the fields model"),
    "null": ("", "The recipe null is not allowed; it takes an object"),
    "{": ("", "The recipe is not JSON: EOF while parsing"),
    "": ("", "The recipe is not JSON: EOF while parsing"),
}


def refusal(text: str) -> tuple[str, str]:
    """What `explain` says of a text that is no recipe."""
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate_json(text)
    return explain(caught.value)


def test_the_recipe_that_spells_the_defaults_out_is_the_default():
    """Whoever reads the documented example knows what an empty recipe does."""
    assert Recipe.model_validate_json(SPELT_OUT) == Recipe.model_validate_json("{}") == Recipe()


@pytest.mark.parametrize("text", REFUSED)
def test_a_refusal_names_field_value_and_what_is_allowed(text):
    """One line, short whatever was given."""
    field, said = refusal(text)
    blamed, words = REFUSED[text]
    assert field == blamed
    assert words in said
    assert "\n" not in said and len(said) < 400


def test_what_is_said_of_the_neurons_leaves_the_rest_as_it_is_by_default():
    """Their shape is linear, whatever else is set; a schedule that is given whole is taken as it is."""
    assert Recipe.model_validate_json('{"neurons": {"level": 0.5}}').neurons == Schedule(level=0.5, shape="linear")
    assert Recipe.model_validate(assign({}, ["neurons.level=0.5"])).neurons.shape == Recipe().neurons.shape == "linear"
    assert Recipe(neurons=Schedule(level=0.5)).neurons.shape == Recipe(heads={"level": 0.5}).heads.shape == "uniform"


def test_a_whole_number_may_be_written_as_json_likes():
    """1e1 and 10.0 are 10, in a file and as `--set` has it; 10.5 steps are refused, and so is a number for a yes or no."""
    for text in ("1e1", "10.0", "10"):
        assert Recipe.model_validate_json(f'{{"tuning": {{"steps": {text}}}}}').tuning.steps == 10
        assert type(Recipe.model_validate(assign({}, [f"seed={text}"])).seed) is int
    assert refusal('{"tuning": {"steps": 10.5}}')[0] == "tuning.steps"
    assert refusal('{"tuning": {"control": 1.0}}')[0] == "tuning.control"


@pytest.mark.parametrize("prompt", ["x", "x" * PROMPT_LIMIT, "Zwei\nZeilen\tüber 🌳", "‮"])
def test_a_prompt_that_can_be_printed_is_taken(prompt):
    """Line ends and tabs are text."""
    assert Recipe(prompt=prompt).prompt == prompt


@pytest.mark.parametrize("corpus", ["wikitext-2", "file:/a/b c.txt", {"train": "a", "calibration": "b", "evaluation": "c"}])
def test_the_forms_of_a_corpus(corpus):
    """A name, a file, three paths; both ways through JSON."""
    recipe = Recipe(corpus=corpus)
    assert Recipe.model_validate_json(recipe.model_dump_json()).corpus == corpus


def test_a_recipe_cannot_be_changed():
    """A copy is changed instead, so that what was validated stays valid."""
    with pytest.raises(ValidationError):
        Recipe().seed = 1


def test_a_schedule_gives_the_shares_of_any_model():
    """The mean is the level, for the recipe's own fields."""
    assert Schedule(level=0.5).shares(3) == (0.5, 0.5, 0.5)
    assert sum(Schedule(level=0.4, shape="exponential", cap=0.5).shares(12)) / 12 == pytest.approx(0.4)
    assert Schedule(shape="custom", layers=[0, 1]).shares(2) == (0.0, 1.0)
    with pytest.raises(BadInput, match="has 2 values, but the model has 3 layers"):
        Schedule(shape="custom", layers=[0, 1]).shares(3)


def test_whole_numbers_are_numbers():
    """JSON has but one kind: 1 is a level, and stays the float 1.0."""
    recipe = Recipe.model_validate_json('{"heads": {"level": 1}, "neurons": {"shape": "custom", "blocks": [0, 1, 1]}}')
    assert recipe.heads.level == 1.0 and recipe.neurons.blocks == (0.0, 1.0, 1.0)


WORDS = [
    *Recipe.model_fields, *Schedule.model_fields, "levle", "a.b", "", "str", "function-x", "0", "tuning.steps", "train",
    "evaluation", "uniform", "custom", "random", "gpt2", "file:/x", "wikitext-2", "full", "float32", "ü🌳",
    "\u0000", "\ud800", "x" * 300,
]  # fmt: skip
NUMBERS = [0, 1, 2, 3, -1, 0.3, 1.5, 5e-4, 128, 16384, 10**30, 10**400, -0.0, math.nan, math.inf, -math.inf, True, False, None]


DEFAULTS = Recipe().model_dump(mode="json")


def anything(draw: random.Random, depth: int = 0) -> object:
    """Any plain value, nested now and then."""
    kind = draw.random()
    if depth < 3 and kind < 0.15:
        return [anything(draw, depth + 1) for _ in range(draw.randint(0, 4))]
    if depth < 3 and kind < 0.3:
        return {draw.choice(WORDS): anything(draw, depth + 1) for _ in range(draw.randint(0, 3))}
    return draw.choice(NUMBERS) if kind < 0.7 else draw.choice(WORDS)


def nearly(draw: random.Random) -> object:
    """A recipe in which every field has, most often, a value that could be meant."""
    plain = dict(DEFAULTS)
    for name in draw.sample(list(plain), draw.randint(0, 4)):
        if isinstance(plain[name], dict) and draw.random() < 0.8:
            inner = draw.choice([*plain[name], *WORDS])
            plain[name] = {**plain[name], inner: anything(draw, 2)}
            if "shape" in plain[name] and draw.random() < 0.5:
                shares = [draw.choice([0, 0.5, 1, 0.3, math.nan, "x", 10**400]) for _ in range(draw.randint(0, 5))]
                plain[name] |= {"shape": "custom", draw.choice(["blocks", "layers"]): shares}
        else:
            plain[name] = anything(draw)
    return plain


@pytest.mark.parametrize("make", [anything, nearly])
def test_whatever_is_thrown_at_it_a_recipe_comes_out_or_one_sentence(make):
    """Two thousand times each: what is taken survives JSON and expands, what is refused is refused with a short sentence."""
    draw, taken, told = random.Random(7), 0, set()
    for _ in range(2000):
        thrown = make(draw)
        try:
            recipe = Recipe.model_validate(thrown)
        except ValidationError as error:
            field, said = explain(error)
            assert said.endswith(".") and "\n" not in said and len(said) < 500, thrown
            assert said.isprintable() and said.encode(), thrown
            assert not field or field.split(".")[0] in thrown or field in thrown, (field, thrown)
            told.add(field)
        else:
            assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
            taken += 1
    assert make is anything or (taken > 100 and len(told) > 20)
