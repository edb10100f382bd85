"""What the controls and their choices mean, in words: labels, help texts, the glossary; knows no widget and no value."""

import html

from engine.record.catalogue import CRITERIA, FAMILIES
from engine.record.fields import model_field
from engine.record.schedules import BLOCKS
from widgets.choices import criterion_help

LABELS = {
    "model": "Model", "model_name": "Name", "corpus": "Text", "corpus_path": "Path", "criterion": "Criterion",
    "heads": "Heads", "neurons": "Neurons", "shape": "Shape", "steepness": "Steepness", "apply_to": "Apply to",
    "front": "Front", "middle": "Middle", "back": "Back", "steps": "Recovery steps", "prompt": "Prompt",
}  # fmt: skip
HELP = {
    "model": "The language model to prune. The first ones come with Espalier and need no network.",
    "model_name": "A model's id on the hub, such as distilgpt2, or a folder on this machine.",
    "corpus": "What is read: one part to train on, one to find the units that matter, one to measure perplexity on.",
    "corpus_path": "A text file, a folder of them or a Wikipedia dump on this machine, or three paths; or a dataset of the hub.",
    "criterion": model_field("criterion").reason,
    "heads": f"Attention heads. {model_field('heads.level').reason}",
    "neurons": f"Neurons of the MLPs. {model_field('neurons.level').reason}",
    "shape": model_field("neurons.shape").reason,
    "steepness": model_field("neurons.steepness").reason,
    "apply_to": "What the shape and the three sliders below act on; the others are pruned alike in every layer.",
    **{block: f"The share of units that goes from the {block} third of the layers." for block in BLOCKS},
    "steps": f"Training after pruning. {model_field('tuning.steps').reason}",
    "prompt": model_field("prompt").reason,
}
SHAPE_HELP = {
    "uniform": "Every layer loses the same share.",
    "linear": "The share grows evenly from the front block to the back one, to Steepness times as much.",
    "exponential": "The same, but each block loses the same multiple of the one before it.",
    "custom": "As Front, Middle and Back say; or layer by layer, as suggested or as More choices say.",
}
# The choices of the fold: heading → field → the words beside its control, each once on the whole form.
GROUPS = {
    "Which units": {
        "allocation": "How shares are found", "heads.layers": "Heads, share by layer", "heads.cap": "Heads, most of a layer",
        "heads.floor": "Heads, least to keep", "neurons.layers": "Neurons, share by layer",
        "neurons.cap": "Neurons, most of a layer", "neurons.floor": "Neurons, least to keep",
        "protect.first": "First layers to spare", "protect.last": "Last layers to spare",
        "suggestion.by": "Suggest a share for each", "suggestion.damage": "Damage for suggestions",
    },
    "Rounds": {
        "rounds": "Rounds", "ramp": "Rise over the rounds", "recover": "When to recover", "revive": "Let units come back",
    },
    "Compensation": {"compensation": "Compensation", "ridge": "Ridge", "add_biases": "Add missing biases"},
    "Training": {
        "tuning.method": "Training method", "tuning.learning_rate": "Learning rate", "tuning.batch_size": "Batch size",
        "tuning.accumulation": "Pieces of a batch", "tuning.sequence_length": "Training block length",
        "tuning.warmup": "Warm-up", "tuning.decay": "Decay of the rate", "tuning.weight_decay": "Weight decay",
        "tuning.clip": "Largest gradient norm", "tuning.rank": "LoRA: rank", "tuning.targets": "LoRA: where",
        "tuning.temperature": "Distil: temperature", "tuning.mix": "Distil: share of the loss",
        "tuning.student": "Distil: what trains", "tuning.patience": "Patience", "tuning.guard": "Guard (perplexity)",
        "tuning.cut_first": "Train the cut model", "tuning.control": "Train a control",
    },
    "Text": {
        "calibration.tokens": "Calibration tokens", "calibration.sequence_length": "Calibration block length",
        "evaluation.tokens": "Evaluation tokens", "evaluation.sequence_length": "Evaluation block length",
    },
    "Machine": {"device": "Device", "precision": "Precision", "seed": "Seed", "cut": "Cut at the end"},
}  # fmt: skip
MEANINGS = {
    "compensation": {
        "none": "What is left stays as it is.",
        "bias": "The mean of what the units wrote is added to the bias of the output projection.",
        "least-squares": "Each output projection is fitted anew, so that what is left writes almost what all wrote.",
        "sequential": "The same, layer by layer from the front, on what the pruned model sees there. It takes longer.",
    }
}


def glossary() -> str:
    """A fold with every help text, for those who cannot hover."""
    items = [f"<dt>{html.escape(LABELS[name])}</dt><dd>{html.escape(HELP[name])}</dd>" for name in LABELS]
    criteria = [f"<dt>{html.escape(name)}</dt><dd>{html.escape(criterion_help(name))}</dd>" for name in CRITERIA.names()]
    shapes = [f"<dt>{name}</dt><dd>{text}</dd>" for name, text in SHAPE_HELP.items()]
    families = [
        f"<dt>{html.escape(entry.facts['LABEL'])}</dt><dd>{html.escape(entry.help.partition('; holds')[0])}.</dd>"
        for entry in FAMILIES.entries.values()
    ]
    return (
        '<details class="esp-fold"><summary>What the controls mean</summary>'
        f"<dl>{''.join(items)}</dl><h4>Criteria</h4><dl>{''.join(criteria)}</dl><h4>Shapes</h4><dl>{''.join(shapes)}</dl>"
        f"<h4>Architectures</h4><dl>{''.join(families)}</dl></details>"
    )
