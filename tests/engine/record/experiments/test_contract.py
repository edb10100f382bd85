"""What every experiment promises, tried on every file of the folder with numbers that are made up."""

import math
import re
import subprocess
import sys
from collections.abc import Mapping

import pytest

from engine.record.catalogue import EXPERIMENTS
from engine.record.errors import UnknownName
from engine.record.figure import Figure, Table, Verdict
from engine.record.scale import FORMS
from engine.record.sweep import Sweep
from tests.engine.record.experiments.made_up import found_by

KINDS = ("curves", "heat", "scatter", "bars")
SHORT = 600_000  # tokens that one model reads in the short form: a minute or two


def plain(recipe) -> Mapping[str, float]:
    """What goes costs something; half of it comes back."""
    rise = recipe.neurons.level + recipe.heads.level + sum(recipe.neurons.blocks or ()) / 3
    return {"pruned": 100 * math.exp(rise), "tuned": 90 * math.exp(rise / 2), "control": 90}


def tokens(sweeps: Mapping[str, Sweep]) -> int:
    """How much text all cells read, about: to measure, and to train, where a token takes three times as long."""
    count = 0
    for sweep in sweeps.values():
        for recipe in (cell.recipe for cell in sweep.cells):
            tuning, trains = recipe.tuning, sweep.mode == "recover"
            count += recipe.evaluation.tokens + trains * 3 * tuning.steps * tuning.batch_size * tuning.sequence_length
    return count


@pytest.fixture(params=EXPERIMENTS.names())
def experiment(request):
    """Each experiment of the folder."""
    return EXPERIMENTS.load(request.param)


@pytest.mark.parametrize("name", EXPERIMENTS.names())
def test_the_menu_entry_is_complete(name):
    """A title, a question and how it is judged, to be read without importing anything."""
    title, question, judged = EXPERIMENTS.entry(name).help.split("\n\n")
    assert title.endswith(".") and "\n" not in title
    assert question.endswith("?") and len(judged) > 80


@pytest.mark.parametrize("form", FORMS)
def test_the_sweeps_are_sweeps(experiment, form):
    """Every cell is a possible recipe, the names are good for folders, and each form asks for no more than the next."""
    sweeps = experiment.sweeps("gpt2-tiny", form)
    assert sweeps and all(re.fullmatch(r"[a-z0-9 ,-]+", name) for name in sweeps)
    assert [cell.error for sweep in sweeps.values() for cell in sweep.cells if cell.recipe is None] == []
    count, longer = tokens(sweeps), FORMS[FORMS.index(form) + 1 :]
    assert all(count < tokens(experiment.sweeps("gpt2-tiny", each)) for each in longer)
    models = {cell.recipe.model for sweep in sweeps.values() for cell in sweep.cells}
    assert form != "short" or count <= SHORT * len(models)


def test_other_models_and_forms(experiment):
    """Models of which less is known than of the built-in ones will do; another form is refused by name."""
    for model in ("smollm2-135m", "someone/some-model"):
        assert experiment.sweeps(model, "short")
    with pytest.raises(UnknownName, match="did you mean 'short'"):
        experiment.sweeps("gpt2-tiny", "shrot")


@pytest.mark.parametrize("part", ["none", "some", "all"])
def test_numbers_become_an_answer_charts_and_a_table(experiment, part):
    """Whatever is there so far: verdicts in words, charts whose points are cells of the sweeps, rows as wide as their head."""
    sweeps = experiment.sweeps("gpt2-tiny", "short")
    keep = {"none": lambda number: False, "some": lambda number: number % 3 == 1, "all": lambda number: True}[part]
    found = found_by(sweeps, plain, keep) if part != "none" else {}
    answer, figures, table = experiment.answer(found), experiment.figures(found), experiment.table(found)
    assert answer and all(isinstance(each, Verdict) and each.says and each.says[0].upper() == each.says[0] for each in answer)
    assert not any(re.search(r"\.$|\n|nan\b", text) for each in answer for text in (each.says, each.numbers))
    assert part != "none" or all("cannot be told" in each.says for each in answer)
    assert isinstance(table, Table) and all(len(row) == len(table.head) for row in table.rows)
    assert bool(table.rows) or part != "all"
    assert figures and len({figure.name for figure in figures}) == len(figures)
    for figure in figures:
        assert isinstance(figure, Figure) and figure.kind in KINDS and re.fullmatch(r"[a-z0-9-]+", figure.name)
        assert figure.title and figure.x_label and figure.y_label and (figure.kind != "heat" or figure.value_label)
        assert set(figure.fronts) <= {series.name for series in figure.series}
        assert bool(figure.series) or part != "all"
        for series in figure.series:
            assert len(series.x) == len(series.y) and all(math.isfinite(y) for y in series.y)
            assert {len(series.low), len(series.high)} <= {0, len(series.x)} and len(series.cells) in (0, len(series.x))
            assert all(
                low <= y <= high for low, y, high in zip(series.low, series.y, series.high, strict=bool(series.low)) if series.low
            )
            assert all(place is None or place.number in found[place.sweep] for place in series.cells)


def test_a_cell_that_failed_is_left_out(experiment):
    """It has no numbers, and takes no other with it."""
    from dataclasses import replace

    sweeps = experiment.sweeps("gpt2-tiny", "short")
    found = found_by(sweeps, plain)
    name = next(iter(sweeps))
    broken = replace(found[name][0], status="failed", perplexity=None, parameters=None, perplexities={}, error="no")
    found = found | {name: found[name] | {0: broken}}
    assert experiment.answer(found) and experiment.table(found).rows
    assert all(place.number for figure in experiment.figures(found) for one in figure.series for place in one.cells
               if place is not None and place.sweep == name)  # fmt: skip


def test_the_menu_is_read_without_torch():
    """The page draws experiments from a process that never imports torch."""
    code = "import sys; from engine.record.catalogue import EXPERIMENTS as all; [all.load(name) for name in all.names()]; "
    done = subprocess.run(
        [sys.executable, "-c", f"{code}print('torch' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
