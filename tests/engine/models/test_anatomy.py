"""The anatomy says what is really there, whatever the family, its odd options, the dtype or the device."""

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GemmaForCausalLM,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from engine.models.anatomy import dissect, head_features, matrix
from engine.pruning.cut import cut
from engine.pruning.plan import Plan
from engine.record.catalogue import FAMILIES as REGISTRY
from engine.record.errors import BadInput
from tests.families import CLASSES, CONFIGS, CONTEXT, FAMILIES, NAMES, VOCABULARY, gpt2, like_llama, make, tokens


def test_every_family_of_the_folder_has_a_plain_model_in_the_tests():
    """What must hold for all of them is tried with a new one too; without a config in `tests.families` this fails."""
    assert (
        {name.replace("-", "_") for name in REGISTRY.names()}
        == set(FAMILIES)
        == {CONFIGS[name]().model_type for name in FAMILIES}
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_anatomy_counts_what_the_config_asked_for(name):
    """Depth, heads, head width, neurons, context and vocabulary are those of the config; shared tensors count once."""
    model = make(name)
    config, anatomy = model.config, dissect(model)
    neurons = {"gpt2": "n_inner", "opt": "ffn_dim"}.get(config.model_type, "intermediate_size")
    facts = config.to_dict()
    assert anatomy.family == config.model_type
    assert len(anatomy.layers) == config.num_hidden_layers
    assert {layer.heads for layer in anatomy.layers} == {config.num_attention_heads}
    assert {layer.groups for layer in anatomy.layers} == {facts.get("num_key_value_heads", config.num_attention_heads)}
    width = facts.get("head_dim") or config.hidden_size // config.num_attention_heads
    assert {layer.head_width for layer in anatomy.layers} == {width}
    assert {layer.neurons for layer in anatomy.layers} == {getattr(config, neurons) or 4 * config.hidden_size}
    assert (anatomy.context, anatomy.vocabulary) == (CONTEXT, VOCABULARY)
    assert anatomy.parameters == model.num_parameters() == sum({id(p): p.numel() for p in model.parameters()}.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_path_leads_to_a_module_of_its_layer(name):
    """The dotted paths are found from the model's root, and the output projections take what the anatomy says they take."""
    model = make(name)
    for layer in dissect(model).layers:
        assert f".{layer.index}" in layer.attention and f".{layer.index}" in layer.mlp
        assert model.get_submodule(layer.attention).layer_idx == layer.index
        assert matrix(model.get_submodule(layer.attention_output)).shape[1] == layer.heads * layer.head_width
        assert matrix(model.get_submodule(layer.mlp_output)).shape[1] == layer.neurons
        assert model.get_submodule(layer.mlp) is not None


@pytest.mark.parametrize("name", NAMES)
def test_the_groups_divide_the_input_projections_between_them(name):
    """Every output feature of an attention input belongs to exactly one group, and every head to one."""
    model = make(name)
    for layer in dissect(model).layers:
        assert [head for group in layer.head_groups for head in group] == list(range(layer.heads))
        assert len(layer.head_groups) == layer.groups and len({len(group) for group in layer.head_groups}) == 1
        for projection in layer.attention_inputs:
            features = [at for group in layer.head_groups for at in head_features(projection, layer, group)]
            assert sorted(features) == list(range(matrix(model.get_submodule(projection.path)).shape[0]))


@pytest.mark.parametrize("name", NAMES)
def test_what_goes_with_a_group_is_more_than_its_heads_alone_where_they_share_a_key(name):
    """By the width of one key and one value and their biases; the norms of a layer's heads are counted apart."""
    model = make(name)
    layer = dissect(model).layers[0]
    size, alone = layer.heads // layer.groups, layer.head_parameters * layer.heads // layer.groups
    if size == 1:
        assert layer.group_parameters == layer.head_parameters
    else:
        key = model.get_submodule(layer.attention).k_proj
        assert layer.group_parameters - alone == 2 * layer.head_width * (key.in_features + (key.bias is not None))
    assert layer.norm_parameters == (2 * layer.head_width if name.startswith("qwen3") else 0)


@pytest.mark.parametrize("name", NAMES)
def test_only_a_layer_that_was_built_with_one_shared_group_keeps_its_heads(name):
    """A single head shares with nobody, and may go."""
    for layer in dissect(make(name)).layers:
        assert layer.keeps_heads == name.endswith("-one-group")
        assert layer.removable_groups == (() if layer.keeps_heads else layer.head_groups)


@pytest.mark.parametrize(
    ("name", "windows"),
    [
        ("gpt2", [None, None]),
        ("llama-told-of-a-window", [None, None]),  # it does not look at that entry
        ("mistral-window", [4, 4]),
        ("mistral-window-kinds-unread", [4, 4]),
        ("mistral-tied-narrow-heads", [None, None]),
        ("qwen2", [None, None]),
        ("qwen2-window-above", [None, 4, 4]),
        ("qwen3-window-above", [None, 4]),
        ("smollm3-window", [4, None, 4]),
    ],
)
def test_the_window_of_a_layer_is_what_its_attention_sees(name, windows):
    """The columns of the last row that are not masked, and None where that is all of them."""
    model = make(name)
    assert [layer.window for layer in dissect(model).layers] == windows
    model.set_attn_implementation("eager")
    attentions = model(tokens(1, 9), output_attentions=True, use_cache=False).attentions
    assert [int((weights[0, 0, -1] > 0).sum()) for weights in attentions] == [window or 9 for window in windows]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtype_and_mode_do_not_matter(name, dtype):
    """A half-precision model in training mode has the same anatomy."""
    assert dissect(make(name).to(dtype).train()) == dissect(make(name))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_without_memory_has_an_anatomy(name):
    """Shapes are enough: a model on the meta device is described like any other."""
    config = CONFIGS[name]()
    with torch.device("meta"):
        model = CLASSES[name](config)
    assert dissect(model) == dissect(make(name))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_cut_model_is_described_layer_by_layer(name):
    """Ragged widths, a layer without heads and one without neurons are read from the weights that are left."""
    model = make(name)
    plan = Plan(heads={(0, 0), (0, 1), (0, 2), (1, 1)}, neurons={(0, 5)} | {(1, n) for n in range(20)})
    first, second = dissect(cut(model, plan)).layers
    assert (first.heads, first.groups, first.neurons, first.attention_inputs) == (0, 0, 19, ())
    assert (second.heads, second.groups, second.neurons, second.head_width) == (2, 2, 0, 4)
    assert first.head_parameters == 0
    assert second.head_parameters == dissect(model).layers[1].head_parameters
    assert second.neuron_parameters == dissect(model).layers[1].neuron_parameters


def refused():
    """Models that are no plain causal language model of a supported family, by what they are."""
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 30}
    t5 = T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=30)
    return {
        "encoder": lambda: BertForMaskedLM(BertConfig(**small)),
        "seq2seq": lambda: T5ForConditionalGeneration(t5),
        "no language-model head": lambda: GPT2LMHeadModel(gpt2()).transformer,
        "classifier": lambda: GPT2ForSequenceClassification(gpt2()),
        "mixture of experts": lambda: MixtralForCausalLM(
            MixtralConfig(**small, num_local_experts=2, num_key_value_heads=1, pad_token_id=None)
        ),
        "mixture of Qwen2's experts": lambda: Qwen2MoeForCausalLM(
            Qwen2MoeConfig(**small, num_experts=2, num_key_value_heads=1, moe_intermediate_size=4)
        ),
        "cross-attention": lambda: GPT2LMHeadModel(gpt2(add_cross_attention=True)),
        "encoder and decoder": lambda: GPT2LMHeadModel(gpt2(is_encoder_decoder=True)),
        "bidirectional": lambda: GemmaForCausalLM(like_llama("Gemma", use_bidirectional_attention=True)),
        "no transformer": lambda: torch.nn.Linear(2, 2),
    }


