"""Tests of engine/pruning/gradients.py: against gates multiplied in by hand, block by block, and against finite differences."""

from contextlib import ExitStack

import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.models.anatomy import dissect
from engine.models.modes import frozen
from engine.pruning.calibration import calibrate
from engine.pruning.cut import cut
from engine.pruning.gates import Gates
from engine.pruning.gradients import blocks_at_once, graph_bytes, token_losses
from engine.pruning.plan import Plan
from engine.pruning.reader import Reader
from engine.record.errors import BadInput
from tests.engine.pruning.small import FAMILIES, HEAD_WIDTH, HEADS, NEURONS, small, text
from tests.families import gpt2, gpt_neox, grouped, like_llama, opt

SIZES = {  # six layers, so that the first and the last, which keep less and more, count little
    "gpt2": lambda: gpt2(n_embd=48, n_layer=6, n_inner=192),
    "gpt2-gelu-in-one": lambda: gpt2(n_embd=48, n_layer=6, n_inner=192, activation_function="gelu"),
    "opt": lambda: opt(hidden_size=48, word_embed_proj_dim=48, num_hidden_layers=6, ffn_dim=192),
    "gpt_neox": lambda: gpt_neox(hidden_size=48, num_hidden_layers=6, intermediate_size=192),
    "narrow-heads": lambda: like_llama("Llama", hidden_size=48, num_hidden_layers=6, intermediate_size=96, head_dim=4),
    "wide-heads": lambda: grouped("Llama", hidden_size=48, num_hidden_layers=6, intermediate_size=96, head_dim=64),
}


def loss_of_block(model, block, length=None):
    """Σ −log p over the predicted tokens of one block, as a plain loop over its tokens has it."""
    shares = model(block[None, :length]).logits[0].log_softmax(1)  # [length, vocabulary]
    return -sum(shares[at, block[at + 1]] for at in range(len(shares) - 1))


