"""Tests of engine/models/biases.py: a bias that is given behaves like one that was built, and goes without a trace."""

import pytest
import torch

from engine.models.biases import give_bias, put
from tests.families import FAMILIES, logits, make

WITHOUT = {"opt-no-bias": "model.decoder.layers.0.fc2", "gpt_neox-no-bias": "gpt_neox.layers.0.attention.dense"}


@pytest.mark.parametrize(("name", "path"), WITHOUT.items())
def test_a_given_bias_of_zeros_changes_no_logit(name, path):
    """And it is a parameter, in the dtype and as frozen as the weight."""
    model = make(name)
    before = logits(model)
    model.get_submodule(path).weight.requires_grad_(False)
    give_bias(model.get_submodule(path))
    assert torch.equal(logits(model), before)
    bias = dict(model.named_parameters())[f"{path}.bias"]
    assert bias.dtype == torch.float64 and not bias.requires_grad and len(bias) == len(model.get_submodule(path).weight)


@pytest.mark.parametrize(("name", "path"), WITHOUT.items())
def test_a_bias_comes_and_goes(name, path):
    """Put where there is none, and taken away with None: the same names and the same logits as before."""
    model = make(name)
    names, before = list(model.state_dict()), logits(model)
    put(model, {f"{path}.bias": torch.ones(12)})
    assert torch.equal(model.get_parameter(f"{path}.bias"), torch.ones(12, dtype=torch.float64))
    assert not torch.equal(logits(model), before)
    put(model, {f"{path}.bias": None})
    assert list(model.state_dict()) == names and torch.equal(logits(model), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_can_be_overwritten(family):
    """By name, through one model's weights in another."""
    model, other = make(family, seed=0), make(family, seed=1)
    put(model, dict(other.named_parameters()))
    assert torch.equal(logits(model), logits(other))
