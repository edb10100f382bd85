"""Tests of engine/text/texts.py: the splits of a corpus in blocks, each worked out once."""

import pytest
import torch

from engine.models.load import load
from engine.record.errors import BadInput
from engine.text.blocks import pack
from engine.text.corpora import read_corpus
from engine.text.texts import SPLITS, Texts


@pytest.fixture
def texts(recipe) -> Texts:
    """The garden's text as the tiny model reads it."""
    loaded = load(recipe.model)
    return Texts(read_corpus(recipe.corpus), loaded.tokenizer, loaded.anatomy.context, loaded.anatomy.vocabulary)


@pytest.mark.parametrize("split", SPLITS)
def test_blocks_are_those_of_the_packed_split(texts, split):
    """As many as asked for, or all of them."""
    for limit in (None, 100):
        assert torch.equal(texts.blocks(split, 32, limit), pack(getattr(texts.splits, split), texts.tokenizer, 32, limit))


def test_blocks_are_worked_out_once(texts):
    """The same tensor, for the same split, length and limit."""
    assert texts.blocks("evaluation", 32, 100) is texts.blocks("evaluation", 32, 100)
    assert texts.blocks("evaluation", 32, 100) is not texts.blocks("calibration", 32, 100)
    assert texts.blocks("evaluation", 16, 100).shape == (6, 16)


def test_a_length_over_the_context_is_refused(texts):
    """The field, the value and what is allowed; at the limit it is taken."""
    with pytest.raises(BadInput) as caught:
        texts.blocks("train", 65, None, "tuning")
    assert str(caught.value) == "tuning.sequence_length 65 is more than the 64 positions of this model; give at most 64."
    assert caught.value.field == "tuning.sequence_length"
    with pytest.raises(BadInput, match="^sequence_length 65 is more") as caught:
        texts.blocks("train", 65)
    assert caught.value.field == ""
    assert texts.blocks("train", 64).shape[1] == 64


def test_a_split_too_short_for_one_block_is_the_corpuss_fault(texts):
    """And says how long it is."""
    short = Texts(type(texts.splits)("s", ("a tree",), ("a tree",), ("a tree",), None), texts.tokenizer, 64, texts.vocabulary)
    with pytest.raises(BadInput, match="tokens, one block takes 32") as caught:
        short.blocks("evaluation", 32, 512, "evaluation")
    assert caught.value.field == "corpus"


@pytest.mark.parametrize("split", ["train", "calibration", "evaluation"])
def test_tokens_that_the_model_does_not_know_are_the_models_fault(texts, split):
    """Its folder holds another model's tokenizer; said before a forward pass would end in an index out of range."""
    highest = int(texts.blocks(split, 32).max())
    few = Texts(texts.splits, texts.tokenizer, 64, highest)
    with pytest.raises(BadInput, match=f"makes token {highest} of this text, and the model knows 0 to {highest - 1}") as caught:
        few.blocks(split, 32)
    assert caught.value.field == "model"
    assert Texts(texts.splits, texts.tokenizer, 64, highest + 1).blocks(split, 32).max() == highest
