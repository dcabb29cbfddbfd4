"""A hub on this machine: datasets and models in folders, by as much of the hub's protocol as its clients read.

Its faults, attributes of `Hub`: connections that end early, files that are altered on the way, and a licence.
"""

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PATH = re.compile(
    r"(?:/api)?(?:/datasets|/models)?/(?P<name>[\w.-]+/[\w.-]+)(?:/(?P<verb>\w+)/(?P<revision>\w+)/?(?P<file>.*))?"
)
LFS_SUFFIX = ".safetensors"


class Handler(BaseHTTPRequestHandler):
    """Answers from the datasets of its server."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.server.requests.append(path)
        found = PATH.fullmatch(path)
        if not found or found["name"] not in self.server.sets:
            self.answer(b"", "RepoNotFound")
        elif found["revision"] not in (None, "main", self.server.commit):
            self.answer(b"", "RevisionNotFound")
        else:
            folder = self.server.sets[found["name"]]
            self.answer_for(
                found["verb"], folder, folder / (found["file"] or ""), "recursive=true" in url.query.lower()
            )

    do_HEAD = do_GET  # noqa: N815 (the name of its base class)

    def answer_for(self, verb: str | None, folder: Path, file: Path, deep: bool) -> None:
        if verb in (None, "revision"):
            files = [sibling(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()]
            self.answer(json.dumps({"id": folder.name, "sha": self.server.commit, "siblings": files}).encode())
        elif verb == "tree" and file.is_dir():
            inside = sorted(file.rglob("*") if deep else file.iterdir())
            self.answer(json.dumps([entry(path, folder) for path in inside]).encode())
        elif verb == "resolve" and self.server.gated:
            self.answer(b"", "GatedRepo", 403)
        elif verb == "resolve" and file.is_file():
            self.send_file(file)
        else:
            self.answer(b"", "EntryNotFound")

    def send_file(self, file: Path) -> None:
        data, hub = file.read_bytes(), self.server
        if hub.altered[file.name] > 0:
            hub.altered[file.name] -= 1
            data = bytes([data[0] ^ 1]) + data[1:]
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if hub.knows_ranges else None
        start = int(wanted[1]) if wanted else 0
        hub.sent.append((file.name, start))
        cuts = hub.cuts.get(file.name)
        self.answer(data[start:], status=206 if wanted else 200, cut=cuts.pop(0) if cuts else None)

    def answer(self, body: bytes, error: str = "", status: int = 0, cut: int | None = None) -> None:
        self.send_response(status or (404 if error else 200))
        commit, tag = self.server.commit, hashlib.sha1(body).hexdigest()
        fields = {"X-Error-Code": error, "X-Repo-Commit": commit, "ETag": f'"{tag}"'}
        for field, value in (fields | {"Content-Length": str(len(body))}).items():
            self.send_header(field, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
            if cut is not None:
                self.server.after_cut()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Hub(ThreadingHTTPServer):
    """Serves folders by their names, all at one commit."""

    def __init__(self, sets: Mapping[str, Path], commit: str = COMMIT) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sets, self.commit, self.requests = sets, commit, []
        self.sent: list[tuple[str, int]] = []
        """Each file that was requested, with the first byte of the answer."""
        self.cuts: dict[str, list[int]] = {}
        """By file, how many bytes each of the next answers sends before the connection ends."""
        self.after_cut: Callable[[], object] = lambda: None
        """Called before such a connection ends."""
        self.altered: Counter[str] = Counter()
        """By file, in how many of the next answers one byte is changed."""
        self.knows_ranges = True
        self.gated = False
        """Whether files need an accepted licence."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def run_hub(sets: Mapping[str, Path], commit: str = COMMIT) -> Iterator[Hub]:
    """Serve these folders until the block ends."""
    with Hub(sets, commit) as hub:
        threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield hub
        hub.shutdown()


@contextmanager
def serve_hub(sets: Mapping[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a hub with these datasets, all at one commit, and the paths of requests as they come."""
    with run_hub(sets) as hub:
        yield hub.address, hub.requests


def entry(path: Path, folder: Path) -> dict[str, object]:
    """Return a file or folder as the hub lists it in a tree."""
    kind, data = ("directory", b"") if path.is_dir() else ("file", path.read_bytes())
    return {"type": kind, "path": path.relative_to(folder).as_posix(), "oid": git_sha1(data), "size": len(data)}


def sibling(path: Path, folder: Path) -> dict[str, object]:
    """Return a file as the hub lists it with a model: large files by their sha256, others by git's sha1 of the blob."""
    data = path.read_bytes()
    listed = {"rfilename": path.relative_to(folder).as_posix(), "size": len(data), "blobId": git_sha1(data)}
    if path.name.endswith(LFS_SUFFIX):
        listed["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return listed


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
