"""A cut model is really smaller and computes what the gated one computes, by itself and with the key-value cache."""

from copy import deepcopy

import pytest
import torch
from transformers import GPT2LMHeadModel

from engine.models.anatomy import dissect
from engine.models.narrow import kept_of
from engine.pruning.cut import cut
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan, parameters_removed
from engine.record.errors import BadInput
from tests.families import CLASSES, FAMILIES, NAMES, as_left, every_head, gpt2, gpt_neox, groups, logits, make, opt, tokens


def ragged(anatomy):
    """In each layer another number of units."""
    layers = anatomy.layers
    chosen = [(layer.index, group) for layer in layers for group in range((layer.index + 1) % layer.groups)]
    return Plan(groups(anatomy, *chosen), {(layer.index, n) for layer in layers for n in range(1, 12, layer.index + 2)})


def no_heads_first(anatomy):
    """The first layer loses every head."""
    return Plan(every_head(anatomy, 0), {(0, 2)})


def no_neurons_last(anatomy):
    """The last layer loses every neuron, and its first heads."""
    last = anatomy.layers[-1]
    return Plan(groups(anatomy, (last.index, 0)), {(last.index, n) for n in range(last.neurons)})


def nothing_left(anatomy):
    """Every layer loses everything: what remains is embeddings, norms and biases, and heads that share one group."""
    return Plan(every_head(anatomy), {(layer.index, n) for layer in anatomy.layers for n in range(layer.neurons)})


