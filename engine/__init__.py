"""Prunes and fine-tunes a transformer, and knows nothing of screens: commands go in, events come out.

     browser ── Voilà / JupyterLab / Colab kernel ─────── run folder ─────────── supervisor ── worker
                widgets/   (never imports torch)           recipe.json            (no torch)    engine/ + torch
                controls ──────── commands ──────────────▶ commands.jsonl ─────────────────────▶ workbench.handle(command)
                charts ◀─ RunState ◀─ pump (5–10 Hz) ◀──── events.jsonl  ◀────────────────────── yields events
                                                           checkpoints/  model/  lock.json

    from engine import Recipe, run
    for event in run(Recipe(model="gpt2-tiny")):
        print(event)

The names below are imported when they are first used: `import engine` brings in no torch.
"""

from importlib import import_module
from typing import Any

PUBLIC = {
    "Recipe": "engine.record.recipe",
    "open_run": "engine.record.client",
    "run": "engine.session",
    "Sweep": "engine.record.sweep",
    "open_sweep": "engine.record.sweep_folder",
    "sweep": "engine.sweeps.sweeping",
    "load": "engine.models.load",
    "dissect": "engine.models.anatomy",
    "pack": "engine.text.blocks",
    "Gates": "engine.pruning.gates",
    "Plan": "engine.pruning.plan",
    "prune": "engine.pruning.prune",
    "cut": "engine.pruning.cut",
    "save": "engine.pruning.checkpoint",
    "load_pruned": "engine.pruning.checkpoint",
    "evaluate": "engine.evaluation.perplexity",
    "export": "engine.exports",
}
__all__ = [*PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public name on its first use (PEP 562)."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    """The public names, for completion."""
    return [*globals(), *PUBLIC]
