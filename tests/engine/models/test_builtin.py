"""The built-in models: what lies in their folders is what their cards say, and the script that makes them works."""

import json
import logging
import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.evaluation.perplexity import evaluate
from engine.models.builtin import train
from engine.models.builtin.architectures import CONFIGS, CONTEXT, VOCABULARY
from engine.models.builtin.card import TEXT
from engine.text.blocks import pack
from engine.text.corpora import Splits, read_corpus
from engine.text.corpora.wikipedia_sample import pretraining
from engine.text.sample import sample

HERE = Path(train.__file__).parent
CLASSES = {"gpt2-tiny": "GPT2LMHeadModel", "opt-tiny": "OPTForCausalLM", "pythia-tiny": "GPTNeoXForCausalLM"}


@pytest.fixture(scope="module")
def wikipedia():
    """The sample, read once for this file."""
    return read_corpus("wikipedia-sample")


def card(name):
    """The numbers of one model."""
    return json.loads((HERE / name / "card.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CONFIGS)
def test_it_loads_as_the_architecture_it_is_named_for(name, caplog, capfd):
    """transformers makes the real class from the folder alone, has nothing to warn of, and finds six layers of six heads."""
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        model = AutoModelForCausalLM.from_pretrained(HERE / name, dtype=torch.float32)
        reader = AutoTokenizer.from_pretrained(HERE / name)
        blocks = pack(["the tree . " * 300], reader, 64)
        model.generate(blocks[:1], attention_mask=torch.ones_like(blocks[:1]), max_new_tokens=2, do_sample=False)
        evaluate(model, torch.zeros(1, 8, dtype=torch.long))  # end-of-text at the edge of a block is no padding
    finally:
        logger.removeHandler(caplog.handler)
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "warn" not in capfd.readouterr().err.lower()
    assert type(model).__name__ == CLASSES[name] == card(name)["architecture"]
    assert (model.config.num_hidden_layers, model.config.num_attention_heads) == (6, 6)
    assert (model.config.max_position_embeddings, model.config.vocab_size) == (CONTEXT, len(reader))
    assert sum(parameter.numel() for parameter in model.parameters()) == card(name)["parameters"]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_folder_holds_one_small_file_of_half_precision(name):
    """Every weight is float16 and finite, in one safetensors file below 5 MB; nothing in the folder needs unpickling."""
    file = HERE / name / "model.safetensors"
    assert file.stat().st_size == card(name)["bytes"] < 5_000_000
    with safe_open(file, "pt") as weights:
        tensors = [weights.get_tensor(key) for key in weights.keys()]
    assert {tensor.dtype for tensor in tensors} == {torch.float16}
    assert all(tensor.isfinite().all() for tensor in tensors)
    assert {path.suffix for path in (HERE / name).iterdir()} == {".json", ".md", ".safetensors"}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_tokenizer_gives_back_what_it_read(name):
    """Byte-level: any text survives, also one with characters that the training part never had; one token ends a text."""
    reader = AutoTokenizer.from_pretrained(HERE / name)
    for text in ("The history of the tree.", "  naïve\tcafé\n\n日本語 🌳", "x = [1, 2];"):
        assert reader.decode(reader(text)["input_ids"]) == text
    assert reader.eos_token_id == reader.bos_token_id == reader.pad_token_id == 0
    assert reader.all_special_tokens == ["<|endoftext|>"]


@pytest.mark.parametrize("name", CONFIGS)
def test_its_readme_is_its_card(name):
    """No number in the README was typed by hand."""
    assert (HERE / name / "README.md").read_text(encoding="utf-8") == TEXT.format(**card(name))


@pytest.mark.parametrize("name", CONFIGS)
def test_it_has_learnt_english_that_it_has_not_read(name, wikipedia):
    """Perplexity on the first 4,096 tokens of the evaluation part is below 160, and a sample has words of English."""
    model = AutoModelForCausalLM.from_pretrained(HERE / name, dtype=torch.float32)
    reader = AutoTokenizer.from_pretrained(HERE / name)
    assert evaluate(model, pack(wikipedia.evaluation, reader, CONTEXT, limit=4096)).perplexity < 160
    text = "".join(token.text for token in sample(model, reader, "The history of", tokens=60, seed=1))
    known = {word.lower() for article in pretraining() for word in article.split()}
    words = text.split()
    assert sum(word.lower() in known for word in words) > 0.7 * len(words)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_its_perplexity_is_that_of_its_card(name, wikipedia):
    """By the card's own protocol: the whole evaluation part in packed blocks of the context, float32."""
    model = AutoModelForCausalLM.from_pretrained(HERE / name, dtype=torch.float32)
    blocks = pack(wikipedia.evaluation, AutoTokenizer.from_pretrained(HERE / name), CONTEXT)
    result = evaluate(model, blocks)
    assert result.tokens == card(name)["evaluation_tokens"]
    assert result.perplexity == pytest.approx(card(name)["perplexity"], rel=1e-3)


def test_three_steps_of_training_leave_a_model_and_its_card(tmp_path):
    """The script, on a few invented pages, saves what loads again, and the card is measured on the files as saved."""
    pages = tuple(
        f"The {word} of the garden grew by the {word} wall for {number} years. " * 60 for number, word in enumerate("abcdef")
    )
    splits = Splits("pages", (), pages[4:5], pages[5:], "none")
    written = train.train("pythia-tiny", pages[:4], splits, tmp_path / "pythia-tiny", steps=3)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "pythia-tiny", dtype=torch.float32)
    reader = AutoTokenizer.from_pretrained(tmp_path / "pythia-tiny")
    result = evaluate(model, pack(splits.evaluation, reader, CONTEXT))
    assert written == json.loads((tmp_path / "pythia-tiny" / "card.json").read_text(encoding="utf-8"))
    assert written["perplexity"] == pytest.approx(result.perplexity, abs=0.01)
    assert written["perplexity"] < VOCABULARY


def test_the_learning_rate_rises_to_its_peak_and_falls():
    """From nearly nothing to the peak at the end of the warm-up, then down to a twentieth."""
    shares = [train.schedule(step, 1000) for step in range(1000)]
    assert max(shares) == shares[train.WARM_UP] == 1.0
    assert shares[0] == 1 / train.WARM_UP
    assert shares[-1] == pytest.approx(0.05, abs=1e-3)


def test_every_parameter_is_trained_once():
    """Between them the optimizers hold each parameter, tied ones once, and Muon only the matrices inside the layers."""
    for make in CONFIGS.values():
        model = AutoModelForCausalLM.from_config(make())
        held = [[p for group in optimizer.param_groups for p in group["params"]] for optimizer in train.optimizers(model)]
        assert {id(p) for p in model.parameters()} == {id(p) for part in held for p in part}
        assert sum(map(len, held)) == len(list(model.parameters()))
        layers = 4 * 144 * 144 + 2 * 144 * 576  # Q, K, V and O, and the two matrices of the MLP
        assert sum(p.numel() for p in held[0]) == 6 * layers


def test_epochs_are_shuffled_and_reproducible():
    """The same seed gives the same batches; every batch is of whole blocks of consecutive tokens; epochs differ."""
    stream = torch.arange(CONTEXT * (train.BATCH * 2 + 1))
    first, again = ([batch for batch, _ in zip(train.epochs(stream, seed), range(4), strict=False)] for seed in (5, 5))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert all((batch.diff(dim=1) == 1).all() and batch.shape == (train.BATCH, CONTEXT) for batch in first)
    assert first[0][0, 0] % CONTEXT != first[2][0, 0] % CONTEXT
    assert math.prod(first[0].shape) == train.BATCH * CONTEXT
