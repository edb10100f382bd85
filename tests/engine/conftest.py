"""A model and a text that are small enough to prune, train and cut in a second; both are made here, from a seed."""

import random
from pathlib import Path

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from engine.record.recipe import Recipe

WORDS = "the a small old green tree house river stands grows bends near above under and while it then quickly never".split()


def sentences(count: int, seed: int) -> str:
    """Documents of made-up sentences, separated by blank lines."""
    draw = random.Random(seed)
    lines = (" ".join(draw.choices(WORDS, k=draw.randint(6, 14))).capitalize() + "." for _ in range(count))
    return "\n\n".join(" ".join(next(lines) for _ in range(5)) for _ in range(count // 5))


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text file of some ten thousand tokens."""
    path = tmp_path_factory.mktemp("text") / "garden.txt"
    path.write_text(sentences(1500, seed=1), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> Path:
    """A GPT-2 of three layers with random weights, and a tokenizer made of the text."""
    folder = tmp_path_factory.mktemp("models") / "garden-gpt2"
    maker = ByteLevelBPETokenizer()
    maker.train([str(text_file)], vocab_size=320, special_tokens=["<|endoftext|>"], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=maker._tokenizer, eos_token="<|endoftext|>", bos_token="<|endoftext|>")
    size = maker.get_vocab_size()
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=size, n_positions=64, n_embd=24, n_layer=3, n_head=3, n_inner=40, bos_token_id=0, eos_token_id=0,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, loss_type="ForCausalLM",
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def recipe(model_folder: Path, text_file: Path) -> Recipe:
    """A recipe on that model and that text which runs in a second or two."""
    return Recipe.model_validate(
        {
            "model": str(model_folder),
            "corpus": f"file:{text_file}",
            "tuning": {"steps": 4, "batch_size": 4, "sequence_length": 32, "learning_rate": 1e-3},
            "calibration": {"tokens": 512, "sequence_length": 32},
            "evaluation": {"tokens": 512, "sequence_length": 32},
            "prompt": "The old tree",
            "device": "cpu",
        }
    )
