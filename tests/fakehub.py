"""A small hub on loopback that speaks the file protocol of huggingface.co, so that hub loading is tested without a network.

`with serve(folder) as hub:` serves `folder/models/ORG/NAME/...` and `folder/datasets/ORG/NAME/...`; a folder NAME@REVISION beside
NAME is another revision of it. A process started with `environment(hub, home)` finds nothing else. Only reading is spoken: file
downloads (also of parts of files), repository facts, file lists. Large files are named by their SHA-256, as on the hub.
"""

import hashlib
import json
import os
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

GATED = ".gated"  # a file of this name in a repository makes its files ask for permission
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".parquet")
FILE = re.compile(r"/(?:(datasets)/)?([^/]+(?:/[^/]+)?)/resolve/([^/]+)/(.+)")
FACTS = re.compile(r"/api/(models|datasets)/([^/]+(?:/[^/]+)?)(?:/revision/([^/]+))?")
LIST = re.compile(r"/api/(models|datasets)/([^/]+(?:/[^/]+)?)/(tree|paths-info)/([^/]+)(?:/(.*))?")
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Hub:
    """The address of a running hub, and the requests it was sent: `METHOD /path`, with the first byte where not all is asked for.

    `cut` is where the connection breaks off: of a file of this name, no byte from that place on is sent. `slow` is how many
    seconds pass between two pieces, of 4096 bytes each, of a file of this name.
    """

    address: str
    requests: list[str] = field(default_factory=list)
    cut: dict[str, int] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)


@contextmanager
def serve(folder):
    """Serve the repositories in `folder` on a free port of 127.0.0.1 for the length of a `with`."""
    requests, cut, slow = [], {}, {}
    handler = type("Handler", (_Handler,), {"folder": Path(folder), "requests": requests, "cut": cut, "slow": slow})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Hub(f"http://127.0.0.1:{server.server_port}", requests, cut, slow)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def environment(address, home):
    """Environment variables for a process that knows only the hub at `address` and keeps its caches in `home`.

    The variables that would send requests through a proxy or switch the hub off are taken out.
    """
    dropped = re.compile(r"(https?|all|no)_proxy|HF_.*|HUGGINGFACE_.*|TRANSFORMERS_.*", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if not dropped.fullmatch(name)}
    return kept | {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = Path()
    requests: list[str] = []
    cut: dict[str, int] = {}
    slow: dict[str, float] = {}

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def log_message(self, format, *args):
        first = RANGE.match(self.headers.get("Range", ""))
        self.requests.append(f"{self.command} {self.path}" + (f" from {first[1]}" if first else ""))

    def _answer(self, body=""):
        path = urlsplit(self.path).path  # a revision may have a slash in it, and then it is quoted
        for pattern, answer in ((LIST, self._list), (FILE, self._file), (FACTS, self._facts)):
            if found := pattern.fullmatch(path):
                kind, name, *rest = (part and unquote(part) for part in found.groups())
                return answer(kind, name, *rest, *([body] if pattern is LIST else []))
        self._missing("EntryNotFound")

    def _repository(self, kind, name, revision):
        """The folder of a revision and its commit; answers and gives None where there is none."""
        main = self.folder / (kind or "models") / name
        if not main.is_dir():
            return self._missing("RepoNotFound")
        if revision in (None, "main", COMMIT):
            return main, COMMIT
        for other in main.parent.glob(f"{main.name}@*"):
            commit = hashlib.sha1(other.name.encode()).hexdigest()
            if revision in (other.name.partition("@")[2].replace("+", "/"), commit):
                return other, commit
        return self._missing("RevisionNotFound")

    def _file(self, kind, name, revision, path):
        found = self._repository(kind, name, revision)
        if found is None:
            return None
        repository, commit = found
        if (repository / GATED).is_file():  # as on the hub: the facts are public, the files ask for permission
            return self._missing("GatedRepo", 403)
        if not (repository / path).is_file():
            return self._missing("EntryNotFound")
        content = (repository / path).read_bytes()
        large = path.endswith(LARGE)
        etag = hashlib.sha256(content).hexdigest() if large else _oid(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        until = self.cut.get(Path(path).name, len(content))
        wanted = RANGE.fullmatch(self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"
            return self._send(206, content[first : last + 1], headers, until - first)
        return self._send(200, content, headers, until)

    def _facts(self, kind, name, revision):
        found = self._repository(kind, name, revision)
        if found is None:
            return None
        repository, commit = found
        files = [{"rfilename": path} for path in _files(repository)]
        facts = {"_id": COMMIT[:24], "id": name, "sha": commit, "siblings": files, "private": False, "gated": False}
        return self._json(facts | {"disabled": False, "tags": [], "downloads": 0, "likes": 0})

    def _list(self, kind, name, what, revision, under, body):
        found = self._repository(kind, name, revision)
        if found is None:
            return None
        repository, _ = found
        rows = {path: _row(repository, path) for path in _files(repository)}
        folders = {str(parent) for path in rows for parent in Path(path).parents if str(parent) != "."}
        rows |= {path: {"type": "directory", "oid": COMMIT, "size": 0, "path": path} for path in folders}
        if what == "paths-info":
            asked = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body).get("paths", [])
            return self._json([rows[path] for path in asked if path in rows])
        if under and under not in folders:
            return self._missing("EntryNotFound")
        recursive = "recursive=true" in self.path.lower()
        inside = f"{under.rstrip('/')}/" if under else ""
        chosen = [row for path, row in sorted(rows.items()) if path.startswith(inside)]
        return self._json([row for row in chosen if recursive or "/" not in row["path"][len(inside) :]])

    def _missing(self, code, status=404):
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _json(self, value):
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status, content, headers, until=None):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            sent = content if until is None else content[: max(0, until)]
            nap = self.slow.get(Path(urlsplit(self.path).path).name, 0)
            for start in range(0, len(sent), 4096 if nap else max(1, len(sent))):
                self.wfile.write(sent[start : start + 4096] if nap else sent)
                time.sleep(nap)
            self.close_connection |= until is not None and until < len(content)


def _files(repository):
    return sorted(path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file())


def _row(repository, path):
    content = (repository / path).read_bytes()
    row = {"type": "file", "oid": _oid(content), "size": len(content), "path": path}
    large = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return row | ({"lfs": large} if path.endswith(LARGE) else {})


def _oid(content):
    return hashlib.sha1(content).hexdigest()
