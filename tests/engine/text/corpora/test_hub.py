"""Any dataset, from a folder and from the hub, played by a server on loopback, with the real library `datasets`."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from engine.record.errors import BadInput
from engine.text.corpora import hub as corpus
from engine.text.corpora import read_corpus
from engine.text.rows import LOOK
from tests.fakehub import GATED, environment, serve

READ = """
import json, sys
from engine.record.errors import BadInput
from engine.text.corpora import read_corpus
for name in sys.argv[1:]:
    try:
        splits = read_corpus(name)
        print(json.dumps([splits.name, splits.train, splits.calibration, splits.evaluation, splits.licence]))
    except BadInput as refused:
        print(json.dumps([None, str(refused)]))
"""
CARD = """---
configs:
- config_name: first
  data_files: [{split: train, path: first/train-*}, {split: validation, path: first/val-*}, {split: test, path: first/test-*}]
- config_name: second
  data_files: [{split: train, path: second/train-*}]
---
"""


def read(names, address, home, **variables):
    """What `read_corpus` makes of names in a process of its own, which must print nothing else."""
    asked = [sys.executable, "-W", "error", "-c", READ, *names]
    run = subprocess.run(asked, env=environment(address, home) | variables, capture_output=True, text=True, timeout=300)
    assert (run.returncode, run.stderr) == (0, "")
    return [json.loads(line) for line in run.stdout.splitlines()]


def rows(part: str, count: int) -> list[str]:
    """Texts that no other part has."""
    return [f"The {part} tree {number} stands in the old garden." for number in range(count)]


def write(path: Path, **columns: list) -> None:
    """A parquet file of these columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path)


def parts(splits) -> tuple[tuple[str, ...], ...]:
    """The three parts."""
    return splits.train, splits.calibration, splits.evaluation


def test_datasets_come_from_the_hub(tmp_path):
    """Official splits by configuration; one that must be named, that is not there, and that asks for permission are refused."""
    folder = tmp_path / "hub" / "datasets" / "org" / "garden"
    for part, count in (("train", 30), ("val", 4), ("test", 5)):
        write(folder / "first" / f"{part}-00000-of-00001.parquet", text=rows(part, count), number=list(range(count)))
    write(folder / "second" / "train-00000-of-00001.parquet", body=rows("second", 40))
    (folder / "README.md").write_text(CARD)
    write(folder.with_name("closed") / "train.parquet", text=rows("closed", 9))
    (folder.with_name("closed") / GATED).touch()
    names = ["org/garden/first", "org/garden/second", "org/garden", "org/garden/third", "org/nowhere", "org/closed"]
    with serve(tmp_path / "hub") as server:
        first, second, *refused = read([f"hub:{name}" for name in names], server.address, tmp_path / "home")
    assert first == ["hub:org/garden/first", rows("train", 30), rows("val", 4), rows("test", 5), None]
    assert sorted(text for part in second[1:4] for text in part) == sorted(rows("second", 40))
    assert [len(part) for part in second[1:4]] == [32, 4, 4]
    assert all(none is None and "\\n" not in why for none, why in refused)
    assert "first" in refused[0][1] and "first" in refused[1][1]  # the configurations that there are
    assert "nowhere" in refused[2][1] and "closed" in refused[3][1]


def write_csv(folder: Path) -> None:
    """Two columns, one of text."""
    with (folder / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("number", "line"), *enumerate(rows("csv", 20))])


