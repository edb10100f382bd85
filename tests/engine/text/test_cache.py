"""The documents that are kept: made once, the same ever after, and never taken from a file that is not whole."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.text.cache import documents_of, path_of

ROOT = Path(__file__).parents[3]
DOCUMENTS = {"Zoo": "A ‘quoted’ word\nand a second line.", "Ark": ""}
SOURCE = {"dump": "abc", "bytes": 12}


def made(source=SOURCE, documents=DOCUMENTS):
    """The documents, and how often they had to be made for it."""
    calls = []
    found = documents_of("sample", source, lambda: calls.append(1) or dict(documents))
    return found, len(calls)


def test_documents_are_made_once_and_come_back_alike_and_in_order():
    """Signs, line ends and empty documents too."""
    assert made() == (DOCUMENTS, 1)
    found, times = made()
    assert times == 0 and list(found.items()) == list(DOCUMENTS.items())
    assert sorted(path.name for path in path_of("sample").parent.iterdir()) == ["sample.json", "sample.lock"]


def test_another_source_is_another_text():
    """A new dump, or a new parser, makes the documents anew; the old ones are not kept beside them."""
    made()
    assert made({**SOURCE, "bytes": 13}, {"New": "text"}) == ({"New": "text"}, 1)
    assert made({**SOURCE, "bytes": 13}) == ({"New": "text"}, 0)


DAMAGE = {
    "empty": lambda text: "",
    "cut short": lambda text: text[:-9],
    "one letter": lambda text: text.replace("second", "sedond"),
    "no JSON": lambda text: "[" * 100_000 + "\n" + text,
    "other JSON": lambda text: "[]\n{}",
    "no documents": lambda text: text.split("\n")[0],
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_is_made_anew(how):
    """And mended by that."""
    made()
    path = path_of("sample")
    path.write_text(DAMAGE[how](path.read_text(encoding="utf-8")), encoding="utf-8")
    assert made() == (DOCUMENTS, 1)
    assert made() == (DOCUMENTS, 0)


def test_bytes_that_are_no_text_are_made_anew():
    """A disk that went bad."""
    made()
    path_of("sample").write_bytes(b"\xff\xfe\x00\n" * 9)
    assert made() == (DOCUMENTS, 1)


def test_where_nothing_can_be_kept_the_documents_are_made_each_time(home):
    """The place of the folder is taken by a file."""
    (home / "cache").touch()
    assert made() == made() == (DOCUMENTS, 1)


def test_of_two_processes_one_makes_and_the_other_waits(tmp_path):
    """Both get the same; the second to come makes nothing."""
    code = (
        "import sys, time; from pathlib import Path; from engine.text.cache import documents_of\n"
        "def make():\n"
        "    time.sleep(1); open(sys.argv[1], 'a').write('x'); return {'a': 'b'}\n"
        "print(documents_of('sample', {}, make))"
    )
    asked = [sys.executable, "-c", code, str(tmp_path / "made")]
    both = [subprocess.Popen(asked, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [one.communicate(timeout=60)[0] for one in both] == ["{'a': 'b'}\n"] * 2
    assert (tmp_path / "made").read_text() == "x"


def test_what_is_kept_is_plain_json():
    """A line that says what the documents were made of, and a line with them."""
    made()
    head, body = path_of("sample").read_text(encoding="utf-8").splitlines()
    assert json.loads(head)["source"] == SOURCE and json.loads(body) == DOCUMENTS
