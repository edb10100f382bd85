"""Packing: every token once and in order, nothing padded."""

import pytest
import torch

from engine.record.errors import BadInput
from engine.text.blocks import pack
from tests.engine.text.alphabet import WORDS, tokenizer


def test_blocks_are_the_joined_documents_chopped():
    """The blocks, laid end to end, are the documents' own tokens with one end-of-text token after each, less the remainder."""
    reader, documents = tokenizer(), [WORDS, "a wall", "the tree"]
    joined = [token for text in documents for token in [*reader(text, add_special_tokens=False)["input_ids"], 0]]
    blocks = pack(documents, reader, 7)
    assert blocks.dtype == torch.long
    assert blocks.shape == (len(joined) // 7, 7)
    assert blocks.flatten().tolist() == joined[: blocks.numel()]
    assert len(joined) - blocks.numel() < 7


def test_a_limit_takes_whole_blocks_from_all_over_the_text():
    """A limit of 30 tokens takes four blocks of 7, evenly spaced; each is a block of the text without a limit."""
    reader = tokenizer()
    everything = pack([WORDS] * 7, reader, 7)
    assert len(everything) == 17
    assert torch.equal(pack([WORDS] * 7, reader, 7, limit=30), everything[[0, 4, 8, 12]])


def test_a_limit_reads_no_library():
    """Of a text without end only sixteen times the limit is tokenised."""

    def documents():
        for _ in range(16):
            yield "tree " * 30
        raise AssertionError("more was read than the blocks are spaced over")

    assert pack(documents(), tokenizer(), 10, limit=20).shape == (2, 10)


def test_a_limit_beyond_the_text_takes_all_of_it():
    """A limit is at most, not at least."""
    assert torch.equal(pack([WORDS], tokenizer(), 7, limit=7000), pack([WORDS], tokenizer(), 7))


@pytest.mark.parametrize(
    ("documents", "length", "limit", "words"),
    [
        (["tree"], 64, None, "longer text"),
        ([], 8, None, "longer text"),
        ([WORDS], 1, None, "at least 2 tokens"),
        ([WORDS], 8, 7, "does not fill one block"),
    ],
)
def test_too_little_is_refused(documents, length, limit, words):
    """A text, a length or a limit that makes no block is refused in words rather than giving an empty tensor."""
    with pytest.raises(BadInput, match=words):
        pack(documents, tokenizer(), length, limit)


def test_a_tokenizer_without_an_end_is_refused():
    """Documents run together without a mark would teach the model that they are one."""
    reader = tokenizer()
    reader.eos_token = None
    with pytest.raises(BadInput, match="end-of-text"):
        pack([WORDS], reader, 7)