FOLDERS = {
    "parquet": lambda folder: write(folder / "train.parquet", text=rows("parquet", 20), title=rows("title", 20)),
    "json": lambda folder: (folder / "train.jsonl").write_text("\n".join(json.dumps({"body": row}) for row in rows("json", 20))),
    "csv": write_csv,
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_of_files_is_a_dataset(kind, tmp_path):
    """The column is "text", or the only one of strings; the parts are disjoint, and the same every time."""
    FOLDERS[kind](tmp_path)
    splits = read_corpus(f"hub:{tmp_path}")
    assert sorted(text for part in parts(splits) for text in part) == sorted(rows(kind, 20))
    assert [len(part) for part in parts(splits)] == [16, 2, 2] and splits.licence is None
    assert read_corpus(f"hub:{tmp_path}") == splits


def test_what_is_missing_is_taken_from_train(tmp_path):
    """A test split stays the evaluation; no text is in two parts, though the dataset has one in both."""
    write(tmp_path / "train.parquet", text=[*rows("train", 30), *rows("test", 1)])
    write(tmp_path / "test.parquet", text=rows("test", 6))
    splits = read_corpus(f"hub:{tmp_path}")
    assert splits.evaluation == tuple(rows("test", 6))
    assert set(splits.train) | set(splits.calibration) == set(rows("train", 30)) and not set(splits.train) & set(
        splits.calibration
    )
    assert len(splits.calibration) == 3


def test_only_the_beginning_is_read(tmp_path, monkeypatch):
    """Up to the text that makes it so many words; repeated and empty rows do not count."""
    monkeypatch.setattr(corpus, "MOST", corpus.MOST | {"train": 90})
    write(tmp_path / "train.parquet", text=[*rows("train", 2), "", None, *rows("train", 50)])
    splits = read_corpus(f"hub:{tmp_path}")
    assert sorted(text for part in parts(splits) for text in part) == sorted(rows("train", 10))


def test_only_the_beginning_is_read_of_a_script_without_spaces(tmp_path, monkeypatch):
    """Whose rows are not a word each."""
    monkeypatch.setattr(corpus, "MOST", corpus.MOST | {"train": 1000})
    texts = [f"{number}，" + "春眠不觉晓，处处闻啼鸟。" * 20 for number in range(100, 200)]
    write(tmp_path / "train.parquet", text=texts)
    assert sorted(text for part in parts(read_corpus(f"hub:{tmp_path}")) for text in part) == texts[:9]


def test_a_column_of_text_is_known_by_its_name_where_its_first_cell_is_empty(tmp_path):
    """What stands beside it is not taken for it."""
    late, named = tmp_path / "late", tmp_path / "named"
    late.mkdir(), named.mkdir()
    lines = [{"text": None, "title": "x"}, *({"text": row, "title": "y"} for row in rows("text", 20))]
    (late / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert sorted(text for part in parts(read_corpus(f"hub:{late}")) for text in part) == sorted(rows("text", 20))
    write(named / "train.parquet", title=rows("title", 20), content=rows("content", 20))
    assert sorted(text for part in parts(read_corpus(f"hub:{named}")) for text in part) == sorted(rows("content", 20))


def test_a_column_of_text_may_be_empty_for_long(tmp_path):
    """In all rows that are looked at first, or in a whole split, which then is as one that is missing."""
    lines = [{"text": None, "title": "x"}] * (LOOK + 50) + [{"text": row, "title": "y"} for row in rows("text", 20)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "validation.jsonl").write_text(json.dumps({"text": None, "title": "z"}))
    splits = read_corpus(f"hub:{tmp_path}")
    assert sorted(text for part in parts(splits) for text in part) == sorted(rows("text", 20)) and splits.calibration


@pytest.mark.parametrize(
    "columns, why",
    [
        ({"title": rows("title", 9), "body": rows("body", 9)}, "several columns.*title, body"),
        ({"number": list(range(9))}, "no column with text in its first 9 rows.*number"),
        ({"body": [None] * 9, "text": [["a list"]] * 9}, "no column with text in its first 9 rows.*body, text"),
        ({"text": ["the same row"] * 9}, "1 texts that differ"),
    ],
    ids=["several", "none", "no string", "one text"],
)
def test_a_dataset_without_its_text_is_refused(columns, why, tmp_path):
    """The message lists the columns that are there."""
    write(tmp_path / "train.parquet", **columns)
    with pytest.raises(BadInput, match=why):
        read_corpus(f"hub:{tmp_path}")


@pytest.mark.parametrize("name", ["train.jsonl", "train.csv"])
def test_an_empty_file_is_refused(name, tmp_path):
    """In one sentence, whatever the reader of its kind makes of it."""
    (tmp_path / name).touch()
    with pytest.raises(BadInput, match="corpus hub .* cannot be read"):
        read_corpus(f"hub:{tmp_path}")


@pytest.mark.parametrize("where", ["", "a/b/c/d", "a//b", "/no/such/folder"])
def test_what_is_no_id_is_refused(where):
    """Without asking the hub for it."""
    with pytest.raises(BadInput, match="write"):
        read_corpus(f"hub:{where}")


def test_without_the_network_it_says_what_to_do(tmp_path):
    """One sentence names the network and the text that needs none; nobody is kept waiting where the hub is switched off."""
    ((_, why),) = read(["hub:org/garden"], "http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert "the network" in why and "wikipedia-sample" in why and "offline" in why.lower()
