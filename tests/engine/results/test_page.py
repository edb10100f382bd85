"""Tests of engine/results/page.py and of what it made: docs/results.md and the README are what the committed files say."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from engine.record.catalogue import EXPERIMENTS
from engine.record.errors import BadInput
from engine.record.result import Result, as_json
from engine.results.__main__ import main
from engine.results.agreement import figures
from engine.results.page import missing, page, panels, read_agreements, read_all, with_quote
from tests.engine.record.experiments.made_up import found_by

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def results():
    """What the committed files hold."""
    return read_all(DOCS / "results")


@pytest.fixture(scope="module")
def agreements():
    """The comparisons of criteria among them."""
    return read_agreements(DOCS / "results")


def test_the_page_is_what_the_files_say(results, agreements):
    """`python -m engine.results` would change nothing, neither there nor in the README."""
    assert page(results, agreements) == (DOCS / "results.md").read_text(encoding="utf-8")
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert with_quote(readme, results) == readme and readme.count("<!-- claims -->") == 1


def test_every_chart_is_there_and_no_other(results, agreements):
    """One SVG for each figure of each experiment that was run, and for each kind of unit on which criteria were compared."""
    shown = set(re.findall(r"\]\(results/([\w-]+)\.svg\)", (DOCS / "results.md").read_text(encoding="utf-8")))
    drawn = {name for each in EXPERIMENTS.names() for name in panels(one for one in results if one.experiment == each)}
    drawn |= figures(agreements).keys()
    assert shown == drawn == {path.stem for path in (DOCS / "results").glob("*.svg")}


def test_a_result_file_names_its_protocol(results):
    """Model, text, seeds, versions and day; each sweep with its recipe, from which all of it can be done again."""
    for each in results:
        assert {"espalier", "python", "torch", "transformers"} <= each.versions.keys() and re.fullmatch(
            r"\d{4}-\d\d-\d\d", each.at
        )
        for sweep in each.sweeps.values():
            assert {"model", "evaluation", "calibration"} <= sweep.recipe.keys() and sweep.seeds


def test_criteria_were_compared_as_the_experiment_has_them(results, agreements):
    """On the same models, text and number of tokens to calibrate on, with some of the seeds of random; versions are named."""
    measured = {each.model: each for each in results if each.experiment == "criteria"}
    assert [each.model for each in agreements] == list(measured)
    for each in agreements:
        beside = measured[each.model]
        recipe = next(cell.recipe for sweep in beside.sweeps.values() for cell in sweep.cells)
        assert (each.form, each.corpus, each.tokens) == (beside.form, recipe.corpus, recipe.calibration.tokens)
        assert set(each.found) <= {cell.seed for sweep in beside.sweeps.values() for cell in sweep.cells}
        assert {"espalier", "python", "torch", "transformers"} <= each.versions.keys()
        assert not any("ablation" in (pair.one, pair.other) for pair in each.found[0] if pair.kind == "neurons")


def test_the_page_is_made_from_files_alone(tmp_path, capsys):
    """What was not run is said; a number that is changed in a file is changed on the page; no experiment is carried out."""
    name, sweeps = "sensitivity", EXPERIMENTS.load("sensitivity").sweeps("opt-tiny", "medium")
    (tmp_path / "results").mkdir()
    for high in (1.5, 3.0):
        found = found_by(sweeps, lambda recipe, high=high: {"pruned": 100 * high ** (recipe.neurons.blocks or (0,))[0]})
        result = Result(name, "opt-tiny", "medium", "2026-11-22", {"espalier": "0"}, "a machine", sweeps, found)
        (tmp_path / "results" / "any.json").write_text(as_json(result))
        assert main(["--docs", str(tmp_path)]) == 0
        text = (tmp_path / "results.md").read_text()
        said = "Removing neurons: the front block is the most sensitive; without units of the front perplexity is"
        assert f"{said}, on average over the shares, {high**0.5:.2f}" in text
        assert "Sensitivity: which layers can lose units has not been run on gpt2-tiny, pythia-tiny, smollm2-135m." in text
        assert text.count("not measured") >= 5 and (tmp_path / "results" / "sensitivity-neurons-by-block.svg").is_file()
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "results.md")] * 2


def test_cells_that_failed_are_told_apart_from_those_that_were_not_run():
    """Failed ones with their reasons, each with how many there are."""
    sweeps = EXPERIMENTS.load("sensitivity").sweeps("opt-tiny", "medium")
    found = found_by(sweeps, lambda recipe: {"pruned": 150.0}, keep=lambda number: number > 0)
    first = next(iter(sweeps))
    for number in (1, 2, 3):
        why = "No room." if number < 3 else "No model."
        found[first][number] = replace(found[first][number], status="failed", error=why, perplexity=None, perplexities={})
    result = Result("sensitivity", "opt-tiny", "medium", "2026-11-22", {"espalier": "0"}, "a machine", sweeps, found)
    told = "\n".join(missing([result], []))
    title = "Sensitivity: which layers can lose units on opt-tiny"
    assert (
        f"- {title}: {len(sweeps)} cells not run yet.\n- {title}: 2 cells failed: No room.\n- {title}: 1 cell failed: No model."
        in told
    )


def test_a_file_that_is_no_result_is_refused(tmp_path, capsys):
    """By name, with status 2."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "odd.json").write_text(json.dumps({"model": 1}))
    with pytest.raises(BadInput, match="odd.json"):
        read_all(tmp_path / "results")
    assert main(["--docs", str(tmp_path)]) == 2 and "odd.json" in capsys.readouterr().err
