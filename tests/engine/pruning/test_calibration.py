"""Tests of the calibration pass: against a plain loop over single blocks, and for what it leaves behind."""

import math

import numpy as np
import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.calibration import NEEDS, calibrate, calibrating
from engine.pruning.cut import cut
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.record.errors import BadInput, UnknownName
from tests.families import CONTEXT, FAMILIES, HEAD_WIDTH, HEADS, LAYERS, NEURONS, VOCABULARY, WIDTH, make, tokens


def by_hand(model, blocks, lengths):
    """All vectors before each output projection and the mean entropy of each head, one block at a time, without padding."""
    layers = dissect(model).layers
    seen = {path: [] for layer in layers for path in (layer.attention_output, layer.mlp_output)}
    hooks = [
        model.get_submodule(path).register_forward_pre_hook(
            lambda _, inputs, path=path: seen[path].append(inputs[0].detach().reshape(-1, inputs[0].shape[-1]).numpy())
        )
        for path in seen
    ]
    entropies = [[[] for _ in range(layer.heads)] for layer in layers]
    model.set_attn_implementation("eager")
    with torch.no_grad():
        for block, length in zip(blocks, lengths, strict=True):
            attentions = model(block[None, :length], output_attentions=True).attentions
            for layer, weights in enumerate(attentions):
                for head in range(layers[layer].heads):
                    for row in range(1, length):
                        shares = weights[0, head, row, : row + 1].tolist()
                        entropies[layer][head].append(-sum(a * math.log(a) for a in shares if a) / math.log(row + 1))
    model.set_attn_implementation("sdpa")
    for hook in hooks:
        hook.remove()
    vectors = {path: np.concatenate(parts) for path, parts in seen.items()}
    return vectors, [[np.mean(of_head) for of_head in of_layer] for of_layer in entropies]


