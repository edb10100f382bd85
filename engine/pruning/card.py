"""The model card of a saved model, in Markdown, made of what its `pruning.json` says; measures nothing and invents nothing."""

import json
from collections.abc import Sequence
from typing import Literal

from engine.models.anatomy import Anatomy
from engine.models.stored import SIDECAR, Stored
from engine.record.costs import Latency, Memory
from engine.record.rerun import command_line
from engine.record.spread import as_perplexity

RECORD = "espalier.json"  # where transformers is to read a folder, and `pruning.json` would say that it cannot
WORK = {"prefill": "reading", "decode": "adding a token to"}
OURS = 'from engine import load_pruned\n\nmodel, tokenizer = load_pruned("{folder}")'
THEIRS = 'from transformers import AutoModelForCausalLM\n\nmodel = AutoModelForCausalLM.from_pretrained("{folder}")'
Form = Literal["pruned", "plain", "dense"]


def card(stored: Stored, dense: Anatomy, smaller: Anatomy, folder: str, form: Form = "pruned", notes: Sequence[str] = ()) -> str:
    """The text of README.md for a folder of that name.

    `form` says what lies there: "pruned" needs Espalier, "plain" is a smaller model that transformers reads by itself, "dense"
    has zeros where units went. `notes` are sentences about what could not be kept.
    """
    loads = {"pruned": [OURS], "plain": [THEIRS, OURS], "dense": [THEIRS]}[form]
    parts = [
        _front(stored, form),
        f"# {_name(stored)}, pruned\n",
        f"{_left(stored, dense, smaller)}\n",
        *([f"{_ZEROS}\n"] if form == "dense" else []),
        *(f"{note}\n" for note in notes),
        "## Load it\n",
        "\nor\n\n".join(f"```python\n{each.format(folder=folder)}\n```\n" for each in loads),
        _removed(stored, dense, form),
        _quality(stored),
        _costs(stored),
        _history(stored),
        "## Licence\n\nThat of the model it was cut from.\n",
    ]
    return "\n".join(part for part in parts if part)


_ZEROS = (
    "This folder has the shapes of the dense model and zeros in place of what went, so that any program that reads "
    "checkpoints of transformers reads it. It is neither smaller nor faster than the dense model: sizes and times below are "
    "those of the cut one."
)


def _left(stored: Stored, dense: Anatomy, smaller: Anatomy) -> str:
    share = f"{smaller.parameters / dense.parameters:.1%}"
    of = f"{smaller.parameters:,} of {dense.parameters:,}"
    return f"Attention heads and MLP neurons of {_base(stored)} were cut with Espalier; {share} of the parameters are left, {of}."


def _front(stored: Stored, form: Form) -> str:
    facts: dict[str, object] = {"pipeline_tag": "text-generation", "tags": ["espalier", "pruned"]}
    if form != "pruned":
        facts["library_name"] = "transformers"
    if stored.base is not None and stored.base.revision is not None:  # it came from the hub, which links the two
        facts["base_model"] = stored.base.model.partition("@")[0]
    lines = (f"{name}: {json.dumps(value)}" for name, value in facts.items())  # JSON is YAML too
    return "\n".join(["---", *lines, "---", ""])


def _name(stored: Stored) -> str:
    return stored.base.model.rstrip("/").rpartition("/")[2] if stored.base is not None else f"A model of the type {stored.family}"


def _base(stored: Stored) -> str:
    if stored.base is None:
        return "the dense model"
    at = f" (commit {stored.base.revision})" if stored.base.revision else ""
    return f"`{_name(stored)}`{at}" if stored.base.model.startswith(("/", ".", "~")) else f"`{stored.base.model}`{at}"


def _removed(stored: Stored, dense: Anatomy, form: Form) -> str:
    grouped = any(layer.groups != layer.heads for layer in dense.layers)
    head = ["layer", "heads left", *(["key-value groups left"] if grouped else []), "neurons left"]
    lines = ["## What was removed", "", f"| {' | '.join(head)} |", f"|{'---:|' * len(head)}"]
    for layer, left in zip(dense.layers, stored.layers, strict=True):
        groups = [f"{len(left.groups or ())} of {layer.groups}"] if grouped else []
        cells = [f"{layer.index}", f"{len(left.heads)} of {layer.heads}", *groups, f"{len(left.neurons):,} of {layer.neurons:,}"]
        lines.append(f"| {' | '.join(cells)} |")
    record = RECORD if form == "dense" else SIDECAR
    lines += ["", f"`{record}` names every unit that is left by its number in the dense model.", ""]
    if stored.added_biases:
        lines[-1:] = [f"{len(stored.added_biases)} output projections were given a bias, which the dense model lacks.", ""]
    return "\n".join(lines)


def _quality(stored: Stored) -> str:
    if stored.results is None or not stored.results.perplexity:
        return "## Quality\n\nNot measured.\n"
    lines = ["## Quality", "", "| stage | perplexity |", "|---|---:|"]
    lines += [f"| {stage} | {as_perplexity(value)} |" for stage, value in stored.results.perplexity.items()]
    how = ", ".join(f"{name.replace('_', ' ')} {json.dumps(value)}" for name, value in (stored.protocol or {}).items())
    told = (
        f"Measured so: {how}; packed blocks that do not overlap, no padding." if how else "How it was measured is not recorded."
    )
    return "\n".join([*lines, "", told, ""])


def _costs(stored: Stored) -> str:
    cut = stored.results.cut if stored.results is not None else None
    if cut is None:
        return "## Size and speed\n\nNot measured.\n"
    rows = [
        ("parameters", f"{cut.parameters_before:,}", f"{cut.parameters_after:,}", cut.parameters_after / cut.parameters_before)
    ]
    if cut.file_before is not None and cut.file_after is not None:
        files = _mega(cut.file_before), _mega(cut.file_after), cut.file_after / cut.file_before
        rows.append(("`model.safetensors` in float32", *files))
    rows += [(_what(one), f"{1e3 * one.dense:,.1f} ms", f"{1e3 * one.cut:,.1f} ms", one.cut / one.dense) for one in cut.latency]
    rows += [
        (f"memory for {_what(one)}", _mega(one.dense), _mega(one.cut), one.cut / one.dense if one.dense else None)
        for one in cut.memory
        if one.dense is not None and one.cut is not None
    ]
    lines = ["## Size and speed", "", "| | dense | smaller | ratio |", "|---|---:|---:|---:|"]
    lines += [
        f"| {what} | {dense} | {smaller} | {'' if ratio is None else f'{ratio:.2f}'} |" for what, dense, smaller, ratio in rows
    ]
    where = f"Measured on {cut.machine}. " if cut.machine else ""
    notes = f"{where}Times are medians of passes of both models in turn; memory is the peak of a pass besides the weights."
    if slower := [_what(one) for one in cut.latency if one.cut >= one.dense]:
        notes += f" No speed-up was measured at {', '.join(slower)}."
    stored = "" if cut.file_stored is None else f" As it is stored, the dense model has {_mega(cut.file_stored)} of weights."
    return "\n".join([*lines, "", (notes if cut.latency else "Times were not measured.") + stored, ""])


def _what(one: Latency | Memory) -> str:
    return f"{WORK[one.what]} {one.batch} × {one.length} tokens"


def _history(stored: Stored) -> str:
    if stored.recipe is None:
        return ""
    done = ", then ".join(str(step.get("reason")) for step in stored.history) or "nothing"
    return f"## Do it again\n\nDone in order: {done}.\n\n```sh\n{command_line(stored.recipe)}\n```\n"


def _mega(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
