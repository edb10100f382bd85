"""Some levels.

What do they cost?

Three of the neurons and two of the heads, on a model that has its text beside it. This is judged by the number alone, since it is
here to be carried out and not to be answered.
"""

from engine.record.done_cells import done, ratios
from engine.record.figure import Figure, Table, Verdict
from engine.record.sweep import Sweep


def sweeps(model, form):
    """Two sweeps of a second each."""
    tokens = {"tokens": 512 if form == "short" else 1024, "sequence_length": 32}
    recipe = {"model": model, "corpus": f"file:{model}/text.txt", "evaluation": tokens, "calibration": tokens}
    levels = {"of neurons": {"neurons.level": [0.2, 0.4, 0.6]}, "of heads": {"heads.level": [0, 1]}}
    return {name: Sweep(recipe, axes) for name, axes in levels.items()}


def answer(found):
    """Always the same."""
    return (Verdict("The levels cost something"),)


def figures(found):
    """One curve."""
    line = ratios("neurons", done(found, "of neurons"), lambda cell: cell.cell.set["neurons.level"])
    return (Figure("levels", "curves", "Levels", "level", "perplexity ratio", (line,)),)


def table(found):
    """A row for each cell of the first sweep."""
    cells = done(found, "of neurons")
    return Table(("level", "perplexity"), tuple((each.cell.set["neurons.level"], each.cell.perplexity) for each in cells))
