"""Sampling: the same text and the same surprise as the plain loop without a cache."""

import pytest
import torch

from engine.record.errors import BadInput
from engine.text.sample import pieces, sample
from tests.elsewhere import elsewhere
from tests.engine.text.alphabet import tokenizer
from tests.families import CLASSES, FAMILIES
from tests.families import CONFIGS as SMALL

PROMPT = "the tree"


def small_model(family, dtype=torch.float64):
    """A random model of `family` whose vocabulary is that of the test tokenizer."""
    config = SMALL[family]()
    config.vocab_size, config.initializer_range, config.init_std = 300, 0.5, 0.5
    torch.manual_seed(0)
    return CLASSES[family](config).to(dtype).eval()


def plain_loop(model, ids, count, seed, temperature, end):
    """Sample without a cache, one whole forward pass a token."""
    generator = torch.Generator().manual_seed(seed)
    ids = list(ids)
    with torch.no_grad():
        for _ in range(count):
            logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1].double()
            token = int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator))
            if token == end:
                break
            ids.append(token)
    return ids


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("temperature", [0.8, 1.7])
def test_it_is_the_plain_loop(family, temperature):
    """The cache changes no token."""
    model, reader = small_model(family), tokenizer()
    ids = plain_loop(model, reader(PROMPT)["input_ids"], 12, 3, temperature, reader.eos_token_id)
    tokens = sample(model, reader, PROMPT, tokens=12, seed=3, temperature=temperature)
    assert "".join(token.text for token in tokens) == reader.decode(ids)
    assert len(tokens) == len(ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_surprise_is_transformers_loss_token_by_token(family):
    """The mean surprise of the text is the loss that transformers computes for it, and none is asked of the first token."""
    model, reader = small_model(family), tokenizer()
    ids = plain_loop(model, reader(PROMPT)["input_ids"], 12, 3, 0.5, reader.eos_token_id)
    with torch.no_grad():
        output = model(torch.tensor([ids]), use_cache=False)
    scores = output.logits[0].log_softmax(-1)
    surprises = [token.surprise for token in sample(model, reader, PROMPT, tokens=12, seed=3, temperature=0.5)]
    assert surprises[0] is None
    expected = [-scores[place, token].item() for place, token in enumerate(ids[1:])]
    assert surprises[1:] == pytest.approx(expected, abs=1e-9)


def test_temperature_zero_is_greedy():
    """The likeliest token each time, whatever the seed."""
    model, reader = small_model("gpt2"), tokenizer()
    ids = reader(PROMPT)["input_ids"]
    with torch.no_grad():
        for _ in range(8):
            ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    for seed in (0, 1):
        tokens = sample(model, reader, PROMPT, tokens=8, seed=seed, temperature=0)
        assert "".join(token.text for token in tokens) == reader.decode(ids)


def test_a_seed_is_a_text_and_the_global_generator_is_left_alone():
    """Two seeds differ, one repeats itself, and torch's own generator stands where it stood."""
    model, reader = small_model("opt"), tokenizer()
    before = torch.get_rng_state()
    one, again, other = (sample(model, reader, PROMPT, tokens=20, seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_given_back(training):
    """Also where the text was refused in the middle; and dropout, if any, is off while the text is sampled."""
    config = SMALL["gpt2"](vocab_size=300, resid_pdrop=0.5)
    model, reader = CLASSES["gpt2"](config).train(training), tokenizer()
    assert sample(model, reader, PROMPT, tokens=5) == sample(model, reader, PROMPT, tokens=5)
    assert model.training is training
    with torch.no_grad():
        model.transformer.ln_f.weight.fill_(float("nan"))
    with pytest.raises(BadInput, match="not finite"):
        sample(model, reader, PROMPT)
    assert model.training is training


def test_the_end_of_text_ends_the_text():
    """A model that always says so adds nothing."""
    model, reader = small_model("opt"), tokenizer()
    with torch.no_grad():
        model.model.decoder.final_layer_norm.weight.zero_()
        model.model.decoder.final_layer_norm.bias.copy_(model.lm_head.weight[reader.eos_token_id] * 1000)
    tokens = sample(model, reader, PROMPT, tokens=20)
    assert "".join(token.text for token in tokens) == PROMPT


@pytest.mark.parametrize("text", ["naïve café", "日本語のテキスト", "a 🌳 in a 🏡", "the tree", "\n\ttabs  and spaces ", "Ελλάς"])
def test_pieces_join_to_the_whole(text):
    """Characters of two to four bytes, spread over as many tokens, appear whole with the last of them."""
    reader = tokenizer()
    ids = reader(text)["input_ids"]
    parts = pieces(reader, ids)
    assert len(parts) == len(ids)
    assert "".join(parts) == text
    assert not any("\N{REPLACEMENT CHARACTER}" in part for part in parts)


def test_a_character_appears_with_its_last_byte():
    """Not with its first, when it could still have become another."""
    reader = tokenizer()
    assert pieces(reader, reader("🌳é")["input_ids"]) == ["", "", "", "🌳", "", "é"]


def test_pieces_of_broken_bytes_join_to_what_is_decoded():
    """A model may emit bytes that are no character; the text then shows what the tokenizer shows."""
    reader = tokenizer()
    for seed in range(20):
        ids = torch.randint(300, (30,), generator=torch.Generator().manual_seed(seed)).clamp(max=len(reader) - 1).tolist()
        assert "".join(pieces(reader, ids)) == reader.decode(ids)


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        ("", {}, "no tokens"),
        ("tree " * 100, {}, "shorten the prompt"),
        ("the tree", {"tokens": -1}, "tokens -1"),
        ("the tree", {"temperature": -0.1}, "temperature"),
        ("the tree", {"temperature": float("nan")}, "temperature"),
    ],
)
def test_what_cannot_be_sampled_is_refused(prompt, options, words):
    """One sentence says what was wrong and what to do."""
    with pytest.raises(BadInput, match=words):
        sample(small_model("gpt2"), tokenizer(), prompt, **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_text_ends_where_the_context_is_full(family):
    """To the last place: a model of a short context is sampled as far as it goes, and its text is the beginning of the same."""
    model, reader = small_model(family), tokenizer()
    context, read = model.config.max_position_embeddings, len(reader(PROMPT)["input_ids"])
    reader.eos_token_id = None  # else a model of chance ends its text before that
    tokens = sample(model, reader, PROMPT, tokens=1000, temperature=0)
    assert len(tokens) == context > read + 5
    assert tokens[: read + 5] == sample(model, reader, PROMPT, tokens=5, temperature=0)


def test_a_prompt_that_leaves_no_place_for_a_new_token_is_refused():
    """At the limit; one token less is taken."""
    model, reader = small_model("gpt2"), tokenizer()
    letters = "x" * model.config.max_position_embeddings
    assert len(reader(letters)["input_ids"]) == len(letters)
    with pytest.raises(BadInput, match=f"has {len(letters)} tokens, and this model takes {len(letters)} in all"):
        sample(model, reader, letters)
    assert len(sample(model, reader, letters[1:])) == len(letters)


def test_a_token_that_the_model_does_not_know_is_named():
    """The tokenizer of another model; torch would say that an index is out of range."""
    model, reader = small_model("gpt2"), tokenizer()
    model.resize_token_embeddings(50)
    with pytest.raises(BadInput, match=r"holds token \d+ of the tokenizer, and this model knows 0 to 49"):
        sample(model, reader, PROMPT)


def test_every_module_keeps_its_mode():
    """Also one that stands apart from the model around it."""
    model, reader = small_model("gpt2").train(), tokenizer()
    model.transformer.h[0].eval()
    before = [module.training for module in model.modules()]
    sample(model, reader, PROMPT, tokens=2)
    assert [module.training for module in model.modules()] == before


@pytest.mark.parametrize("family", FAMILIES)
def test_a_device_without_float64_writes_the_same(family):
    """Probabilities in float64 are made of logits that are on the CPU by then. Shown by tensors that refuse float64 while they
    are not, not by such a device."""
    model = small_model(family, torch.float32)
    wanted = sample(model, tokenizer(), PROMPT, tokens=5)
    assert sample(elsewhere(model), tokenizer(), PROMPT, tokens=5) == wanted


@pytest.mark.parametrize("count, passes", [(0, 1), (1, 1), (5, 5)])
def test_no_pass_is_made_that_nobody_reads(count, passes):
    """One over the prompt, and one over each new token that another follows."""
    model, made = small_model("gpt2"), []
    model.register_forward_hook(lambda *_: made.append(1))
    assert len(sample(model, tokenizer(), PROMPT, tokens=count)) == len(sample(model, tokenizer(), PROMPT, tokens=0)) + count
    assert len(made) == passes + 1
