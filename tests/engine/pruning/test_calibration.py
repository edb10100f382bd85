"""Tests of the calibration pass: against a plain loop over single blocks, and for what it leaves behind."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.calibration import calibrate, calibrating, memory_needed
from engine.pruning.cut import cut
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.pruning.statistics import FIELDS, NEEDS
from engine.record.errors import BadInput, UnknownName
from tests.engine.pruning.small import CONTEXT, FAMILIES, GROUPED, HEADS, LAYERS, NEURONS, VOCABULARY, WIDTH, small, text
from tests.families import NAMES, make, tokens

PASS = tuple(need for need in NEEDS if need != "losses")  # what one pass gathers; losses take one for each head


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
    with torch.no_grad():
        for block, length in zip(blocks, lengths, strict=True):
            model(block[None, :length])
    for hook in hooks:
        hook.remove()
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
        np.testing.assert_allclose(statistics.attention[layer.index].entropy, entropies[layer.index], rtol=1e-6)


@pytest.mark.parametrize("family", [*FAMILIES, GROUPED])
def test_statistics_are_those_of_a_plain_loop(family):
    """Moments and attention entropies agree with a loop that runs one block at a time and stores everything."""
    model, blocks = small(family), text()
    statistics = calibrate(model, blocks, PASS, batch_size=5)
    assert statistics.tokens == blocks.numel()
    check_against(model, statistics, *by_hand(model, blocks, [blocks.shape[1]] * len(blocks)))


@pytest.mark.parametrize("family", [*FAMILIES, GROUPED])
def test_padding_changes_no_statistic(family):
    """Blocks of uneven length, padded and masked, give what the same blocks give alone and unpadded."""
    model, blocks = small(family), text(6, 14)
    lengths = [14, 2, 9, 13, 5, 14]
    mask = torch.arange(14)[None] < torch.tensor(lengths)[:, None]  # [blocks, length]
    statistics = calibrate(model, blocks, PASS, mask=mask, batch_size=4)
    assert statistics.tokens == sum(lengths)
    check_against(model, statistics, *by_hand(model, blocks, lengths))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_size_of_a_batch_changes_no_statistic(family):
    """Tokens are weighed, not batches, and the bins of the neurons come from the first block."""
    model, blocks = small(family), text(7)
    one, other = (calibrate(model, blocks, PASS, batch_size=size) for size in (1, 5))
    for layer in range(LAYERS):
        torch.testing.assert_close(one.mlp[layer].rms, other.mlp[layer].rms)
        torch.testing.assert_close(one.attention[layer].covariance, other.attention[layer].covariance)
        torch.testing.assert_close(one.attention[layer].entropy, other.attention[layer].entropy)
        torch.testing.assert_close(one.mlp[layer].entropy, other.mlp[layer].entropy)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_in_training_mode_is_read_without_dropout(family):
    """The statistics do not depend on the mode in which the model comes."""
    model, blocks = small(family), text()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    asleep = calibrate(model, blocks, PASS)
    awake = calibrate(model.train(), blocks, PASS)
    torch.testing.assert_close(awake.mlp[2].covariance, asleep.mlp[2].covariance, rtol=0, atol=0)
    torch.testing.assert_close(awake.attention[2].entropy, asleep.attention[2].entropy, rtol=0, atol=0)


def test_only_what_was_asked_for_is_there():
    """What was not gathered is None, and asking for it is refused in words."""
    statistics = calibrate(small("gpt2"), text(), {"rms"})
    for inputs in (*statistics.attention, *statistics.mlp):
        assert inputs.rms is not None
        assert inputs.mean is inputs.covariance is inputs.entropy is inputs.gradients is inputs.squares is inputs.losses is None
    with pytest.raises(BadInput, match="lack covariance"):
        statistics.require(("rms", "covariance"))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_given_back_as_it_was_after_every_batch(family):
    """Modes module by module, attention implementation, hooks and weights: between two batches and when it is dropped halfway."""
    model = small(family).train()
    asleep = dissect(model).layers[1].mlp_output
    model.get_submodule(asleep).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def untouched():
        assert all(module.training == (name != asleep) for name, module in model.named_modules())
        assert model.config._attn_implementation == "sdpa"
        assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
        assert torch.is_grad_enabled()

    told = []
    for event in calibrating(model, text(), NEEDS, batch_size=5):
        untouched()
        told.append((event.what, event.done))
    untouched()
    once = [5 * 16, 10 * 16, 12 * 16]  # and once more, since entropies and gradients take a pass each
    assert [done for what, done in told if what == "calibration"] == [*once, *(12 * 16 + done for done in once)]
    assert [done for what, done in told if what == "leaving heads out"] == list(range(1, 3 * LAYERS * HEADS + 1))
    for count in (2, 7):
        steps = calibrating(model, text(), NEEDS, batch_size=5)
        for _ in range(count):
            next(steps)
        steps.close()
        untouched()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_an_error_in_the_middle_of_a_batch_leaves_the_model_as_it_was(family):
    """Eager attention, eval mode and hooks are undone on the way out."""
    model = small(family).train()
    last = model.get_submodule(dissect(model).layers[-1].mlp_output)

    def fail(*_):
        raise RuntimeError("out of memory")

    hook = last.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        calibrate(model, text(), NEEDS)
    hook.remove()
    assert model.training and model.config._attn_implementation == "sdpa"
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_gated_model_is_read_with_its_gates(family):
    """A closed unit brings zeros, and what comes after it is read as the gates leave it: the statistics of the zeroed model."""
    model, blocks = small(family), text()
    plan = Plan(heads={(0, 1)}, neurons={(0, 3), (1, 7)})
    with Gates(model) as gates:
        gates.set(plan)
        gated = calibrate(model, blocks, PASS)
    assert gated.attention[0].rms[6:12].max() == gated.mlp[0].rms[3] == gated.mlp[1].rms[7] == gated.mlp[1].entropy[7] == 0
    smaller = calibrate(cut(model, plan), blocks, PASS)
    torch.testing.assert_close(gated.mlp[2].covariance, smaller.mlp[2].covariance)
    torch.testing.assert_close(gated.attention[2].entropy, smaller.attention[2].entropy)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gpt2-upcast"])  # whose attention is float32 and nothing else
def test_padding_changes_no_statistic_of_any_architecture(name):
    """Whatever the option, two padded blocks give what they give by themselves, weighed by their tokens."""
    model, blocks = make(name), tokens(2, 9)
    mask = torch.tensor([[1] * 9, [1] * 6 + [0] * 3])
    whole, parts = (
        calibrate(model, blocks, PASS, mask=mask),
        [calibrate(model, blocks[:1], PASS), calibrate(model, blocks[1:, :6], PASS)],
    )
    for layer in range(len(whole.mlp)):
        for place in ("attention", "mlp"):
            found, (one, other) = getattr(whole, place)[layer], (getattr(part, place)[layer] for part in parts)
            torch.testing.assert_close(found.mean, (9 * one.mean + 6 * other.mean) / 15)
            torch.testing.assert_close(found.rms.square(), (9 * one.rms.square() + 6 * other.rms.square()) / 15)
        one, other = (part.attention[layer].entropy for part in parts)
        torch.testing.assert_close(whole.attention[layer].entropy, (8 * one + 5 * other) / 13, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["mistral-window", "qwen2-window-above", "qwen3-window-above", "smollm3-window"])
@pytest.mark.parametrize("need", NEEDS)
def test_padding_that_reaches_beyond_a_window_changes_no_statistic(name, need):
    """Of a window of 4 tokens the last rows of nine of padding see nothing else."""
    model, blocks = make(name), tokens(2, 18)
    mask = torch.tensor([[1] * 9 + [0] * 9] * 2)
    padded, alone = calibrate(model, blocks, {need}, mask=mask), calibrate(model, blocks[:, :9], {need})
    for found, wanted in zip((*padded.attention, *padded.mlp), (*alone.attention, *alone.mlp), strict=True):
        for field in FIELDS[need]:
            if getattr(wanted, field) is not None:  # neurons have no losses
                torch.testing.assert_close(getattr(found, field), getattr(wanted, field))


def test_attention_that_is_float32_whatever_the_model_is_refused_in_float64():
    """Of GPT-2's own kind, whose weights transformers makes in float32 only; the model stays as it was."""
    model = make("gpt2-upcast")
    with pytest.raises(BadInput, match="reorder_and_upcast_attn.*load it in float32"):
        calibrate(model, tokens(2, 9), {"entropy"})
    assert model.config._attn_implementation == "sdpa"
    calibrate(model, tokens(2, 9), {"gradients"})
    assert calibrate(model.float(), tokens(2, 9), {"entropy"}).attention[0].entropy.max() <= 1


