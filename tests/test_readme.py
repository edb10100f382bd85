"""What the README, the tree and the examples of how to extend say is held to what is there."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import ipywidgets
import pytest
import torch

from engine import evaluate, load_pruned
from engine.models.anatomy import dissect
from engine.record.registry import Registry
from engine.text.corpora import Splits

ROOT = Path(__file__).resolve().parent.parent
README, EXTENDING, TREE = (
    (ROOT / path).read_text(encoding="utf-8") for path in ("README.md", "docs/extending.md", "docs/tree.md")
)
EXAMPLES = dict(re.findall(r"\(`([\w/]+\.py)`\):\n\n```python\n(.*?)```", EXTENDING, re.DOTALL))


def example(path: str, folder: Path):
    """The example that is shown for a path, written to a folder and imported from there."""
    file = folder / Path(path).name
    file.write_text(EXAMPLES[path], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"example_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_examples_are_the_four_that_it_speaks_of():
    """A family, a criterion, a corpus, a chart; none of them is in the tree already."""
    assert [Path(path).parent.as_posix() for path in EXAMPLES] == [
        "engine/models/families",
        "engine/pruning/criteria",
        "engine/text/corpora",
        "widgets/charts",
    ]
    assert not any((ROOT / path).exists() for path in EXAMPLES)


def test_what_may_be_skipped_is_said_beside_the_command_that_runs_the_tests():
    """All that CI does not let the tests skip, by the name of what brings it."""
    brought = {"BROWSER": "Chromium", "SMOLLM2": "`make smollm`", "HARNESS": "`make harness`"}
    asked = re.findall(r"ESPALIER_REQUIRE_(\w+)=1", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    said = README.partition("## Two commands")[2].partition("\n## ")[0]
    assert set(asked) == set(brought) and all(words in said for words in brought.values())


@pytest.mark.parametrize("path", EXAMPLES)
def test_an_example_dropped_into_its_folder_is_an_entry_with_help(path, tmp_path):
    """The registry reads it without importing it."""
    (tmp_path / Path(path).name).write_text(EXAMPLES[path], encoding="utf-8")
    registry = Registry("entry", "nowhere", tmp_path)
    (name,) = registry.names()
    assert len(registry.entry(name).help) > 40
    assert {"LABEL", "TITLE"} & set(registry.entry(name).facts)


def test_the_family_of_the_examples_describes_a_real_model(tmp_path, monkeypatch):
    """GPT-J by its data alone: a head cut away equals a head gated."""
    from transformers import GPTJConfig, GPTJForCausalLM

    from engine.models import anatomy
    from engine.pruning.cut import cut
    from engine.pruning.gates import Gates
    from engine.pruning.plan import Plan

    family = example("engine/models/families/gptj.py", tmp_path)
    spelled = type("Families", (), {"names": staticmethod(lambda: ("gptj",)), "load": staticmethod(lambda name: family)})
    monkeypatch.setattr(anatomy, "FAMILIES", spelled)
    size = {"vocab_size": 50, "n_positions": 16, "n_embd": 24, "n_layer": 2, "n_head": 3, "rotary_dim": 4}
    model = GPTJForCausalLM(GPTJConfig(**size, bos_token_id=0, eos_token_id=0, attn_pdrop=0, resid_pdrop=0)).double().eval()
    assert [layer.heads for layer in dissect(model).layers] == [3, 3]
    plan, tokens = Plan({(0, 1), (1, 0)}, {(0, 5), (1, 7)}), torch.arange(12).view(1, 12)
    with torch.no_grad(), Gates(model) as gates:
        gates.set(plan)
        gated = model(tokens).logits
    with torch.no_grad():
        torch.testing.assert_close(cut(model, plan)(tokens).logits, gated, rtol=0, atol=1e-10)


def test_the_criterion_of_the_examples_scores_every_unit(tmp_path):
    """High where the columns are long: a neuron whose column is doubled rises."""
    from tests.families import make

    criterion = example("engine/pruning/criteria/output_norm.py", tmp_path)
    model = make("gpt2")
    anatomy = dissect(model)
    before = criterion.score(model, anatomy, None, 0)
    assert [len(heads) for heads in before.heads] == [layer.heads for layer in anatomy.layers]
    with torch.no_grad():
        model.transformer.h[0].mlp.c_proj.weight[4] *= 2  # [in, out]
    after = criterion.score(model, anatomy, None, 0)
    assert after.neurons[0][4] == pytest.approx(2 * before.neurons[0][4])


def test_the_corpus_of_the_examples_has_three_disjoint_splits(tmp_path):
    """No document is in two of them."""
    splits = example("engine/text/corpora/zen.py", tmp_path).read()
    assert isinstance(splits, Splits)
    train, calibration, evaluation = (set(part) for part in (splits.train, splits.calibration, splits.evaluation))
    assert train and calibration and evaluation
    assert not (train & calibration or train & evaluation or calibration & evaluation)


def test_the_chart_of_the_examples_is_built_and_drawn(tmp_path):
    """On an empty state it says so."""
    from engine.record.state import RunState
    from widgets.theme import theme_named
    from widgets.view import View

    theme = theme_named("light")
    drawn = example("widgets/charts/weight.py", tmp_path).build(theme, lambda command: None)
    assert isinstance(drawn.widget, ipywidgets.HTML)
    drawn.draw(View(RunState(), None, theme))
    assert drawn.widget.value == "No model yet."


def named(text: str) -> set[str]:
    """The files and folders that the tree in a text names, by their paths: two spaces more stand for one folder further in."""
    found, inside = set(), []
    for line in re.search(r"# The tree\n.*?```\n(.*?)```", text, re.DOTALL)[1].splitlines():
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2
        inside = [*inside[:depth], name]
        found.add("".join(inside))
    return found


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a clone knows which files are kept")
def test_the_tree_has_a_line_for_every_file():
    """Each that is kept, and nothing that is gone. A test is told by what it tests, models and results by their folder."""
    kept = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.splitlines()
    told_by_folder = ("tests/", "benchmarks/results/", "docs/results/", "engine/models/builtin/gpt2-tiny/",
                      "engine/models/builtin/opt-tiny/", "engine/models/builtin/pythia-tiny/")  # fmt: skip
    markers = {path for path in kept if path.endswith("/__init__.py") and path.count("/") > 1} | {"benchmarks/__init__.py"}
    wanted = {path for path in kept if not path.startswith(told_by_folder)} - markers
    assert {path for path in named(TREE) if not path.endswith("/")} - markers == wanted


def test_the_short_tree_names_what_is_there():
    """A part of the whole one."""
    assert named(README) < named(TREE)


def test_the_loop_that_the_readme_shows_runs(tmp_path, monkeypatch, capsys):
    """The gated model, the cut one and the one that is loaded again have one perplexity."""
    (shown,) = (block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Gates" in block)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(shown, "README.md", "exec"), names)
    gated, smaller = map(float, capsys.readouterr().out.split())
    again, _ = load_pruned(tmp_path / "smaller")
    assert gated == pytest.approx(smaller, rel=1e-4)
    assert evaluate(again, names["blocks"]).perplexity == pytest.approx(smaller, rel=1e-6)


def test_the_commands_of_the_readme_are_commands(tmp_path):
    """`python -m engine` knows each subcommand that is shown."""
    for command in set(re.findall(r"^python -m engine (\w+)", README, re.MULTILINE)):
        help_text = subprocess.run([sys.executable, "-m", "engine", command, "--help"], capture_output=True, text=True, cwd=ROOT)
        assert help_text.returncode == 0 and help_text.stdout.startswith("usage")
