"""The hub that tests play: transformers must be able to load a model from it by its id."""

import json
import subprocess
import sys

from tests.engine.text.alphabet import tokenizer
from tests.fakehub import environment, serve
from tests.families import CLASSES
from tests.families import CONFIGS as SMALL

LOAD = """
import json
from transformers import AutoModelForCausalLM, AutoTokenizer
model, tokenizer = AutoModelForCausalLM.from_pretrained("org/small"), AutoTokenizer.from_pretrained("org/small")
total = sum(parameter.double().sum().item() for parameter in model.parameters())
print(json.dumps([type(model).__name__, total, tokenizer("the tree")["input_ids"]]))
"""


def test_transformers_loads_a_model_by_its_id(tmp_path):
    """Config, weights and tokenizer arrive whole in a process that knows no other hub."""
    model, reader = CLASSES["gpt2"](SMALL["gpt2"](vocab_size=300)), tokenizer()
    model.save_pretrained(tmp_path / "hub" / "models" / "org" / "small")
    reader.save_pretrained(tmp_path / "hub" / "models" / "org" / "small")
    with serve(tmp_path / "hub") as hub:
        command = [sys.executable, "-c", LOAD]
        known = environment(hub.address, tmp_path / "home")
        loaded = subprocess.run(command, env=known, capture_output=True, text=True, timeout=120)
        assert loaded.returncode == 0, loaded.stderr
        assert any("model.safetensors" in request for request in hub.requests)
    name, total, ids = json.loads(loaded.stdout)
    assert name == "GPT2LMHeadModel"
    assert abs(total - sum(parameter.double().sum().item() for parameter in model.parameters())) < 1e-6
    assert ids == reader("the tree")["input_ids"]
