"""What plain transformers reads of a cut model: the same logits from zeros, or a smaller model where its config can say so."""

import pytest
import torch

from engine.models.anatomy import dissect, family_of
from engine.models.biases import give_bias
from engine.models.narrow import hollow, kept_of
from engine.models.plain import smaller, zeroed
from engine.pruning.cut import cut
from engine.pruning.plan import Plan
from engine.record.errors import BadInput
from tests.families import FAMILIES, NAMES, every_head, groups, logits, make, tokens

SAME = {"rtol": 0, "atol": 1e-10}
# Which families have words for fewer heads, for fewer neurons, and for a bias of either output projection that has none.
HEADS = ("llama", "mistral", "qwen2", "qwen3", "smollm3", "gemma")
ATTENTION_BIAS, MLP_BIAS = ("opt", "gpt_neox", "llama", "qwen3", "smollm3", "gemma"), ("opt", "llama", "smollm3")


def uniform(anatomy, heads, neurons):
    """The first key-value groups and the first neurons of every layer."""
    chosen = groups(anatomy, *((layer.index, group) for layer in anatomy.layers for group in range(heads)))
    return Plan(chosen, {(layer.index, neuron) for layer in anatomy.layers for neuron in range(neurons)})


def ragged(anatomy):
    """All heads of the first layer that may go, one group of the last, and other neurons in each."""
    last = len(anatomy.layers) - 1
    return Plan(every_head(anatomy, 0) | groups(anatomy, (last, 0)), {(0, 1), (0, 4), (last, 2)})


@pytest.mark.parametrize("name", NAMES)
def test_a_zeroed_model_has_the_shapes_of_the_dense_one_and_the_logits_of_the_cut_one(name):
    """For every family and odd option, ragged and with a layer without heads; ties and buffers as they were."""
    model = make(name)
    small = cut(model, ragged(dissect(model)))
    made = zeroed(small)
    assert made.left_out == ()
    assert {key: one.shape for key, one in made.model.state_dict().items()} == {
        key: one.shape for key, one in model.state_dict().items()
    }
    torch.testing.assert_close(logits(made.model), logits(small), **SAME)
    ends = made.model.get_input_embeddings().weight, made.model.get_output_embeddings().weight
    assert (ends[0] is ends[1]) == model.config.tie_word_embeddings
    assert dissect(made.model) == dissect(model) and not made.model.training


@pytest.mark.parametrize("name", FAMILIES)
def test_what_went_is_zero_on_both_sides(name):
    """Not merely without effect: the rows that made a unit are zero as well, and compress to nothing."""
    model = make(name)
    made = zeroed(cut(model, Plan(neurons={(0, 3), (0, 4)}))).model
    layer = dissect(made).layers[0]
    output = made.get_submodule(layer.mlp_output)
    weight = output.weight if output.weight.shape[1] == layer.neurons else output.weight.T  # [out, neurons]
    assert weight[:, 3:5].abs().max() == 0 and weight[:, 5].abs().max() > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_with_everything_closed_is_zeroed_too(name):
    """No head and no neuron in any layer, where heads may all go."""
    model = make(name)
    anatomy = dissect(model)
    neurons = {(layer.index, neuron) for layer in anatomy.layers for neuron in range(layer.neurons)}
    small = cut(model, Plan(every_head(anatomy), neurons))
    torch.testing.assert_close(logits(zeroed(small).model), logits(small), **SAME)


@pytest.mark.parametrize("name", FAMILIES)
def test_fewer_neurons_in_every_layer_are_a_plain_model_in_every_family(name):
    """With a config of its own, and the very logits."""
    model = make(name)
    small = cut(model, uniform(dissect(model), 0, 7))
    made = smaller(small).model
    assert torch.equal(logits(made), logits(small))
    assert dissect(hollow(type(made), made.config)) == dissect(made)
    assert [layer.neurons for layer in dissect(made).layers] == [13, 13]
    assert made.num_parameters() == small.num_parameters() and model.config.to_dict() == small.config.to_dict()


