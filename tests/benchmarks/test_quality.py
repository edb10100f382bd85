"""The parts of the benchmark of quality, on small models: what goes is what is said, and nothing is measured twice."""

import json

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import quality
from benchmarks._cells import Cell, Setting, Workshop
from benchmarks._peers import peers
from engine.models.anatomy import dissect
from engine.models.load import load
from engine.pruning.allocate import by_schedule, parts_of, plan_of, shares_of
from engine.pruning.criteria import CRITERIA
from engine.record.recipe import Protection, Schedule
from engine.text.corpora import read_corpus


def llama(**other):
    """A model of SmolLM2's shape in layers, heads and groups, narrow."""
    torch.manual_seed(0)
    size = {"vocab_size": 64, "hidden_size": 36, "intermediate_size": 40, "num_hidden_layers": quality.LAYERS}
    heads = {"num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 64}
    return LlamaForCausalLM(LlamaConfig(**size | other, **heads)).eval()


@pytest.mark.parametrize(
    ("setting", "groups", "neurons"), list(zip(quality.SETTINGS, (0, 0, 20, 30, 20, 30), (12, 20, 0, 0, 12, 20), strict=True))
)
def test_a_setting_takes_what_it_is_called(setting, groups, neurons):
    """Of 90 groups 20 are 22 % and 30 are 33 %; of 40 neurons of every layer 12 are 30 %."""
    anatomy = dissect(llama())
    schedules = {kind: getattr(quality.SETTINGS[setting], kind) for kind in ("heads", "neurons")}
    parts = parts_of(CRITERIA.load("random").score(None, anatomy, None, 0), anatomy, schedules, Protection())
    plan = plan_of(parts, by_schedule(parts, shares_of(schedules, quality.LAYERS, Protection())))
    assert len(plan.heads) == 3 * groups
    assert [len(plan.neurons_of(layer)) for layer in range(quality.LAYERS)] == [neurons] * quality.LAYERS


def test_every_criterion_stands_with_every_compensation_and_beside_the_peers():
    """What scores heads alone where heads alone go, and peers, which compensate for nothing, where neurons alone do."""
    neurons = {name for name in CRITERIA.names() if "neurons" in CRITERIA.load(name).UNITS}
    for setting, goes in quality.SETTINGS.items():
        cells = [(row[0].by, row[0].compensation) for row in quality.rows(setting)]
        ours = neurons if goes.neurons != quality.NONE else set(CRITERIA.names())
        theirs = peers() if goes.heads == quality.NONE else ()
        assert set(cells) == {(by, how) for by in ours for how in quality.COMPENSATIONS} | {(peer, "none") for peer in theirs}
        assert len(cells) == len(set(cells))


def test_peers_have_rows_of_their_own_in_the_table():
    """Though their names have a comma."""
    found = [
        ("half: obs, none", 2.0),
        ("half: obs, bias", 1.5),
        ("half: optipfair 0.4.2, static, none", 9.0),
        ("all: obs, none", 7.0),
    ]
    _, _, *lines = quality.pivot(found, "half").splitlines()
    assert lines == ["| obs | 2 | 1.5 |  |  |", "| optipfair 0.4.2, static | 9 |  |  |  |"]


@pytest.mark.parametrize("name", peers())
@pytest.mark.parametrize("gone", [13, 20])
def test_a_peer_takes_as_many_neurons_as_it_is_asked_for_and_nothing_else(name, gone):
    """From every layer; the model that it is given stays as it was."""
    model, blocks = llama(num_hidden_layers=3), torch.randint(0, 64, (6, 16))
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    smaller = dissect(peers()[name](model, blocks, gone))
    assert [(layer.heads, layer.neurons) for layer in smaller.layers] == [(9, 40 - gone)] * 3
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_cells_are_measured_once_and_leave_the_model_as_it_was(tmp_path, monkeypatch):
    """Every compensation; whoever comes back reads what is kept, and at the end nothing is left."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    splits = read_corpus("wikipedia-sample")
    setting = Setting(Schedule(level=0.25), Schedule(level=0.5))

    def workshop():
        return Workshop("half", load("gpt2-tiny"), splits.calibration[:3], splits.evaluation[:1], 64)

    first = workshop()
    dense = first.dense(512)
    cells = [Cell("half", "activation", how, 512, 512, 512) for how in ("none", "bias", "least-squares", "sequential")]
    found = [first.perplexity(cell, setting) for cell in cells]
    assert dense < min(found) and len(set(found)) == len(found)
    assert first.overlay.plan.neurons == frozenset()
    (file,) = tmp_path.rglob("cells.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps([key, value + 1]) + "\n" for key, value in lines))
    again = workshop()
    assert [again.dense(512), *(again.perplexity(cell, setting) for cell in cells)] == [value + 1 for _, value in lines]
    again.close()
    assert not file.parent.exists()
