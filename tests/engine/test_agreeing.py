"""Tests of engine/agreeing.py: criteria compared in a run of a tiny model, against pandas, and kept for the page of results."""

from contextlib import closing

import pandas
import pytest

from engine.agreeing import Comparison, agreed, agreeing, comparison
from engine.models.load import load
from engine.pruning.evidence import Evidence
from engine.record.agreement import RankCorrelation
from engine.record.agreement_file import read_agreed
from engine.record.catalogue import CRITERIA
from engine.record.errors import BadInput
from engine.record.events import CriteriaCompared, ModelLoaded
from engine.record.experiment_folder import default_folder
from engine.record.folder import Writer, create, home
from engine.record.lifecycle import RunFinished, RunStarted
from engine.results.__main__ import main
from engine.text.corpora import read_corpus
from engine.text.texts import Texts

NAMES = ("ablation", "magnitude", "obs", "random", "taylor")
SEEDS = (0, 1, 2)
MODEL = ModelLoaded("gpt2-tiny", "gpt2", 9, 256, 3072, (6, 4), (5, 8), (1, 1), (1, 1), "cpu", "float32")


@pytest.fixture
def asked(recipe) -> Comparison:
    """Five criteria on the tiny model."""
    return Comparison("medium", recipe, NAMES, SEEDS)


def test_the_correlations_are_those_that_pandas_finds(asked, recipe, tmp_path):
    """Of the scores themselves, layer by layer; random is there by every seed, the others by the first, and a second time nothing
    happens. Neurons have no ablation."""
    assert isinstance(list(agreeing(asked, tmp_path / "run"))[-1], RunFinished)
    told = agreed(asked, tmp_path / "run")
    loaded = load(recipe.model)
    texts = Texts(read_corpus(recipe.corpus), loaded.tokenizer, loaded.anatomy.context, loaded.anatomy.vocabulary)
    blocks = texts.blocks("calibration", recipe.calibration.sequence_length, recipe.calibration.tokens)
    evidence, pairs = Evidence(loaded.model, loaded.anatomy), 0
    for seed in SEEDS:
        steps = evidence.scores_of(NAMES, blocks, seed)
        with pytest.raises(StopIteration) as end:
            while True:
                next(steps)
        scores = dict(zip(NAMES, end.value.value, strict=True))
        for pair in told.found[seed]:
            layers = zip(getattr(scores[pair.one], pair.kind), getattr(scores[pair.other], pair.kind), strict=True)
            wanted = [pandas.DataFrame(both).T.corr(method="spearman").loc[0, 1] for both in layers]
            assert pair.correlation == pytest.approx(sum(wanted) / len(wanted)) and pair.layers == 3
            assert seed == 0 or "random" in (pair.one, pair.other)
        pairs += len(told.found[seed])
    assert pairs == (10 + 6) + 2 * (4 + 3) and len(told.pairs) == 16
    assert list(agreeing(asked, tmp_path / "run")) == [] and agreed(asked, tmp_path / "run") == told


def test_a_run_that_is_not_over_or_is_another_is_refused(asked, tmp_path):
    """With what can be done about it."""
    with closing(agreeing(asked, tmp_path / "left")) as events:
        next(events)
    for read in (lambda: list(agreeing(asked, tmp_path / "left")), lambda: agreed(asked, tmp_path / "left")):
        with pytest.raises(BadInput, match="did not come to its end.*--resume"):
            read()
    _write(asked, tmp_path / "other", ("magnitude", "random"))
    with pytest.raises(BadInput, match="another run than this comparison"):
        agreed(asked, tmp_path / "other")


def test_an_oracle_is_there_where_it_is_afforded_and_wanted():
    """With as many seeds as the experiment has."""
    assert comparison("gpt2-tiny", "medium").criteria == CRITERIA.names() and comparison("gpt2-tiny", "medium").seeds == SEEDS
    cheap = tuple(name for name in CRITERIA.names() if name != "ablation")
    assert comparison("gpt2-tiny", "medium", oracle=False).criteria == comparison("smollm2-135m", "medium").criteria == cheap
    assert len(comparison("smollm2-135m", "full").seeds) == 5 and "ablation" in comparison("smollm2-135m", "full").criteria


def test_results_keep_a_comparison_that_was_made_and_show_it(tmp_path, monkeypatch, capsys):
    """Beside the other files, with the command that repeats it; nothing is compared again."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    asked, docs = comparison("gpt2-tiny", "medium", oracle=False), tmp_path / "docs"
    folder = default_folder("agreement", "gpt2-tiny", "medium")
    assert folder.parent == home()
    _write(asked, folder, asked.criteria)
    command = ["--experiment", "agreement", "--model", "gpt2-tiny", "--form", "medium", "--without-oracle"]
    assert main(["--run", *command, "--docs", str(docs)]) == 0
    kept = read_agreed(docs / "results" / "agreement-gpt2-tiny.json")
    assert kept == agreed(asked, folder) and list(kept.found) == list(SEEDS)
    assert kept.tokens == 8192 and kept.units == {"heads": 6, "neurons": 8}
    page = (docs / "results.md").read_text()
    assert f"python -m engine.results --run {' '.join(command)}\n" in page and "energy and taylor are the most alike" in page
    assert "Agreement between criteria on gpt2-tiny is without ablation, which takes many passes." in page
    assert "Agreement between criteria has not been run on opt-tiny, pythia-tiny, smollm2-135m." in page
    assert (docs / "results" / "criteria-agreement-heads.svg").is_file()
    (docs / "results" / "agreement-gpt2-tiny.json").write_text("{}")
    assert main(["--docs", str(docs)]) == 2 and "agreement-gpt2-tiny.json" in capsys.readouterr().err


def _write(asked: Comparison, folder, criteria) -> None:
    """A run that has compared these criteria, by every seed, with numbers that are made up."""
    create(asked.recipe, folder)
    told = [("energy", "taylor", "heads", 0.9, 6), ("entropy", "taylor", "heads", 0.1, 6), ("random", "taylor", "heads", 0, 6)]
    facts = [CriteriaCompared(tuple(criteria), tuple(RankCorrelation(*pair) for pair in told), 8192) for _ in asked.seeds]
    with closing(Writer(folder / "events.jsonl")) as log:
        for fact in (RunStarted(asked.recipe.model_dump(mode="json"), "0"), MODEL, *facts, RunFinished()):
            log.append(fact)
