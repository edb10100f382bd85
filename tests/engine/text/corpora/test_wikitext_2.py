"""WikiText-2 from the hub, played by a server on loopback: the official splits, article by article, and an honest refusal."""

import json
import subprocess
import sys

import pyarrow
import pytest
from pyarrow import parquet

from engine.text.corpora.wikitext_2 import articles
from tests.fakehub import environment, serve

ROWS = {
    part: [
        "",
        f" = {part} one = \n",
        "",
        f" A sentence of {part} . \n",
        " = = Section = = \n",
        " Another . \n",
        f" = {part} two = \n",
        " End . \n",
    ]
    for part in ("train", "validation", "test")
}
CARD = """---
configs:
- config_name: wikitext-2-raw-v1
  data_files:
  - split: train
    path: wikitext-2-raw-v1/train-*
  - split: validation
    path: wikitext-2-raw-v1/validation-*
  - split: test
    path: wikitext-2-raw-v1/test-*
---
"""
READ = """
import json, sys
from engine.record.errors import BadInput
from engine.text.corpora import read_corpus
try:
    splits = read_corpus("wikitext-2")
except BadInput as refused:
    sys.exit(str(refused))
print(json.dumps([splits.train, splits.calibration, splits.evaluation, splits.licence]))
"""


HURRIED = "import time\ntime.sleep = lambda seconds: None\n"  # the hub's client tries six times, over 23 seconds


def read(address, home, before=""):
    """Read wikitext-2 in a process of its own, which knows only the hub at `address`, once it has run the code `before`."""
    command = [sys.executable, "-c", before + READ]
    return subprocess.run(command, env=environment(address, home), capture_output=True, text=True, timeout=120)


@pytest.fixture
def hub_folder(tmp_path):
    """A folder with a Salesforce/wikitext of a few lines, laid out as the real one."""
    repository = tmp_path / "hub" / "datasets" / "Salesforce" / "wikitext"
    (repository / "wikitext-2-raw-v1").mkdir(parents=True)
    (repository / "README.md").write_text(CARD)
    for part, rows in ROWS.items():
        table = pyarrow.table({"text": rows})
        parquet.write_table(table, repository / "wikitext-2-raw-v1" / f"{part}-00000-of-00001.parquet")
    return tmp_path / "hub"


def test_the_official_splits_come_from_the_hub(hub_folder, tmp_path):
    """Train, validation and test become train, calibration and evaluation; a second reading downloads nothing again."""
    with serve(hub_folder) as hub:
        first = read(hub.address, tmp_path / "home")
        assert first.returncode == 0, first.stderr
        *parts, licence = json.loads(first.stdout)
        for part, documents in zip(ROWS, parts, strict=True):
            assert documents == [
                f"= {part} one = \n A sentence of {part} . \n = = Section = = \n Another .",
                f"= {part} two = \n End .",
            ]
        assert "CC BY-SA" in licence
        asked = len(hub.requests)
        assert read(hub.address, tmp_path / "home").stdout == first.stdout
        assert not [request for request in hub.requests[asked:] if request.startswith("GET") and "parquet" in request]


def test_without_a_hub_it_says_what_to_do(tmp_path):
    """Nothing listens on the discard port: one sentence names the network and the text that needs none."""
    refused = read("http://127.0.0.1:9", tmp_path, HURRIED)
    message = refused.stderr.strip().splitlines()[-1]
    assert refused.returncode == 1
    assert "could not be fetched" in message
    assert "wikipedia-sample" in message


def test_articles_begin_at_titles():
    """A section heading, with two signs or more, begins none; blank rows before the first title make no document."""
    assert articles(["", " = One = \n", " text \n", " = = Two = = \n", " = Three = \n"]) == (
        "= One = \n text \n = = Two = =",
        "= Three =",
    )
