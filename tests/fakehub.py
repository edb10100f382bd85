"""A small hub on loopback that speaks the file protocol of huggingface.co, so that hub loading is tested without a network.

`with serve(folder) as hub:` serves `folder/models/ORG/NAME/...` and `folder/datasets/ORG/NAME/...`; a process started with
`environment(hub, home)` finds nothing else. Only reading is spoken: file downloads, repository facts, file lists.
"""

import hashlib
import json
import os
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

GATED = ".gated"  # a file of this name in a repository makes its files ask for permission
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILE = re.compile(r"/(?:(datasets)/)?([^/]+(?:/[^/]+)?)/resolve/([^/]+)/(.+)")
FACTS = re.compile(r"/api/(models|datasets)/([^/]+(?:/[^/]+)?)(?:/revision/([^/]+))?")
LIST = re.compile(r"/api/(models|datasets)/([^/]+(?:/[^/]+)?)/(tree|paths-info)/([^/]+)(?:/(.*))?")


@dataclass(frozen=True)
class Hub:
    """The address of a running hub and the requests it was sent, as `METHOD /path`."""

    address: str
    requests: list[str] = field(default_factory=list)


@contextmanager
def serve(folder):
    """Serve the repositories in `folder` on a free port of 127.0.0.1 for the length of a `with`."""
    requests = []
    handler = type("Handler", (_Handler,), {"folder": Path(folder), "requests": requests})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Hub(f"http://127.0.0.1:{server.server_port}", requests)
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

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def log_message(self, format, *args):
        self.requests.append(f"{self.command} {self.path}")

    def _answer(self, body=""):
        path = unquote(urlsplit(self.path).path)
        if found := LIST.fullmatch(path):
            self._list(*found.groups(), body)
        elif found := FILE.fullmatch(path):
            self._file(*found.groups())
        elif found := FACTS.fullmatch(path):
            self._facts(*found.groups())
        else:
            self._missing("EntryNotFound")

    def _repository(self, kind, name):
        return self.folder / (kind or "models") / name

    def _file(self, kind, name, revision, path):
        repository = self._repository(kind, name)
        if not repository.is_dir():
            return self._missing("RepoNotFound")
        if (repository / GATED).is_file():  # as on the hub: the facts are public, the files ask for permission
            return self._missing("GatedRepo", 403)
        if not (repository / path).is_file():
            return self._missing("EntryNotFound")
        content = (repository / path).read_bytes()
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"
            return self._send(206, content[first : last + 1], headers)
        return self._send(200, content, headers)

    def _facts(self, kind, name, revision):
        repository = self._repository(kind, name)
        if not repository.is_dir():
            return self._missing("RepoNotFound")
        files = [{"rfilename": path} for path in _files(repository)]
        facts = {"_id": COMMIT[:24], "id": name, "sha": COMMIT, "siblings": files, "private": False, "gated": False}
        return self._json(facts | {"disabled": False, "tags": [], "downloads": 0, "likes": 0})

    def _list(self, kind, name, what, revision, under, body):
        repository = self._repository(kind, name)
        if not repository.is_dir():
            return self._missing("RepoNotFound")
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

    def _send(self, status, content, headers):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _files(repository):
    return sorted(path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file())


def _row(repository, path):
    content = (repository / path).read_bytes()
    return {"type": "file", "oid": _oid(content), "size": len(content), "path": path}


def _oid(content):
    return hashlib.sha1(content).hexdigest()
