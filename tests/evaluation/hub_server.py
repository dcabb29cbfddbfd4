"""A hub on this machine: datasets in folders, by as much of the hub's protocol as its clients need to read them."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PATH = re.compile(r"(?:/api)?/datasets/(?P<name>[\w.-]+/[\w.-]+)(?:/(?P<verb>\w+)/(?P<revision>\w+)/?(?P<file>.*))?")


class Handler(BaseHTTPRequestHandler):
    """Answers from the datasets of its server."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.server.requests.append(path)
        found = PATH.fullmatch(path)
        if not found or found["name"] not in self.server.sets:
            self.answer(b"", "RepoNotFound")
        elif found["revision"] not in (None, "main", COMMIT):
            self.answer(b"", "RevisionNotFound")
        else:
            folder = self.server.sets[found["name"]]
            self.answer_for(
                found["verb"], folder, folder / (found["file"] or ""), "recursive=true" in url.query.lower()
            )

    do_HEAD = do_GET  # noqa: N815 (the name of its base class)

    def answer_for(self, verb: str | None, folder: Path, file: Path, deep: bool) -> None:
        if verb in (None, "revision"):
            self.answer(json.dumps({"id": folder.name, "sha": COMMIT}).encode())
        elif verb == "tree" and file.is_dir():
            inside = sorted(file.rglob("*") if deep else file.iterdir())
            self.answer(json.dumps([entry(path, folder) for path in inside]).encode())
        elif verb == "resolve" and file.is_file():
            self.answer(file.read_bytes())
        else:
            self.answer(b"", "EntryNotFound")

    def answer(self, body: bytes, error: str = "") -> None:
        self.send_response(404 if error else 200)
        fields = {"X-Error-Code": error, "X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(body).hexdigest()}"'}
        for field, value in (fields | {"Content-Length": str(len(body))}).items():
            self.send_header(field, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Hub(ThreadingHTTPServer):
    def __init__(self, sets: Mapping[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sets, self.requests = sets, []


@contextmanager
def serve_hub(sets: Mapping[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a hub with these datasets, all at one commit, and the paths of requests as they come."""
    with Hub(sets) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{hub.server_port}", hub.requests
        hub.shutdown()


def entry(path: Path, folder: Path) -> dict[str, object]:
    kind, data = ("directory", b"") if path.is_dir() else ("file", path.read_bytes())
    name = path.relative_to(folder).as_posix()
    return {"type": kind, "path": name, "oid": hashlib.sha1(data).hexdigest(), "size": len(data)}
