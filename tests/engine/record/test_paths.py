"""Paths as they are typed: whatever the file system would choke on is one sentence, wherever a path is asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.models.load import load
from engine.record.errors import BadInput
from engine.record.folder import cache_home, home
from engine.record.paths import kind_of, typed
from engine.text.corpora import read_corpus

ROOT = Path(__file__).parents[3]
SOURCES = ("file", "hub", "wikipedia-dump")
IMPOSSIBLE = {
    "~no-such-user-here/x": "knows no home folder of no-such-user-here",
    "a\0b": "zero byte",
    "x" * 300: "File name too long",
    "/tmp" + "/x" * 3000: "File name too long",
    "half \udc80 a byte\udfff": "zero byte or a sign that no file has",
}


def one_sentence(caught: pytest.ExceptionInfo) -> str:
    """What was said, which is short and has one line."""
    said = str(caught.value)
    assert "\n" not in said and len(said) < 300 and said.endswith(".")
    return said


@pytest.mark.parametrize("path", IMPOSSIBLE, ids=range(len(IMPOSSIBLE)))
@pytest.mark.parametrize(
    "ask",
    [lambda path: typed(path, "here"), load, *(lambda path, source=each: read_corpus(f"{source}:{path}") for each in SOURCES)],
    ids=("typed", "load", *SOURCES),
)
def test_a_path_that_cannot_be_is_one_sentence(path, ask):
    """For a corpus and for a model alike."""
    with pytest.raises(BadInput) as caught:
        ask(path)
    assert IMPOSSIBLE[path] in one_sentence(caught)


def test_each_of_three_paths_is_looked_at(tmp_path):
    """The sentence says which."""
    (tmp_path / "text.txt").write_text("words " * 2000)
    paths = {"train": str(tmp_path / "text.txt"), "calibration": "~no-such-user-here/x", "evaluation": "/nowhere"}
    with pytest.raises(BadInput, match="^corpus path calibration '~no-such-user-here/x' cannot be found") as caught:
        read_corpus(paths)
    one_sentence(caught)


def test_a_home_folder_is_put_in_for_its_sign(monkeypatch, tmp_path):
    """As a shell does it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert typed("~/text.txt", "here") == tmp_path / "text.txt"


@pytest.mark.parametrize("where", [home, cache_home])
def test_a_home_that_cannot_be_is_named(where, monkeypatch, capsys):
    """The variable comes from outside, so its name is in the sentence; on the command line too."""
    monkeypatch.setenv("ESPALIER_HOME", "~no-such-user-here")
    with pytest.raises(BadInput, match="^ESPALIER_HOME '~no-such-user-here' cannot be found") as caught:
        where()
    one_sentence(caught)


def test_what_is_at_a_path_is_told(tmp_path):
    """A link is what it leads to; a path through a file leads nowhere."""
    (tmp_path / "file").touch()
    (tmp_path / "loose").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    names = {"file": "file", "loose": "nothing", "link": "folder", "pipe": "something else", "file/x": "nothing", ".": "folder"}
    assert {name: kind_of(tmp_path / name, "here") for name in names} == names


@pytest.mark.parametrize("spec", ["file:/dev/zero", "file:{}/pipe", "file:{}/loop", "file:{}/folder", "file:{}/hidden"])
def test_a_text_that_has_no_end_or_no_beginning_is_refused(spec, tmp_path):
    """A device, a pipe, a link in a circle, a link into nothing: not waited for, nor passed over in silence."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "hidden").mkdir()
    os.mkfifo(tmp_path / "hidden" / "b.md")
    with pytest.raises(BadInput, match="^corpus") as caught:
        read_corpus(spec.format(tmp_path))
    one_sentence(caught)


def test_a_folder_that_may_not_be_looked_into_is_one_sentence(tmp_path, model_folder):
    """For a corpus, a model, a run to show and a run to make; asked by a process that is nobody, since root may do all."""
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "open" / "closed").mkdir(parents=True)
    (tmp_path / "open" / "text.txt").write_text("words " * 2000)
    (tmp_path / "open" / "closed").chmod(0)
    (tmp_path / "closed").chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from engine.models.load import load; from engine.text.corpora import read_corpus\n"
        "from engine.record.client import open_run; from engine.record.folder import create\n"
        "from engine.record.recipe import Recipe; from engine.record.errors import BadInput\n"
        "import engine.text.corpora.file, engine.text.corpora.wikipedia_dump, engine.text.rows, engine.text.corpora.hub\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "here, last = sys.argv[1], None\n"
        "asked = [lambda: read_corpus(f'file:{here}/closed/x.txt'), lambda: read_corpus(f'file:{here}/open'),\n"
        "         lambda: read_corpus(f'hub:{here}/closed/data'), lambda: read_corpus(f'wikipedia-dump:{here}/closed/x.xml'),\n"
        "         lambda: read_corpus(f'hub:{here}/closed'),\n"
        "         lambda: load(f'{here}/closed/model'), lambda: load(f'{here}/closed'),\n"
        "         lambda: open_run(f'{here}/closed'), lambda: create(Recipe(), Path(here, 'closed', 'run'))]\n"
        "for ask in asked:\n"
        "    try:\n"
        "        ask()\n"
        "    except BadInput as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120)
    (tmp_path / "open" / "closed").chmod(0o700)
    (tmp_path / "closed").chmod(0o700)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 9 and all("Permission denied" in line for line in said), said


def test_the_command_line_refuses_such_a_path_with_status_2(recipe, tmp_path, capsys):
    """One line, whichever field it stands in."""
    path = tmp_path / "recipe.json"
    path.write_text(recipe.model_dump_json())
    corpora = [f"corpus={source}:~no-such-user-here/x" for source in SOURCES]
    for number, change in enumerate([*corpora, "model=~no-such-user-here/x"]):
        assert main(["run", str(path), "--folder", str(tmp_path / str(number)), "--set", change]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith("espalier: ") and "no-such-user-here" in said
