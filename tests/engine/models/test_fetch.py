"""Models from the hub, played by a server on loopback, with its real client: progress, revisions, what breaks off and goes on."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests import fakehub
from tests.engine.text.alphabet import tokenizer
from tests.fakehub import environment, serve
from tests.families import CLASSES, CONFIGS
from tests.warm import Warm

NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port
FETCH = """
import json, sys
from huggingface_hub import constants, file_download
constants.DOWNLOAD_CHUNK_SIZE = 4096  # ten megabytes, by default: our model would be one chunk
file_download.time.sleep = lambda seconds: None  # between two tries
from engine.models.fetch import fetching
from engine.record.errors import BadInput
{0}
for name in sys.argv[1:]:
    hub_id, _, revision = name.partition("@")
    told, steps = [], fetching(hub_id, revision or None)
    try:
        while True:
            told.append(next(steps))
    except StopIteration as end:
        print(json.dumps([str(end.value), [[one.what, one.done, one.total, one.unit] for one in told]]))
    except BadInput as error:
        print(json.dumps([None, str(error)]))
"""
AGAIN = """
from engine.models.load import finding_again
from engine.record.events import ModelLoaded
told = lambda name: ModelLoaded(name, "gpt2", 0, 0, 0, (), (), (), (), "cpu", "float32", revision="{0}")
fetching = lambda name, _: finding_again(told(name))
"""
STOP = """
from engine.models import fetch
fetch.NAP = 0.05
steps = fetching({name!r}, None)
while not (seen := next(steps).done):
    pass