def check_against(model, statistics, vectors, entropies):
    """Every statistic of every layer agrees with the plain loop."""
    for layer in dissect(model).layers:
        for path, inputs in (
            (layer.attention_output, statistics.attention[layer.index]),
            (layer.mlp_output, statistics.mlp[layer.index]),
        ):
            expected = vectors[path]
            np.testing.assert_allclose(inputs.mean, expected.mean(0), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(inputs.rms, np.sqrt((expected**2).mean(0)), rtol=1e-9)
            np.testing.assert_allclose(inputs.covariance, np.cov(expected.T, bias=True), rtol=1e-8, atol=1e-11)
        # transformers computes the softmax of OPT and GPT-NeoX in float32, also in a float64 model
        np.testing.assert_allclose(statistics.attention_entropy[layer.index], entropies[layer.index], rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_statistics_are_those_of_a_plain_loop(family):
    """Moments and attention entropies agree with a loop that runs one block at a time and stores everything."""
    model, blocks = make(family), tokens(12, 16)
    statistics = calibrate(model, blocks, NEEDS, batch_size=5)
    assert statistics.tokens == blocks.numel()
    check_against(model, statistics, *by_hand(model, blocks, [blocks.shape[1]] * len(blocks)))


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_no_statistic(family):
    """Blocks of uneven length, padded and masked, give what the same blocks give alone and unpadded."""
    model, blocks = make(family), tokens(6, 14)
    lengths = [14, 2, 9, 13, 5, 14]
    mask = torch.arange(14)[None] < torch.tensor(lengths)[:, None]  # [blocks, length]
    statistics = calibrate(model, blocks, NEEDS, mask=mask, batch_size=4)
    assert statistics.tokens == sum(lengths)
    check_against(model, statistics, *by_hand(model, blocks, lengths))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_size_of_a_batch_changes_no_statistic(family):
    """Tokens are weighed, not batches, and the bins of the neurons come from the first block."""
    model, blocks = make(family), tokens(7, 16)
    one, other = (calibrate(model, blocks, NEEDS, batch_size=size) for size in (1, 5))
    for layer in range(LAYERS):
        torch.testing.assert_close(one.mlp[layer].rms, other.mlp[layer].rms)
        torch.testing.assert_close(one.attention[layer].covariance, other.attention[layer].covariance)
        torch.testing.assert_close(one.attention_entropy[layer], other.attention_entropy[layer])
        torch.testing.assert_close(one.neuron_entropy[layer], other.neuron_entropy[layer])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_in_training_mode_is_read_without_dropout(family):
    """The statistics do not depend on the mode in which the model comes."""
    model, blocks = make(family), tokens(12, 16)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
        elif isinstance(getattr(module, "dropout", None), float):  # OPT's layers hold a number
            module.dropout = 0.5
    asleep = calibrate(model, blocks, NEEDS)
    awake = calibrate(model.train(), blocks, NEEDS)
    torch.testing.assert_close(awake.mlp[-1].covariance, asleep.mlp[-1].covariance, rtol=0, atol=0)
    torch.testing.assert_close(awake.attention_entropy[-1], asleep.attention_entropy[-1], rtol=0, atol=0)


def test_only_what_was_asked_for_is_there():
    """What was not gathered is None, and asking for it is refused in words."""
    statistics = calibrate(make("gpt2"), tokens(12, 16), {"rms"})
    assert (
        statistics.mlp[0].mean
        is statistics.mlp[0].covariance
        is statistics.attention_entropy
        is statistics.neuron_entropy
        is None
    )
    with pytest.raises(BadInput, match="lack covariance"):
        statistics.require(("rms", "covariance"))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_given_back_as_it_was_after_every_batch(family):
    """Modes module by module, attention implementation, hooks and weights: between two batches and when it is dropped halfway."""
    model = make(family).train()
    asleep = dissect(model).layers[1].mlp_output
    model.get_submodule(asleep).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def untouched():
        assert all(module.training == (name != asleep) for name, module in model.named_modules())
        assert model.config._attn_implementation == "sdpa"
        assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
        assert torch.is_grad_enabled()

    steps = calibrating(model, tokens(12, 16), NEEDS, batch_size=5)
    assert next(steps) == 5
    untouched()
    steps.close()
    untouched()
    assert list(calibrating(model, tokens(12, 16), NEEDS, batch_size=5)) == [5, 10, 12]
    untouched()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_an_error_in_the_middle_of_a_batch_leaves_the_model_as_it_was(family):
    """Eager attention, eval mode and hooks are undone on the way out."""
    model = make(family).train()
    last = model.get_submodule(dissect(model).layers[-1].mlp_output)

    def fail(*_):
        raise RuntimeError("out of memory")

    hook = last.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        calibrate(model, tokens(12, 16), NEEDS)
    hook.remove()
    assert model.training and model.config._attn_implementation == "sdpa"
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_gated_model_is_read_with_its_gates(family):
    """A closed unit brings zeros, and what comes after it is read as the gates leave it: the statistics of the zeroed model."""
    model, blocks = make(family), tokens(12, 16)
    plan = Plan(heads={(0, 1)}, neurons={(0, 3), (0, 7)})
    with Gates(model) as gates:
        gates.set(plan)
        gated = calibrate(model, blocks, NEEDS)
    assert gated.attention[0].rms[HEAD_WIDTH : 2 * HEAD_WIDTH].max() == 0
    assert gated.mlp[0].rms[3] == gated.mlp[0].rms[7] == gated.neuron_entropy[0][7] == 0
    smaller = calibrate(cut(model, plan), blocks, NEEDS)
    torch.testing.assert_close(gated.mlp[1].covariance, smaller.mlp[1].covariance)
    torch.testing.assert_close(gated.attention_entropy[1], smaller.attention_entropy[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cut_model_with_ragged_layers_is_read(family):
    """Statistics have the widths that the layers have left, down to a layer without heads and one without neurons."""
    model = cut(
        make(family),
        Plan(heads={(0, 1), *((1, head) for head in range(HEADS))}, neurons={(1, 3), *((0, at) for at in range(NEURONS))}),
    )
    statistics = calibrate(model, tokens(12, 16), NEEDS)
    widths = [WIDTH - HEAD_WIDTH, 0]
    assert [len(one.rms) for one in statistics.attention] == [len(one.mean) for one in statistics.attention] == widths
    assert [one.covariance.shape[0] for one in statistics.attention] == widths
    assert [len(one) for one in statistics.attention_entropy] == [HEADS - 1, 0]
    assert [len(one.rms) for one in statistics.mlp] == [len(one) for one in statistics.neuron_entropy] == [0, NEURONS - 1]


def test_a_model_in_half_precision_is_read():
    """Statistics are float64 and near those of the same weights in float32."""
    model, blocks = make("opt").float(), tokens(12, 16)
    exact = calibrate(model, blocks, NEEDS)
    half = calibrate(model.bfloat16(), blocks, NEEDS)
    assert half.mlp[0].covariance.dtype == torch.float64
    torch.testing.assert_close(half.mlp[0].rms, exact.mlp[0].rms, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("blocks", "mask", "message"),
    [
        (tokens(2, CONTEXT + 1), None, f"2 to {CONTEXT}"),
        (tokens(2, 1), None, "1 tokens long"),
        (tokens(12, 16)[0], None, "shape"),
        (tokens(0, 16), None, "at least one token"),
        (tokens(12, 16) + VOCABULARY, None, f"the model knows 0 to {VOCABULARY - 1}"),
        (tokens(12, 16), torch.ones(2, 3), "must agree"),
        (tokens(1, 4), torch.tensor([[0, 1, 1, 1]]), "padding"),
        (tokens(1, 4), torch.tensor([[1, 1, 0, 1]]), "padding"),
        (tokens(1, 4), torch.zeros(1, 4), "padding"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(blocks, mask, message):
    """Each with what was wrong and what is allowed, before the model has run."""
    with pytest.raises(BadInput, match=message):
        calibrate(make("gpt2"), blocks, {"rms"}, mask=mask)


def test_an_unknown_need_is_refused():
    """With the nearest name that is known."""
    with pytest.raises(UnknownName, match="covariance"):
        calibrate(make("gpt2"), tokens(12, 16), {"covarience"})


def test_activations_that_are_not_finite_are_refused():
    """The message names the place, instead of scores that are not numbers later on."""
    model = make("gpt2")
    with torch.no_grad():
        model.transformer.h[1].mlp.c_fc.bias[3] = math.nan
    with pytest.raises(BadInput, match="transformer.h.1.mlp.c_proj is not finite"):
        calibrate(model, tokens(12, 16), NEEDS)
