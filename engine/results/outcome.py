"""What one experiment came to, as files beside its sweeps and as lines for people; measures nothing."""

from collections.abc import Mapping
from pathlib import Path

from engine.record.catalogue import EXPERIMENTS
from engine.record.figure import Figure, as_sentence
from engine.record.folder import write_atomic
from engine.record.result import Result, as_json
from engine.results.tables import as_csv, as_text

INSTALL = "pip install 'espalier[results]'"


def title_of(name: str) -> str:
    """The title of an experiment, without its full stop."""
    return EXPERIMENTS.entry(name).help.splitlines()[0].rstrip(".")


def in_words(result: Result) -> str:
    """The answer and the table, and how much of it is done."""
    experiment = EXPERIMENTS.load(result.experiment)
    failed = sum(result.failures.values())
    said = f"{title_of(result.experiment)}, {result.model}, {result.form} form: {result.done:,} of {result.asked:,} cells"
    head = f"{said}, {failed:,} failed" if failed else said
    answer = "\n".join(as_sentence(each) for each in experiment.answer(result.found))
    return "\n\n".join((head, answer, as_text(experiment.table(result.found))))


def keep(result: Result, folder: Path) -> tuple[list[Path], str]:
    """Write the result, its table and its charts into a folder; returns the files, and a sentence where none can be drawn."""
    experiment = EXPERIMENTS.load(result.experiment)
    kept = [folder / "result.json", folder / "table.csv"]
    for path, text in zip(kept, (as_json(result), as_csv(experiment.table(result.found))), strict=True):
        write_atomic(path, text)
    drawn = {figure.name: {result.model: figure} for figure in experiment.figures(result.found) if figure.series}
    try:
        kept += charts(drawn, folder)
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        return kept, f"Charts are drawn where matplotlib is: {INSTALL}."
    return kept, ""


def charts(drawn: Mapping[str, Mapping[str, Figure]], folder: Path) -> list[Path]:
    """Draw each of some figures, a panel for every model, as an SVG under its name; raises `ModuleNotFoundError` without
    matplotlib."""
    from engine.results.drawing import draw

    paths = []
    for name, panels in drawn.items():
        paths.append(folder / f"{name}.svg")
        draw(panels, paths[-1])
    return paths