@pytest.mark.parametrize("kind", refused())
def test_other_models_are_refused_with_the_supported_types(kind):
    """One sentence names the class that was given and the types that are supported."""
    with pytest.raises(BadInput) as refusal:
        dissect(refused()[kind]())
    assert all(name in str(refusal.value) for name in FAMILIES)
    assert str(refusal.value).count(". ") == 0


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("cross-attention", "attends to an encoder"),
        ("encoder and decoder", "an encoder with a decoder"),
        ("bidirectional", "is an encoder"),
    ],
)
def test_a_supported_class_that_its_config_makes_another_model_is_refused(kind, said):
    """GPT-2 with cross-attention is half of a sequence-to-sequence model; Gemma with bidirectional attention only reads."""
    with pytest.raises(BadInput, match=said):
        dissect(refused()[kind]())


def test_quantised_weights_are_refused():
    """Weights in integers or in eight bits cannot be pruned by their values."""
    model = make("opt")
    fc1 = model.get_submodule("model.decoder.layers.1.fc1")
    for dtype in (torch.int8, torch.float8_e4m3fn):
        fc1.weight = torch.nn.Parameter(fc1.weight.detach().to(dtype), requires_grad=False)
        with pytest.raises(BadInput, match=r"layers\.1\.fc1.*quantised"):
            dissect(model)


def test_widths_that_make_no_whole_heads_are_refused():
    """A projection that somebody else narrowed to a fraction of a head is not guessed at."""
    model = make("opt")
    output = model.get_submodule("model.decoder.layers.0.self_attn.out_proj")
    output.weight = torch.nn.Parameter(output.weight.detach()[:, :7])
    with pytest.raises(BadInput, match=r"7 features.*width of one head"):
        dissect(model)


def test_keys_that_serve_no_equal_number_of_heads_are_refused():
    """Attention would take a head to another's key."""
    model = make("llama-grouped")
    attention = model.get_submodule("model.layers.0.self_attn")
    for part, features in (("q_proj", 20), ("o_proj", 20)):
        weight = attention.get_submodule(part).weight.detach()
        narrower = weight[:features] if part == "q_proj" else weight[:, :features]
        attention.get_submodule(part).weight = torch.nn.Parameter(narrower)
    with pytest.raises(BadInput, match="5 heads and 3 keys"):
        dissect(model)


def test_projections_that_disagree_are_refused():
    """An attention input that makes other heads than the output takes belongs to no model that works."""
    model = make("gpt_neox")
    output = model.get_submodule("gpt_neox.layers.0.attention.dense")
    output.weight = torch.nn.Parameter(output.weight.detach()[:, :8])
    with pytest.raises(BadInput, match="query_key_value makes 36 features"):
        dissect(model)
