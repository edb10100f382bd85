"""Cuts the model on the desk, and measures what that saves and changes; writes nothing, and leaves the desk as it was."""

from collections.abc import Generator

import torch
from torch import nn

from engine.desk import Desk
from engine.evaluation import latency
from engine.pruning.cut import cut
from engine.record.events import ModelCut
from engine.record.lifecycle import Progressed
from engine.record.recipe import Measuring
from engine.report import cut_as


def cutting(desk: Desk, measuring: Measuring) -> Generator[Progressed, None, tuple[nn.Module, ModelCut]]:
    """The smaller model, and what there is to tell of it beside the dense one: its size, its time, and how far its logits are
    from those of the model that it was cut from. Raises `Away` where the dense model cannot be read again."""
    model, dense = desk.model, desk.dense()
    smaller = cut(model, desk.overlay.plan)
    blocks = desk.texts.blocks("evaluation", measuring.sequence_length, measuring.tokens, "evaluation")
    costs, works = [], latency.workloads(blocks)
    for found in latency.compare(dense, smaller, blocks):
        costs.append(found)
        yield Progressed("timing", len(costs), len(works), "measurements")
    with torch.inference_mode():
        tokens = blocks[:1].to(desk.device)  # [1, length]
        difference = (model(input_ids=tokens).logits - smaller(input_ids=tokens).logits).abs().max().item()
    return smaller, cut_as(dense, smaller, costs, difference, desk.loaded.folder)