def test_attention_in_a_window_is_measured_against_all_that_the_window_shows():
    """A head without queries looks at all that it can see alike, and so has all the entropy that it could have."""
    model = make("qwen2-window-below")
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight.zero_()
            layer.self_attn.q_proj.bias.zero_()
    assert [layer.window for layer in dissect(model).layers] == [4, None]
    for found in calibrate(model, tokens(2, 9), {"entropy"}).attention:
        torch.testing.assert_close(found.entropy, torch.ones(6, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cut_model_with_ragged_layers_is_read(family):
    """Statistics have the widths that the layers have left, down to a layer without heads and one without neurons."""
    model = cut(
        small(family),
        Plan(heads={(0, 1), *((1, head) for head in range(HEADS))}, neurons={(0, 3), *((2, at) for at in range(NEURONS))}),
    )
    statistics = calibrate(model, text(), PASS)
    widths = [WIDTH * 3 // 4, 0, WIDTH]
    assert [len(one.rms) for one in statistics.attention] == [len(one.mean) for one in statistics.attention] == widths
    assert [one.covariance.shape[0] for one in statistics.attention] == widths
    assert [len(one.entropy) for one in statistics.attention] == [HEADS - 1, 0, HEADS]
    assert [len(one.rms) for one in statistics.mlp] == [len(one.entropy) for one in statistics.mlp] == [NEURONS - 1, NEURONS, 0]


def test_a_model_in_half_precision_is_read():
    """Statistics are float64 and near those of the same weights in float32."""
    model, blocks = small("opt").float(), text()
    exact = calibrate(model, blocks, PASS)
    half = calibrate(model.bfloat16(), blocks, PASS)
    assert half.mlp[0].covariance.dtype == torch.float64
    torch.testing.assert_close(half.mlp[0].rms, exact.mlp[0].rms, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("blocks", "mask", "message"),
    [
        (text(2, CONTEXT + 1), None, "2 to 32"),
        (text(2, 1), None, "1 token long"),
        (text()[0], None, "shape"),
        (text(0), None, "at least one token"),
        (text() + VOCABULARY, None, "the model knows 0 to 49"),
        (text(), torch.ones(2, 3), "must agree"),
        (text(1, 4), torch.tensor([[0, 1, 1, 1]]), "padding"),
        (text(1, 4), torch.tensor([[1, 1, 0, 1]]), "padding"),
        (text(1, 4), torch.zeros(1, 4), "padding"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(blocks, mask, message):
    """Each with what was wrong and what is allowed, before the model has run."""
    with pytest.raises(BadInput, match=message):
        calibrate(small("gpt2"), blocks, {"rms"}, mask=mask)


def test_an_unknown_need_is_refused():
    """With the nearest name that is known."""
    with pytest.raises(UnknownName, match="covariance"):
        calibrate(small("gpt2"), text(), {"covarience"})


def test_activations_that_are_not_finite_are_refused():
    """The message names the place, instead of scores that are not numbers later on."""
    model = small("gpt2")
    with torch.no_grad():
        model.transformer.h[1].mlp.c_fc.bias[3] = math.nan
    with pytest.raises(BadInput, match="transformer.h.1.mlp.c_proj is not finite"):
        calibrate(model, text(), PASS)


def test_more_memory_than_is_free_is_refused_before_anything_is_read():
    """With what it would take, what there is, and what to do; with enough it says what it will take, and goes on."""
    model = small("gpt2")
    needed = memory_needed(dissect(model), PASS, length=16, itemsize=8)
    with pytest.raises(BadInput, match="Calibration needs .* MB of memory beside the model and .* is free"):
        next(calibrating(model, text(), PASS, free=needed - 1))
    assert next(calibrating(model, text(), PASS, free=needed)).what.startswith("calibration, in ")


def test_the_memory_that_is_announced_covers_what_is_held():
    """Every tensor of the statistics, whose bytes do not depend on the text; a covariance is float32 for a float32 model."""
    model = small("opt").float()
    for needs in (("rms",), ("covariance",), PASS):
        found = calibrate(model, text(4), needs)
        held = sum(
            getattr(inputs, field).nbytes for inputs in (*found.attention, *found.mlp) for need in needs for field in FIELDS[need]
        )
        assert held <= memory_needed(dissect(model), needs, length=1, batch_size=1)
    assert found.mlp[0].summed.dtype == torch.float32


@pytest.mark.parametrize("family", FAMILIES)
def test_no_attention_is_kept_for_the_way_back(family):
    """Asked for entropies and gradients, the pass keeps nothing as large as the square of the length."""
    model, blocks, kept = small(family), text(2, 29), []

    def keep(tensor):
        kept.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        both = calibrate(model, blocks, ("entropy", "gradients"))
    assert kept and not [shape for shape in kept if shape[-2:] == (29, 29)]
    for needs, fields in ((("entropy",), ("entropy",)), (("gradients",), ("gradients", "squares"))):
        alone = calibrate(model, blocks, needs)
        for one, other in zip((*both.attention, *both.mlp), (*alone.attention, *alone.mlp), strict=True):
            assert all(torch.equal(getattr(one, field), getattr(other, field)) for field in fields)


@pytest.mark.parametrize(("layers", "width", "neurons", "most"), [(30, 576, 1536, 0.5e9), (24, 1024, 4096, 2.3e9)])
def test_covariances_of_real_models_fit_in_ordinary_memory(layers, width, neurons, most):
    """SmolLM2's thirty layers and GPT-2 medium's twenty-four, with one batch of 8 × 256 tokens."""
    layer = replace(dissect(small("gpt2")).layers[0], heads=width // 64, head_width=64, neurons=neurons)
    anatomy = replace(dissect(small("gpt2")), layers=(layer,) * layers, vocabulary=50_000)
    assert layers * 4 * (neurons**2 + width**2) < memory_needed(anatomy, ("mean", "covariance")) < most