steps.close()
print(json.dumps([None, seen]))
"""


@pytest.fixture(scope="module")
def warm():
    """A process from which those are forked that fetch."""
    with closing(Warm()) as warm:
        yield warm


@pytest.fixture
def fetch(warm, tmp_path):
    """Fetches names and returns what `fetching` makes of them in a process of its own, which must print nothing else: folder and
    progress, or why not."""

    def fetched(names, address, home, before="", **variables):
        run = warm.run(FETCH.replace("{0}", before), names, environment(address, home) | variables, tmp_path)
        assert (run.returncode, run.stderr) == (0, "")
        return [json.loads(line) for line in run.stdout.splitlines()]

    return fetched


def repository(folder: Path, seed: int = 0, **options) -> Path:
    """A GPT-2 of some hundred kilobytes with a tokenizer, as transformers writes it."""
    torch.manual_seed(seed)
    CLASSES["gpt2"](CONFIGS["gpt2"](vocab_size=300, n_embd=48, n_inner=96)).save_pretrained(folder, **options)
    tokenizer().save_pretrained(folder)
    return folder


def same(first: Path, second: Path) -> bool:
    """Whether two folders hold the same weights."""
    one, other = (load_file(folder / "model.safetensors") for folder in (first, second))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def parts(home: Path) -> list[Path]:
    """What is there of files that are not whole."""
    return [path for path in home.glob("hub/models--*/blobs/*") if path.name.endswith("incomplete")]


def test_a_revision_is_that_revision(fetch, tmp_path):
    """A branch, one with a slash, a commit; what is told adds up to the bytes of the weights; a name that is none is refused."""
    main = repository(tmp_path / "hub" / "models" / "org" / "small")
    second = repository(main.with_name("small@v2"), seed=1)
    request = repository(main.with_name("small@refs+pr+5"), seed=2)
    with serve(tmp_path / "hub") as hub:
        names = ["org/small", "org/small@v2", "org/small@refs/pr/5", "org/small@nowhere"]
        *found, refused = fetch(names, hub.address, tmp_path / "home")
        again = fetch(["org/small@v2"], hub.address, tmp_path / "home")
    for (folder, told), wanted in zip(found, (main, second, request), strict=True):
        assert same(Path(folder), wanted)
        size = (wanted / "model.safetensors").stat().st_size
        assert told[0][1:] == [0, size, "bytes"] and told[-1][1:] == [size, size, "bytes"]
        assert [one[1] for one in told] == sorted(one[1] for one in told) and "org/small" in told[0][0]
    assert again == [[found[1][0], []]]  # nothing is fetched twice
    assert "no revision 'nowhere'" in refused[1]


def test_a_run_finds_its_own_commit_again_when_the_hub_has_moved_on(fetch, tmp_path, monkeypatch):
    """Whatever is newest there now, and without asking the hub, since its files are here."""
    main = repository(tmp_path / "hub" / "models" / "org" / "small")
    with serve(tmp_path / "hub") as hub:
        [(first, _)] = fetch(["org/small"], hub.address, tmp_path / "home")
        repository(main, seed=1)
        monkeypatch.setattr(fakehub, "COMMIT", "f" * 40)
        [(moved, _)] = fetch(["org/small"], hub.address, tmp_path / "home")
    assert not same(Path(first), Path(moved)) and Path(moved).name == "f" * 40
    assert fetch(["org/small"], NOWHERE, tmp_path / "home", AGAIN.format(Path(first).name)) == [[first, []]]


def test_a_download_that_broke_off_goes_on_where_it_was(fetch, tmp_path):
    """In the same process when the connection comes back, in the next one when it does not; no byte is fetched twice."""
    main = repository(tmp_path / "hub" / "models" / "org" / "small")
    size = (main / "model.safetensors").stat().st_size
    with serve(tmp_path / "hub") as hub:
        hub.cut["model.safetensors"] = size // 2
        ((folder, why),) = fetch(["org/small"], hub.address, tmp_path / "home")
        assert folder is None and "broke off" in why and "load it again to go on" in why
        (part,) = parts(tmp_path / "home")
        have = part.stat().st_size
        assert size // 4 < have <= size // 2
        del hub.cut["model.safetensors"]
        hub.requests.clear()
        ((folder, told),) = fetch(["org/small"], hub.address, tmp_path / "home")
    asked = [request for request in hub.requests if request.startswith("GET") and "model.safetensors" in request]
    assert [request.rpartition(" from ")[2] for request in asked] == [str(have)]
    assert same(Path(folder), main) and told[-1][1] == size and parts(tmp_path / "home") == []


def test_a_download_that_is_stopped_keeps_what_it_has(fetch, tmp_path):
    """Whoever stops asking ends it; nothing half is taken for a model, and the next call goes on."""
    main = repository(tmp_path / "hub" / "models" / "org" / "small")
    size = (main / "model.safetensors").stat().st_size
    stopping = STOP.format(name="org/small")
    with serve(tmp_path / "hub") as hub:
        hub.slow["model.safetensors"] = 0.2
        ((_, seen),) = fetch([], hub.address, tmp_path / "home", stopping)
        (part,) = parts(tmp_path / "home")
        have = part.stat().st_size
        assert 0 < seen <= have < size
        hub.slow.clear()
        hub.requests.clear()
        ((folder, _),) = fetch(["org/small"], hub.address, tmp_path / "home")
    asked = [request for request in hub.requests if request.startswith("GET") and "model.safetensors" in request]
    assert [request.rpartition(" from ")[2] for request in asked] == [str(have)]
    assert same(Path(folder), main)


def test_two_processes_fetch_a_file_once(tmp_path):
    """The second waits for the first and finds it there."""
    main = repository(tmp_path / "hub" / "models" / "org" / "small")
    asked = [sys.executable, "-W", "error", "-c", FETCH.replace("{0}", ""), "org/small"]
    with serve(tmp_path / "hub") as hub:
        both = [
            subprocess.Popen(asked, env=environment(hub.address, tmp_path / "home"), stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        found = [json.loads(one.communicate(timeout=300)[0])[0] for one in both]
        gets = [request for request in hub.requests if request.startswith("GET") and "model.safetensors" in request]
    assert len(gets) == 1 and found[0] == found[1] and same(Path(found[0]), main)


def test_a_file_that_is_not_what_the_hub_names_is_thrown_away(fetch, tmp_path):
    """A part that went bad on disk is found out by its hash; the next call fetches all of it."""
    main = repository(tmp_path / "hub" / "models" / "org" / "small")
    with serve(tmp_path / "hub") as hub:
        hub.cut["model.safetensors"] = 20_000
        fetch(["org/small"], hub.address, tmp_path / "home")
        (part,) = parts(tmp_path / "home")
        part.write_bytes(b"\0" * part.stat().st_size)
        del hub.cut["model.safetensors"]
        refused, (folder, _) = fetch(["org/small", "org/small"], hub.address, tmp_path / "home")
    assert refused[0] is None and "Only a part" in refused[1]
    assert same(Path(folder), main)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full, which is always full, on this system")
def test_a_full_disk_is_told_and_leaves_the_cache_usable(fetch, tmp_path):
    """Before the download where it can be foreseen, in the midst of it where not; with room there the same call succeeds."""
    main = repository(tmp_path / "hub" / "models" / "org" / "small")
    full = 'import shutil; from collections import namedtuple\nUsage = namedtuple("Usage", "total used free")\n'
    full += "real, shutil.disk_usage = shutil.disk_usage, lambda path: Usage(10**6, 10**6, 50)\n"
    with serve(tmp_path / "hub") as hub:
        ((_, foreseen),) = fetch(["org/small"], hub.address, tmp_path / "home", full)
        assert not [request for request in hub.requests if request.startswith("GET") and "model.safetensors" in request]
        hub.cut["model.safetensors"] = 20_000
        fetch(["org/small"], hub.address, tmp_path / "home")
        del hub.cut["model.safetensors"]
        (part,) = parts(tmp_path / "home")
        part.unlink()
        part.symlink_to("/dev/full")
        ((_, amid),) = fetch(["org/small"], hub.address, tmp_path / "home")
        part.unlink()
        ((folder, _),) = fetch(["org/small"], hub.address, tmp_path / "home")
    assert "MB more" in foreseen and "make room" in foreseen
    assert "filled the disk" in amid and "HF_HOME" in amid
    assert same(Path(folder), main)


def test_what_is_there_of_a_file_needs_no_room_again(fetch, tmp_path):
    """Whoever has made room for the rest of a download that filled the disk is not refused."""
    main = repository(tmp_path / "hub" / "models" / "org" / "small")
    whole = (main / "model.safetensors").stat().st_size
    with serve(tmp_path / "hub") as hub:
        hub.cut["model.safetensors"] = 20_000
        fetch(["org/small"], hub.address, tmp_path / "home")
        del hub.cut["model.safetensors"]
        (part,) = parts(tmp_path / "home")
        free = whole - part.stat().st_size
        left = "import shutil; from collections import namedtuple\nUsage = namedtuple('Usage', 'total used free')\n"
        left += f"shutil.disk_usage = lambda path: Usage(10**9, 10**9, {free})\n"
        ((folder, _),) = fetch(["org/small"], hub.address, tmp_path / "home", left)
    assert 0 < free < whole and same(Path(folder), main)


def test_what_is_there_is_used_without_the_hub(fetch, tmp_path):
    """Offline by the hub's own switch, or because nothing answers; a model that is there in part is told from one that is not."""
    models = tmp_path / "hub" / "models" / "org"
    small = repository(models / "small")
    repository(models / "half", seed=1)
    with serve(tmp_path / "hub") as hub:
        (first, _), (half, _) = fetch(["org/small", "org/half"], hub.address, tmp_path / "home")
    (Path(half) / "model.safetensors").unlink()
    names = ["org/small", "org/small@main", "org/half", "org/never"]
    for variables, why in (({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE"), ({}, "cannot be reached")):
        there, main, part, never = fetch(names, NOWHERE, tmp_path / "home", **variables)
        assert there == main == [first, []] and same(Path(there[0]), small)
        assert "Only a part" in part[1] and why in part[1]
        assert "not on this machine" in never[1] and why in never[1] and "gpt2-tiny" in never[1]


def test_weights_in_several_files_are_all_fetched(fetch, tmp_path):
    """An index and its shards; pickles beside them are left where they are."""
    main = repository(tmp_path / "hub" / "models" / "org" / "small", max_shard_size="60KB")
    (main / "pytorch_model.bin").write_bytes(b"not for us")
    shards = {path.name for path in main.glob("model-*.safetensors")}
    assert len(shards) > 1
    with serve(tmp_path / "hub") as hub:
        ((folder, told),) = fetch(["org/small"], hub.address, tmp_path / "home")
    there = {path.name for path in Path(folder).iterdir()}
    assert shards < there and "model.safetensors.index.json" in there and "pytorch_model.bin" not in there
    assert told[-1][1] == sum((main / name).stat().st_size for name in shards)
