"""The pruners that PyPI carries, run for real on a copy of the same model; knows nothing of ours, and measures nothing.

Each takes the same share of the neurons of every layer and leaves the heads alone: optipfair prunes nothing else, and
torch-pruning, which removes heads too, does not remove key-value groups from a Llama by themselves. `make peers` installs them.
"""

from collections.abc import Callable
from copy import deepcopy
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import LongTensor, nn
from torch.nn import functional

BATCH = 4  # blocks
# (model, calibration text [n, length], how many neurons go from a layer) → a smaller copy
Prune = Callable[[nn.Module, LongTensor, int], nn.Module]


def peers() -> dict[str, Prune]:
    """What is installed here, by its name and version."""
    found = {}
    for package, ways in PEERS.items():
        try:
            release = version(package)
        except PackageNotFoundError:
            continue
        found |= {f"{package} {release}, {way}": prune for way, prune in ways.items()}
    return found


def missing() -> tuple[str, ...]:
    """The packages that are not installed here."""
    here = {name.split()[0] for name in peers()}
    return tuple(package for package in PEERS if package not in here)


def _group_magnitude(model: nn.Module, blocks: LongTensor, gone: int) -> nn.Module:
    from torch_pruning.pruner.importance import GroupMagnitudeImportance

    return _by_torch_pruning(deepcopy(model), GroupMagnitudeImportance(p=2), blocks, gone)


def _group_taylor(model: nn.Module, blocks: LongTensor, gone: int) -> nn.Module:
    from torch_pruning.pruner.importance import GroupTaylorImportance

    smaller = deepcopy(model)
    for batch in blocks.split(BATCH):
        logits = smaller(input_ids=batch, use_cache=False).logits  # [batch, length, vocabulary]
        loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten())
        (loss * len(batch) / len(blocks)).backward()
    return _by_torch_pruning(smaller, GroupTaylorImportance(), blocks, gone)


def _by_torch_pruning(model: nn.Module, importance: Callable, blocks: LongTensor, gone: int) -> nn.Module:
    from torch_pruning import BasePruner

    # A group that touches an ignored layer is left alone, so that only what is inside the MLPs goes.
    linear = [module for name, module in model.named_modules() if isinstance(module, nn.Linear) and ".mlp." not in name]
    norms = [(one, 0) for one in model.parameters() if one.ndim == 1]  # it knows no RMSNorm, and asks for what it does not know
    kept = model.config.intermediate_size - gone
    pruner = BasePruner(
        model,
        example_inputs=blocks[:1, :8],  # [1, length]
        importance=importance,
        pruning_ratio=1 - (kept + 0.5) / model.config.intermediate_size,  # it keeps the whole part of what the ratio leaves
        ignored_layers=[*linear, model.get_input_embeddings()],
        unwrapped_parameters=norms,
        root_module_types=[nn.Linear],
        forward_fn=lambda given, tokens: given(input_ids=tokens, use_cache=False).logits,
    )
    pruner.step()
    model.zero_grad()
    return model


def _static(model: nn.Module, blocks: LongTensor, gone: int) -> nn.Module:
    return _by_optipfair(model, None, gone)


def _data_driven(model: nn.Module, blocks: LongTensor, gone: int) -> nn.Module:
    return _by_optipfair(model, [{"input_ids": batch} for batch in blocks.split(BATCH)], gone)


def _by_optipfair(model: nn.Module, batches: list[dict[str, torch.Tensor]] | None, gone: int) -> nn.Module:
    from optipfair import prune_model

    share = 100 * (gone + 0.5) / model.config.intermediate_size  # it takes the whole part of what the percentage is
    return prune_model(deepcopy(model), pruning_percentage=share, dataloader=batches, show_progress=False)


PEERS: dict[str, dict[str, Prune]] = {
    "optipfair": {"static": _static, "data-driven": _data_driven},
    "torch-pruning": {"group magnitude": _group_magnitude, "Taylor": _group_taylor},
}