PLANS = [ragged, no_heads_first, no_neurons_last, nothing_left]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plan_of", PLANS)
def test_a_cut_model_has_the_logits_of_the_gated_one(name, plan_of):
    """In float64 to 1e-10, for every family and odd option, also where layers lose everything."""
    model = make(name)
    plan = plan_of(dissect(model))
    with Gates(model) as gates:
        gates.set(plan)
        gated = logits(model)
    assert torch.allclose(logits(cut(model, plan)), gated, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plan_of", [ragged, nothing_left])
def test_the_parameters_that_go_are_those_that_the_plan_announced(name, plan_of):
    """The count of a cut model, tied tensors once, is the dense count less `parameters_removed`."""
    model = make(name)
    anatomy = dissect(model)
    plan, smaller = plan_of(anatomy), cut(model, plan_of(anatomy))
    assert dissect(smaller).parameters == anatomy.parameters - parameters_removed(plan, anatomy)
    assert smaller.num_parameters() == dissect(smaller).parameters


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_plan_gives_the_same_logits_bit_for_bit(name):
    """Nothing to cut is a plain copy."""
    model = make(name)
    assert torch.equal(logits(cut(model, Plan())), logits(model))


# transformers' cache keeps no more of a Llama's keys than a sliding window that its attention does not have: of such a config the
# whole model generates otherwise with its cache than without.
@pytest.mark.parametrize("name", [name for name in NAMES if name != "llama-told-of-a-window"])
@pytest.mark.parametrize("plan_of", [ragged, no_heads_first])
def test_generation_with_the_cache_is_generation_without(name, plan_of):
    """Greedy and beyond a sliding window of 4, also where the layer that the cache counts by has no head left."""
    model = make(name)
    smaller = cut(model, plan_of(dissect(model)))
    options = {"max_new_tokens": 6, "do_sample": False}
    assert torch.equal(smaller.generate(tokens(2, 3), **options), smaller.generate(tokens(2, 3), use_cache=False, **options))


@pytest.mark.parametrize("name", [*FAMILIES, "llama-grouped", "mistral-window", "qwen2-window-below"])
@pytest.mark.parametrize("plan_of", [ragged, no_neurons_last, nothing_left])
@pytest.mark.parametrize("way", [{"do_sample": True, "top_k": 0}, {"num_beams": 2, "do_sample": False}])
def test_sampling_and_beams_with_the_cache_are_those_without(name, plan_of, way):
    """Ragged layers in one cache, reordered by beams, give the tokens that a fresh reading gives."""
    smaller = cut(make(name), plan_of(dissect(make(name))))
    texts = []
    for use_cache in (True, False):
        torch.manual_seed(0)
        texts.append(smaller.generate(tokens(2, 3), max_new_tokens=5, use_cache=use_cache, **way))
    assert torch.equal(*texts)


@pytest.mark.parametrize("name", [*FAMILIES, "llama-grouped", "mistral-window", "smollm3-window"])
def test_generation_of_a_batch_with_padding_on_the_left_is_that_of_the_gated_model(name):
    """Positions come from the attention mask and the cache together; a layer without heads must not shift them."""
    model = make(name)
    plan = no_heads_first(dissect(model))
    ids, mask = tokens(2, 6), torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
    options = {"attention_mask": mask, "max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    with Gates(model) as gates:
        gates.set(plan)
        gated = model.generate(ids, **options)
    assert torch.equal(cut(model, plan).generate(ids, **options), gated)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_given_model_is_untouched_and_shares_nothing(name):
    """Overwriting every number of the cut model leaves the dense one's logits as they were, and the other way round."""
    model = make(name)
    dense, plan = logits(model), Plan(heads={(0, 1)})
    smaller = cut(model, plan)
    narrow = logits(smaller)
    copy = cut(model, plan)
    with torch.no_grad():
        for tensor in (*copy.parameters(), *copy.buffers()):
            tensor.fill_(2.0)
    assert torch.equal(logits(model), dense)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(2.0)
    assert torch.equal(logits(smaller), narrow)


@pytest.mark.parametrize("name", FAMILIES)
def test_two_cuts_are_one_cut_along_the_union(name):
    """The second plan, given by original numbers, is translated; units that are gone already are left out."""
    model = make(name)
    first = Plan(heads={(0, 0), (1, 1)}, neurons={(0, 3), (1, 0), (1, 19)})
    second = Plan(heads={(0, 0), (0, 2)}, neurons={(0, 4), (1, 1), (1, 19)})
    halfway = cut(model, first)
    twice = cut(halfway, as_left(halfway, second))
    once = cut(model, Plan(first.heads | second.heads, first.neurons | second.neurons))
    assert torch.equal(logits(twice), logits(once))
    assert kept_of(twice) == kept_of(once)
    assert kept_of(once).heads == ((1,), (0, 2))


@pytest.mark.parametrize("name", NAMES)
def test_any_model_can_be_cut_again_until_nothing_is_left(name):
    """A group and a neuron of every layer, then all the rest: as if cut at once, whatever the architecture's options."""
    model = make(name)
    anatomy = dissect(model)
    every = every_head(anatomy), {(layer.index, neuron) for layer in anatomy.layers for neuron in range(layer.neurons)}
    first = cut(model, Plan(groups(anatomy, *((layer.index, 0) for layer in anatomy.layers)), {(0, 1)}))
    twice, once = cut(first, as_left(first, Plan(*every))), cut(model, Plan(*every))
    assert torch.equal(logits(twice), logits(once)) and kept_of(twice) == kept_of(once)
    assert not any(layer.neurons for layer in dissect(twice).layers)


GROUPED = ["llama-grouped", "qwen2-grouped", "qwen3-grouped", "gemma-wide-heads", "llama-nine-heads-three-groups"]


@pytest.mark.parametrize("name", GROUPED)
def test_two_cuts_of_groups_are_one_cut_along_the_union(name):
    """Also where the second one takes the last group of a layer, which the first one left alone there."""
    model = make(name)
    anatomy = dissect(model)
    first = Plan(groups(anatomy, (0, 0), (0, 2), (1, 1)), {(0, 3), (1, 0)})
    second = Plan(groups(anatomy, (0, 0), (0, 1), (1, 2)), {(0, 4), (1, 0)})
    halfway = cut(model, first)
    assert [layer.groups for layer in dissect(halfway).layers[:2]] == [1, 2]
    twice = cut(halfway, as_left(halfway, second))
    once = cut(model, Plan(first.heads | second.heads, first.neurons | second.neurons))
    assert torch.equal(logits(twice), logits(once))
    assert kept_of(twice) == kept_of(once)
    size = anatomy.layers[0].heads // 3
    assert kept_of(once).heads[:2] == ((), tuple(range(size)))


@pytest.mark.parametrize("name", GROUPED)
def test_every_group_can_go_alone_and_its_keys_and_values_go_with_it(name):
    """The keys that are left serve the heads that they served: the logits are those of the model with the group gated."""
    model = make(name)
    anatomy = dissect(model)
    for group in range(3):
        plan = Plan(groups(anatomy, (0, group), (1, group)))
        with Gates(model) as gates:
            gates.set(plan)
            gated = logits(model)
        smaller = cut(model, plan)
        assert torch.allclose(logits(smaller), gated, rtol=0, atol=1e-10)
        attention = smaller.get_submodule(dissect(smaller).layers[0].attention)
        assert attention.k_proj.out_features == attention.v_proj.out_features == 2 * anatomy.layers[0].head_width


@pytest.mark.parametrize("name", GROUPED)
def test_a_part_of_a_group_is_refused_with_its_heads(name):
    """By the cut and by the count of what it would take, in one sentence; a gate may close a single head."""
    model, heads = make(name), dissect(make(name)).layers[1].head_groups[1]
    named = f"{', '.join(map(str, heads[:-1]))} and {heads[-1]} share a key and a value"
    for action in (lambda plan: cut(model, plan), lambda plan: parameters_removed(plan, dissect(model))):
        with pytest.raises(BadInput, match=f"head {heads[0]} of layer 1, where heads {named}") as refusal:
            action(Plan(heads={(1, heads[0])}))
        assert str(refusal.value).count(". ") == 0
    with Gates(model) as gates:
        before = logits(model)
        gates.close(heads={(1, heads[0])})
        assert not torch.equal(logits(model), before)


@pytest.mark.parametrize("name", ["llama-one-group", "gemma-one-group"])
def test_a_layer_with_one_group_for_all_its_heads_keeps_it(name):
    """Nothing of it may go, whole or in part, and neurons may."""
    model = make(name)
    (group,) = dissect(model).layers[0].head_groups
    assert dissect(model).layers[0].removable_groups == ()
    for heads in (group, group[:2]):
        with pytest.raises(BadInput, match="only key-value group, which stays"):
            cut(model, Plan(heads={(0, head) for head in heads}))
    assert dissect(cut(model, Plan(neurons={(0, 1)}))).layers[0].neurons == 19


@pytest.mark.parametrize("name", FAMILIES)
def test_a_layer_that_lost_everything_can_be_cut_and_gated_again(name):
    """The other layers of a model with empty ones are still open to both."""
    model = cut(make(name), Plan({(0, 0), (0, 1), (0, 2)}, {(0, n) for n in range(20)}))
    plan = Plan(heads={(1, 1)}, neurons={(1, 1)})
    with Gates(model) as gates:
        gates.set(plan)
        gated = logits(model)
    assert torch.allclose(logits(cut(model, plan)), gated, rtol=0, atol=1e-10)
    with pytest.raises(BadInput, match="no heads"):
        cut(model, Plan(heads={(0, 0)}))


@pytest.mark.parametrize("name", ["gpt2", "gpt2-untied", "opt", "opt-untied", "gpt_neox", "gpt_neox-tied"])
def test_what_was_tied_stays_tied(name):
    """One tensor for both embeddings where the dense model has one, and two where it has two."""
    model = make(name)
    smaller = cut(model, Plan(heads={(0, 0)}))
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tied == model.config.tie_word_embeddings
    assert (smaller.get_input_embeddings().weight is smaller.get_output_embeddings().weight) == tied


def test_embeddings_that_were_untied_by_hand_stay_two():
    """The model's tensors say what is tied, not its config."""
    model = make("gpt2")
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() + 1)
    smaller = cut(model, Plan())
    assert smaller.lm_head.weight is not smaller.transformer.wte.weight
    assert torch.equal(logits(smaller), logits(model))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("plan_of", [ragged, nothing_left])
def test_a_deep_copy_of_a_cut_model_is_the_same_model(name, plan_of):
    """Modules of ours copy like any other, and the copy knows its original units."""
    smaller = cut(make(name), plan_of(dissect(make(name))))
    copy = deepcopy(smaller)
    assert torch.equal(logits(copy), logits(smaller))
    assert kept_of(copy) == kept_of(smaller)


@pytest.mark.parametrize("name", FAMILIES)
def test_gates_are_not_taken_along(name):
    """A model cut while gates are closed has no hooks: its logits are those of the plan alone."""
    model, plan = make(name), Plan(heads={(0, 1)}, neurons={(0, 1)})
    expected = logits(cut(model, plan))
    with Gates(model) as gates:
        gates.close(heads=[(1, 0)])
        assert torch.equal(logits(cut(model, plan)), expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_cut_model_trains(name):
    """The loss falls, and only the norm before an attention without heads, which nobody reads, is left out of it."""
    smaller = cut(make(name).train(), Plan({(0, 0), (0, 1), (0, 2), (1, 0)}, {(1, n) for n in range(20)}))
    assert smaller.training
    optimiser = torch.optim.AdamW(smaller.parameters(), lr=3e-2)
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        loss = smaller(tokens(), labels=tokens()).loss
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    idle = {path.rpartition(".")[0] for path, parameter in smaller.named_parameters() if parameter.grad is None}
    norm = {"gpt2": "ln_1", "opt": "self_attn_layer_norm"}.get(name, "input_layernorm")
    assert {path.rpartition(".")[2] for path in idle} == {norm} and len(idle) == 1


@pytest.mark.parametrize(
    "config", [gpt2(resid_pdrop=0.5), opt(dropout=0.5), gpt_neox(hidden_dropout=0.5)], ids=lambda config: config.model_type
)
def test_dropout_falls_on_the_same_places(config):
    """In training with one seed, a layer without heads drops the same entries of its output as the gated one."""
    model = CLASSES[config.model_type](config).double().train()
    plan = no_heads_first(dissect(model))
    with Gates(model) as gates:
        gates.set(plan)
        torch.manual_seed(0)
        gated = logits(model)
    torch.manual_seed(0)
    assert torch.allclose(logits(cut(model, plan)), gated, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtype_mode_and_frozen_parameters_are_kept(name, dtype):
    """A half-precision model in training mode with frozen embeddings is cut to one like it."""
    model = make(name, dtype=dtype).train()
    model.get_input_embeddings().weight.requires_grad_(False)
    smaller = cut(model, no_heads_first(dissect(model)))
    assert smaller.dtype == dtype and smaller.training
    assert not smaller.get_input_embeddings().weight.requires_grad
    assert logits(smaller.eval()).isfinite().all()


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_the_attention_implementation_can_be_switched_after_the_cut(name, implementation):
    """Eager and sdpa agree on a ragged model with a layer without heads; eager returns weights for each layer with heads."""
    model = make(name)
    plan = no_heads_first(dissect(model))
    smaller = cut(model, plan)
    expected = logits(smaller)
    smaller.set_attn_implementation(implementation)
    assert torch.allclose(logits(smaller), expected, atol=1e-6)
    if implementation == "eager":
        attentions = smaller(tokens(), output_attentions=True, use_cache=False).attentions
        assert [weights.shape[1] for weights in attentions] == [3]


def test_upcast_attention_is_cut_too():
    """GPT-2's own float32 attention works in no other dtype, so it is held to the gated model in float32."""
    model = GPT2LMHeadModel(gpt2(reorder_and_upcast_attn=True, attn_implementation="eager")).eval()
    plan = Plan(heads={(0, 1), (1, 0), (1, 1)}, neurons={(0, 3)})
    with Gates(model) as gates:
        gates.set(plan)
        gated = logits(model)
    assert torch.allclose(logits(cut(model, plan)), gated, atol=1e-6)


@pytest.mark.parametrize("plan", [Plan(heads={(2, 0)}), Plan(heads={(0, 3)}), Plan(neurons={(0, 20)})])
def test_units_that_are_not_there_are_refused(plan):
    """The message names the range that is there."""
    with pytest.raises(BadInput, match="0 to"):
        cut(make("gpt2"), plan)
