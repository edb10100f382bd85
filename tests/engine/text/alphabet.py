"""A byte-level tokenizer made in a test, small enough to spread characters over several tokens."""

from engine.models.builtin.tokenizer import train_tokenizer

WORDS = "the history of the tree and of the gardener who trained the tree against the wall"


def tokenizer(vocabulary=300, documents=(WORDS,)):
    """A tokenizer of at most `vocabulary` tokens: one end-of-text token, 256 bytes, a few merges."""
    return train_tokenizer(documents, vocabulary, 64)
