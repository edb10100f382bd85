"""The model card says what `pruning.json` says, and what was not measured it does not say."""

import json
import re

import pytest
import yaml

from engine.models.anatomy import dissect
from engine.pruning.checkpoint import save
from engine.pruning.cut import cut
from engine.pruning.export import export
from engine.pruning.plan import Plan
from engine.record.costs import Latency, Memory
from engine.record.events import ModelCut
from tests.families import groups, make

LATENCY = (Latency(1, 256, 0.01, 0.012, 7), Latency(8, 256, 0.1, 0.06, 7), Latency(8, 256, 0.02, 0.01, 7, "decode"))
MEMORY = (Memory(1, 256, 5_000_000, None), Memory(8, 256, 40_000_000, 30_000_000))
CUT = ModelCut(
    *(1000, 600, 4000, 2400, LATENCY, 1e-6, MEMORY, 4_100_000, 2_500_000),
    machine="cpu (x86_64, 2 threads), float32, torch 2.13.0",
    file_stored=2_060_000,
)
ABOUT = {
    "base": {"model": "somebody/a-model@main", "revision": "0123abc"},
    "espalier": "0.1.0",
    "recipe": {"model": "somebody/a-model", "seed": 7, "criterion": "activation"},
    "history": [{"reason": "prune"}, {"reason": "tune"}],
    "protocol": {"corpus": "wikipedia-sample", "tokens": 16320, "sequence_length": 256, "dtype": "float32"},
    "results": {"perplexity": {"baseline": 20.0, "pruned": 31.456}, "cut": CUT},
}


@pytest.fixture
def small():
    """A model with grouped keys of which a group and two neurons are gone."""
    model = make("llama-grouped")
    return cut(model, Plan(groups(dissect(model), (0, 1)), {(0, 0), (1, 2)}))


def front(text: str) -> dict:
    """The block of YAML at the top."""
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])


def test_a_card_tells_what_went_what_it_costs_and_how_to_do_it_again(small, tmp_path):
    """Numbers with their protocol and their machine, one line to load it, one command."""
    save(small, tmp_path / "my-model", about=ABOUT)
    text = (tmp_path / "my-model" / "README.md").read_text()
    assert front(text) == {"pipeline_tag": "text-generation", "tags": ["espalier", "pruned"], "base_model": "somebody/a-model"}
    for words in (
        "# a-model@main, pruned",
        "`somebody/a-model@main` (commit 0123abc)",
        "| 0 | 4 of 6 | 2 of 3 | 19 of 20 |",
        "| 1 | 6 of 6 | 3 of 3 | 19 of 20 |",
        'load_pruned("my-model")',
        "| baseline | 20.00 |",
        "| pruned | 31.46 |",
        'corpus "wikipedia-sample", tokens 16320, sequence length 256, dtype "float32"',
        "| parameters | 1,000 | 600 | 0.60 |",
        "| `model.safetensors` in float32 | 4.1 MB | 2.5 MB | 0.61 |",
        "| reading 8 × 256 tokens | 100.0 ms | 60.0 ms | 0.60 |",
        "| adding a token to 8 × 256 tokens | 20.0 ms | 10.0 ms | 0.50 |",
        "| memory for reading 8 × 256 tokens | 40.0 MB | 30.0 MB | 0.75 |",
        "Measured on cpu (x86_64, 2 threads), float32, torch 2.13.0.",
        "No speed-up was measured at reading 1 × 256 tokens. As it is stored, the dense model has 2.1 MB of weights.",
        "Done in order: prune, then tune.",
        """printf %s '{"model": "somebody/a-model", "seed": 7}' | python -m engine run -""",
    ):
        assert words in text, words
    assert "memory for reading 1 × 256" not in text, "half of it was not measured"
    assert "AutoModelForCausalLM" not in text


def test_a_card_of_which_nothing_is_known_says_so(small, tmp_path):
    """No base, no numbers, no command; and no name of the hub for a model that is not from there."""
    save(small, tmp_path / "model")
    text = (tmp_path / "model" / "README.md").read_text()
    assert text.count("Not measured.") == 2 and "base_model" not in front(text) and "Do it again" not in text
    save(small, tmp_path / "model", about={"base": {"model": "/home/somebody/secret/garden-gpt2"}})
    text = (tmp_path / "model" / "README.md").read_text()
    assert "`garden-gpt2`" in text and "secret" not in text and "base_model" not in front(text)


def test_a_card_says_which_program_reads_the_folder(small, tmp_path):
    """Both where both do; a dense one owns up to being no smaller."""
    model = make("gpt2")
    even = cut(model, Plan(neurons={(0, 1), (1, 5)}))
    for name, given, dense in (("ours", small, False), ("both", even, False), ("theirs", small, True)):
        export(given, tmp_path / name, dense=dense)
    texts = {name: (tmp_path / name / "README.md").read_text() for name in ("ours", "both", "theirs")}
    assert {name: (f'load_pruned("{name}")' in text, f'from_pretrained("{name}")' in text) for name, text in texts.items()} == {
        "ours": (True, False),
        "both": (True, True),
        "theirs": (False, True),
    }
    assert {name: "neither smaller nor faster" in text for name, text in texts.items()} == {
        "ours": False,
        "both": False,
        "theirs": True,
    }
    assert front(texts["both"])["library_name"] == front(texts["theirs"])["library_name"] == "transformers"


def test_the_card_agrees_with_the_record(small, tmp_path):
    """The units left, layer by layer, are as many as pruning.json lists."""
    save(small, tmp_path / "model", about=ABOUT)
    facts = json.loads((tmp_path / "model" / "pruning.json").read_text())
    rows = re.findall(
        r"^\| (\d+) \| (\d+) of \d+ \| (\d+) of \d+ \| (\d+) of \d+ \|$", (tmp_path / "model" / "README.md").read_text(), re.M
    )
    assert [tuple(map(int, row[1:])) for row in rows] == [
        (len(layer["heads"]), len(layer["groups"]), len(layer["neurons"])) for layer in facts["layers"]
    ]