def by_hand(model, blocks, lengths):
    """Σ |∂L/∂gate| and Σ (∂L/∂gate)² by path of the output projection, one block at a time, without padding."""
    found = {}
    for layer in dissect(model).layers:
        for path, units in ((layer.attention_output, layer.heads), (layer.mlp_output, layer.neurons)):
            gate = torch.ones(units, dtype=torch.float64, requires_grad=True)
            sizes, squares = torch.zeros(units).double(), torch.zeros(units).double()

            def multiply(_, inputs, gate=gate):
                return (inputs[0] * gate.repeat_interleave(inputs[0].shape[-1] // len(gate)),)

            hook = model.get_submodule(path).register_forward_pre_hook(multiply)
            for block, length in zip(blocks, lengths, strict=True):
                (slope,) = torch.autograd.grad(loss_of_block(model, block, length), gate)
                sizes, squares = sizes + slope.abs(), squares + slope.square()
            hook.remove()
            found[path] = (sizes, squares)
    return found


def check_against(model, statistics, found, predicted):
    """Every gate of every layer agrees."""
    for layer in dissect(model).layers:
        for path, inputs in (
            (layer.attention_output, statistics.attention[layer.index]),
            (layer.mlp_output, statistics.mlp[layer.index]),
        ):
            # transformers computes the softmax of OPT and GPT-NeoX in float32, also in a float64 model
            torch.testing.assert_close(inputs.gradients, found[path][0] / predicted, rtol=1e-5, atol=1e-8)
            torch.testing.assert_close(inputs.squares, found[path][1] / predicted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_gate_gradients_are_those_of_one_block_after_another(family):
    """Whatever the batches: a gate for each block, and the loss of that block alone."""
    model, blocks = small(family), text(5, 8)
    found = by_hand(model, blocks, [8] * 5)
    for batch_size in (1, 3):
        statistics = calibrate(model, blocks, ("gradients",), batch_size=batch_size)
        check_against(model, statistics, found, 5 * 7)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_no_gradient(family):
    """Neither as what is predicted nor as what comes through a gate."""
    model, blocks, lengths = small(family), text(4, 9), [9, 2, 6, 4]
    mask = torch.arange(9)[None] < torch.tensor(lengths)[:, None]  # [blocks, length]
    statistics = calibrate(model, blocks, ("gradients",), mask=mask, batch_size=3)
    check_against(model, statistics, by_hand(model, blocks, lengths), sum(lengths) - 4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_is_the_slope_of_the_loss(family):
    """A gate of one head at 1 ± 1e-4 moves the loss by what the gradient says."""
    model, block = small(family), text(1, 12)
    layer = dissect(model).layers[1]
    slopes = calibrate(model, block, ("gradients",)).attention[1].gradients * 11
    for head in range(HEADS):
        losses = []
        for gate in (1 - 1e-4, 1 + 1e-4):
            vector = torch.ones(HEADS * HEAD_WIDTH).double()
            vector[head * HEAD_WIDTH : (head + 1) * HEAD_WIDTH] = gate
            hook = model.get_submodule(layer.attention_output).register_forward_pre_hook(
                lambda _, inputs, vector=vector: (inputs[0] * vector,)
            )
            with torch.no_grad():
                losses.append(float(loss_of_block(model, block[0])))
            hook.remove()
        assert abs(losses[1] - losses[0]) / 2e-4 == pytest.approx(float(slopes[head]), rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_stay_without_gradients(family):
    """Also those that had some, which are left alone, and those that are frozen stay so."""
    model = small(family)
    weights = list(model.parameters())
    weights[0].requires_grad_(False)
    weights[1].grad = torch.ones_like(weights[1])
    calibrate(model, text(3, 8), ("gradients",))
    assert [weight.requires_grad for weight in weights] == [False] + [True] * (len(weights) - 1)
    assert torch.equal(weights[1].grad, torch.ones_like(weights[1]))
    assert all(weight.grad is None for weight in weights[2:])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_moments_of_the_pass_are_the_same_with_and_without_gradients(family):
    """Gates of 1 change nothing: to the bit."""
    model, blocks = small(family), text(6, 8)
    alone, both = (calibrate(model, blocks, needs) for needs in (("mean", "covariance"), ("mean", "covariance", "gradients")))
    for one, other in zip((*alone.attention, *alone.mlp), (*both.attention, *both.mlp), strict=True):
        assert torch.equal(one.mean, other.mean) and torch.equal(one.summed, other.summed)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_closed_unit_has_no_gradient_and_what_is_left_has_that_of_the_cut_model(family):
    """Gates of the pass stand behind those that are closed."""
    model, blocks = small(family), text(3, 8)
    plan = Plan(heads={(0, 1), *((1, head) for head in range(HEADS))}, neurons={(0, 3), *((2, at) for at in range(NEURONS))})
    with Gates(model) as gates:
        gates.set(plan)
        gated = calibrate(model, blocks, ("gradients",))
    smaller = calibrate(cut(model, plan), blocks, ("gradients",))
    assert gated.attention[0].gradients[1] == gated.mlp[0].gradients[3] == gated.attention[1].gradients.max() == 0
    assert [len(one.gradients) for one in smaller.attention] == [HEADS - 1, 0, HEADS]
    kept = [head for head in range(HEADS) if head != 1]
    torch.testing.assert_close(gated.attention[0].gradients[kept], smaller.attention[0].gradients)
    torch.testing.assert_close(gated.mlp[1].squares, smaller.mlp[1].squares)


def test_a_model_without_units_has_no_gradients():
    """Cut to its embeddings there is no gate, and no backward pass; nothing fails."""
    model = small("opt")
    smaller = cut(
        model,
        Plan([(at, head) for at in range(3) for head in range(HEADS)], [(at, one) for at in range(3) for one in range(NEURONS)]),
    )
    assert all(len(one.gradients) == 0 for one in calibrate(smaller, text(2, 8), ("gradients",)).mlp)


def test_gradients_that_are_not_finite_are_refused():
    """Where the precision gives out, and not before: the activations themselves are finite."""
    model = small("gpt-neox").float()
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(1e38)
    with pytest.raises(BadInput, match="The gradients at the input of .* are not finite"):
        calibrate(model, text(2, 8), ("gradients",))


def test_the_losses_of_tokens_are_placed_where_they_are_predicted():
    """The last place of a block, and of what is real of it, predicts nothing."""
    logits = torch.zeros(2, 4, 10)
    blocks = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]])
    real = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    nats = torch.tensor(10.0).log()
    torch.testing.assert_close(token_losses(logits, blocks, real), nats * torch.tensor([[1.0, 1, 1, 0], [1, 0, 0, 0]]))
    torch.testing.assert_close(token_losses(logits, blocks, None), nats * torch.tensor([[1.0, 1, 1, 0], [1, 1, 1, 0]]))


def test_batches_shrink_where_the_graph_would_be_large():
    """Never below one block, and never beyond what was asked."""
    anatomy = dissect(small("gpt2"))
    assert blocks_at_once(anatomy, 16, 8) == 8
    assert 1 <= blocks_at_once(anatomy, 200_000, 8) < 8
    assert blocks_at_once(anatomy, 10**7, 8) == 1


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", SIZES)
def test_the_graph_is_as_large_as_it_is_said_to_be(name, training):
    """What is kept for a backward pass, counted tensor by tensor, with weights frozen and not; also where heads together are
    narrower or wider than the residual stream."""
    model = AutoModelForCausalLM.from_config(SIZES[name]())
    anatomy, blocks, kept = dissect(model), torch.arange(96).view(2, 48) % 60, {}
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage  # held, so that no other tensor gets its place
        return tensor

    readers = [Reader(layer, frozenset({"gradients"})) for layer in anatomy.layers]
    with ExitStack() as stack:
        if not training:
            stack.enter_context(frozen(model))
            for reader in readers:
                for hook in reader.hooks(model, blocks, None):
                    stack.callback(hook.remove)
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor))
        loss = token_losses(model(input_ids=blocks, use_cache=False).logits, blocks, None).sum()
    found = sum(storage.nbytes() for storage in kept.values())
    del loss
    later = max(3 * anatomy.vocabulary, 8 * 48) - anatomy.vocabulary  # gradients, of which none is there yet
    said = graph_bytes(anatomy, blocks.numel(), training=training) - 4 * blocks.numel() * later
    print(name, training, found / said)
    assert 0.8 < found / said < 1.25
