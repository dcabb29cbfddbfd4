"""A visitor of the real page without a browser: speaks to the server as the page's script does, event by event."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from smart_demo.server.visitors import VISITOR_HEADER

API = "/gradio_api"


class EventFailed(RuntimeError):
    """The server says that an event failed, or refuses to queue it."""


class Visitor:
    """One browser: its secret, its session, what the page's components hold for it."""

    def __init__(self, url: str, secret: str | None = None, *, timeout: float = 120.0) -> None:
        self.url, self.secret = url.rstrip("/"), secrets.token_hex(16) if secret is None else secret
        self.session = secrets.token_hex(6)
        self.http = httpx.Client(
            base_url=self.url, headers={VISITOR_HEADER: self.secret} if self.secret else {}, timeout=timeout
        )
        config = self.http.get("/config").raise_for_status().json()
        self.components = {one["id"]: one for one in config["components"]}
        self.events = {one["id"]: one for one in config["dependencies"]}
        self.state = {number: one["props"].get("value") for number, one in self.components.items()}

    def close(self) -> None:
        """Leave."""
        self.http.close()

    def component(self, elem_id: str) -> int:
        """Number of the component with this id in the page."""
        return next(number for number, one in self.components.items() if one["props"].get("elem_id") == elem_id)

    def event(self, target: str, kind: str) -> int:
        """Number of the event that `kind` (click, upload, tick ...) of a component causes."""
        wanted = [self.component(target), kind]
        return next(number for number, one in self.events.items() if wanted in one["targets"])

    def do(self, number: int, data: object = None, **given: object) -> list[Any]:
        """Cause an event with what the components hold, but for those `given` by their id in the page; its outputs,
        which the components then hold. EventFailed where the server refuses it.
        """
        event = self.events[number]
        named = {self.component(elem_id): value for elem_id, value in given.items()}
        inputs = [named.get(one, self.state.get(one)) for one in event["inputs"]]
        body = {"data": inputs, "fn_index": number, "session_hash": self.session, "event_data": data}
        joined = self.http.post(f"{API}/queue/join", json={**body, "trigger_id": None})
        if joined.status_code != 200:
            raise EventFailed(joined.text)
        outputs = self.answer_of(joined.json()["event_id"])
        for one, value in zip(event["outputs"], outputs, strict=False):
            if not isinstance(value, dict) or value.get("__type__") != "update":
                self.state[one] = value
            elif "value" in value:
                self.state[one] = value["value"]
        return outputs

    def ask(self, elem_id: str, function: str, wanted: object) -> Any:
        """What a script of the page gets for a question to a component's server function."""
        body = {
            "data": wanted,
            "component_id": self.component(elem_id),
            "fn_name": function,
            "session_hash": self.session,
        }
        return self.http.post(f"{API}/component_server", json=body).raise_for_status().json()

    def send(self, *files: Path) -> list[dict[str, object]]:
        """Copy files to the server, as the upload box does; how an event names them. HTTPStatusError if refused."""
        parts = [("files", (file.name, file.read_bytes())) for file in files]
        answer = self.http.post(f"{API}/upload", files=parts).raise_for_status()
        paths = zip(answer.json(), files, strict=True)
        return [{"path": path, "orig_name": f.name, "meta": {"_type": "gradio.FileData"}} for path, f in paths]

    # -- what people do

    def open(self) -> None:
        """Load the page."""
        loads = [number for number, one in self.events.items() if any(kind == "load" for _, kind in one["targets"])]
        for number in loads:
            self.do(number)

    def search(self, text: str, scope: str = "Samples") -> str:
        """The markup of an answer."""
        self.do(self.event("go", "click"), query=text, scope=scope)
        return str(self.state[self.component("results")])

    def upload(self, *files: Path) -> None:
        """Give files to the library and look on until they are through."""
        self.do(self.event("upload", "upload"), upload=self.send(*files))
        for _ in itertools.count():
            self.look()
            if "is-working" not in str(self.shown("uploads")):
                return

    def look(self) -> None:
        """One look at what goes on behind the page."""
        self.do(
            next(number for number, one in self.events.items() if any(kind == "tick" for _, kind in one["targets"]))
        )

    def delete(self, file: str) -> None:
        """Delete a document."""
        self.do(self.event("documents", "delete"), {"file": file})

    def forget(self) -> Any:
        """Delete everything."""
        return self.ask("documents", "forget", {"sure": True})

    def shown(self, elem_id: str) -> Any:
        """What a component holds for this visitor."""
        return self.state[self.component(elem_id)]

    def answer_of(self, event: str) -> list[Any]:
        params = {"session_hash": self.session}
        with self.http.stream("GET", f"{API}/queue/data", params=params) as stream:
            for message in _messages(stream.iter_lines()):
                if message.get("event_id") not in (None, event):
                    continue
                if message["msg"] == "process_completed":
                    if not message["success"]:
                        raise EventFailed(json.dumps(message["output"]))
                    return list(message["output"]["data"])
                if message["msg"] in {"unexpected_error", "server_stopped"}:
                    raise EventFailed(json.dumps(message))
        raise EventFailed("the stream ended before the answer")


def _messages(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))