@pytest.mark.parametrize("name", FAMILIES)
def test_fewer_heads_are_a_plain_model_where_the_config_knows_the_width_of_a_head(name):
    """Llama and its like do; GPT-2, OPT and GPT-NeoX divide the hidden size by the number of heads."""
    model = make(name)
    small = cut(model, uniform(dissect(model), 1, 7))
    if name in HEADS:
        assert torch.equal(logits(smaller(small).model), logits(small))
    else:
        with pytest.raises(BadInput, match=r"(no words for|No plain config)"):
            smaller(small)


@pytest.mark.parametrize("name", [f"{name}-grouped" for name in HEADS])
def test_fewer_groups_are_fewer_heads_of_each(name):
    """The heads of a group stay together."""
    model = make(name)
    small = cut(model, uniform(dissect(model), 1, 0))
    made = smaller(small).model
    assert torch.equal(logits(made), logits(small))
    before, after = dissect(model).layers[0], dissect(made).layers[0]
    assert (after.groups, after.heads) == (before.groups - 1, before.heads - before.heads // before.groups)
    generated = [each.generate(tokens(1, 4), max_new_tokens=6, do_sample=False) for each in (made, small)]
    assert torch.equal(*generated)


def test_a_config_that_forbids_the_number_of_heads_is_refused_in_its_words():
    """Llama wants the hidden size to be a multiple of the number of heads, even where it knows their width: 36 is none of 8."""
    model = make("llama-ungrouped-nine-heads")
    anatomy = dissect(model)
    assert smaller(cut(model, uniform(anatomy, 3, 0))).model.config.num_attention_heads == 6
    with pytest.raises(BadInput, match="No plain config of the type llama has 8 heads: .*not a multiple"):
        smaller(cut(model, uniform(anatomy, 1, 0)))


@pytest.mark.parametrize("name", FAMILIES)
def test_ragged_and_empty_layers_are_no_plain_model(name):
    """The sentence says which it is."""
    model = make(name)
    with pytest.raises(BadInput, match="differ in width"):
        smaller(cut(model, Plan(neurons={(0, 0)})))
    with pytest.raises(BadInput, match="knows no zero"):
        smaller(cut(model, uniform(dissect(model), 0, 20)))


@pytest.mark.parametrize("name", [*FAMILIES, "opt-no-bias", "gpt_neox-no-bias"])
@pytest.mark.parametrize("part", ["attention", "mlp"])
def test_an_added_bias_is_kept_where_the_config_has_a_word_for_it(name, part):
    """Exactly, with zeros for those that come along; where it has none, the bias is named, and the smaller model is refused."""
    model = make(name)
    anatomy, (family, _) = dissect(model), family_of(model)
    path = getattr(anatomy.layers[1], f"{part}_output")
    module = model.get_submodule(path)
    if module.bias is not None:
        pytest.skip(f"the {part} of {name} has its bias")
    give_bias(module)
    with torch.no_grad():
        module.bias.normal_(generator=torch.Generator().manual_seed(3))
    small = cut(model, uniform(anatomy, 0, 4))
    made = zeroed(small)
    if family in (ATTENTION_BIAS if part == "attention" else MLP_BIAS):
        assert made.left_out == ()
        torch.testing.assert_close(logits(made.model), logits(small), **SAME)
        torch.testing.assert_close(logits(smaller(small).model), logits(small), **SAME)
    else:
        assert made.left_out == (f"{path}.bias",)
        assert (logits(made.model) - logits(small)).abs().max() > 1e-3
        with pytest.raises(BadInput, match="no words for the bias"):
            smaller(small)


def test_a_weight_that_has_no_place_is_not_dropped():
    """A bias that somebody gave to a projection which makes queries."""
    model = make("llama")
    give_bias(model.get_submodule(dissect(model).layers[0].attention_inputs[0].path))
    with pytest.raises(BadInput, match="q_proj.bias' is a weight for which the config of this LlamaForCausalLM has no place"):
        zeroed(model)


def test_the_given_model_stays_as_it_is():
    """Nothing is shared with what is made of it."""
    small = cut(make("gpt2"), Plan(neurons={(0, 0), (1, 0)}))
    before, kept = logits(small), kept_of(small)
    for made in (zeroed(small).model, smaller(small).model):
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.zero_()
    assert torch.equal(logits(small), before) and kept_of(small) == kept
