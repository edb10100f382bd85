"""Perplexity: transformers' loss, a plain float64 loop, and no dependence on how the blocks are batched."""

import math

import pytest
import torch

from engine.evaluation.perplexity import batches, evaluate, total
from engine.record.errors import BadInput
from tests.elsewhere import elsewhere
from tests.families import CONTEXT, FAMILIES, VOCABULARY, make, tokens


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_transformers_loss(family):
    """On one batch the mean is the loss that transformers reports, and perplexity its exponential."""
    model, blocks = make(family), tokens(3, 11)
    result = evaluate(model, blocks)
    with torch.no_grad():
        loss = model(blocks, labels=blocks, use_cache=False).loss.item()
    assert result.tokens == 3 * 10
    assert result.nll / result.tokens == pytest.approx(loss, rel=1e-6)  # transformers rounds its logits to float32
    assert result.perplexity == pytest.approx(math.exp(loss), rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_plain_float64_loop(family):
    """Block by block and token by token, in double precision."""
    model, blocks = make(family), tokens(5, 9)
    nll = 0.0
    for block in blocks:
        with torch.no_grad():
            scores = model(block[None], use_cache=False).logits[0].log_softmax(-1)
        nll -= sum(scores[place, token].item() for place, token in enumerate(block[1:]))
    assert evaluate(model, blocks).nll == pytest.approx(nll, rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
def test_the_batch_size_does_not_matter(batch_size):
    """Seven blocks in batches of any size, the last one ragged, weigh every token alike."""
    model, blocks = make("gpt2"), tokens(7, 12)
    assert evaluate(model, blocks, batch_size).nll == pytest.approx(evaluate(model, blocks, 7).nll, rel=1e-12)
    assert evaluate(model, blocks, batch_size).tokens == 77


def test_float32_sums_are_added_in_double():
    """A float32 model's result stays within float32's own rounding of the float64 one over thousands of tokens."""
    exact, blocks = make("gpt2"), tokens(200, 40)
    rounded = make("gpt2").float()
    assert evaluate(rounded, blocks).nll == pytest.approx(evaluate(exact, blocks).nll, rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_given_back(training):
    """Measuring in the middle of a training gives one number, twice, and the training goes on."""
    model = make("gpt2").train(training)
    model.transformer.drop.p = 0.5
    assert evaluate(model, tokens()) == evaluate(model, tokens())
    assert model.training is training
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_whoever_stops_between_batches_leaves_nothing_behind():
    """The parts add up to the whole, and between two of them the model is in the mode in which it came."""
    model, blocks = make("opt").train(), tokens(6, 8)
    parts = batches(model, blocks, 2)
    first = next(parts)
    assert model.training
    assert first[1] == 14
    assert total([first, *parts]) == evaluate(model, blocks, 2)


def test_rubble_has_an_infinite_perplexity():
    """An overflow of the exponential is infinity and not an error; a model that gives NaN gives NaN."""
    assert total([(5000.0, 2)]).perplexity == math.inf
    assert math.isnan(total([(math.nan, 2)]).perplexity)


@pytest.mark.parametrize(
    "blocks, words",
    [
        (tokens(0, 8), "at least one token"),
        (tokens(3, 1), "1 token long"),
        (tokens()[0], "at least one token"),
        (tokens(2, CONTEXT + 1), f"{CONTEXT + 1} tokens long; this model takes 2 to {CONTEXT}"),
        (tokens() + VOCABULARY, f"the model knows 0 to {VOCABULARY - 1}"),
        (tokens() - VOCABULARY, f"the model knows 0 to {VOCABULARY - 1}"),
    ],
    ids=["none", "short", "flat", "long", "unknown", "negative"],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_that_the_model_cannot_read_are_refused(family, blocks, words):
    """In a sentence, before it has run: torch would end in an index that is out of range, and a GPU with its process."""
    model = make(family)
    model.register_forward_pre_hook(lambda *_: pytest.fail("the model ran"))
    with pytest.raises(BadInput, match=words):
        evaluate(model, blocks)


def test_a_batch_of_nothing_is_refused():
    """Zero blocks at a time would never end."""
    with pytest.raises(BadInput, match="batch size"):
        evaluate(make("gpt2"), tokens(), 0)


def test_a_part_that_stood_apart_stays_apart():
    """A layer that was put into eval mode on purpose is in it afterwards, in a model that is training; and the other way."""
    model = make("gpt2").train()
    model.transformer.h[0].eval()
    before = [module.training for module in model.modules()]
    evaluate(model, tokens())
    assert [module.training for module in model.modules()] == before
    model.eval().lm_head.train()
    next(batches(model, tokens()))
    assert [name for name, module in model.named_modules() if module.training] == ["lm_head"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_device_without_float64_measures_the_same(family):
    """What is summed in float64 is on the CPU by then. Shown by tensors that refuse float64 while they are not, not by such a
    device."""
    model = make(family).float()
    wanted = evaluate(model, tokens(3, 11))
    assert evaluate(elsewhere(model), tokens(3, 11)) == wanted
