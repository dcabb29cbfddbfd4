"""A visitor who checks the promises in every answer of the server, and pauses as people do."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpx

from smart_demo.server.request_limits import BUSY, CROWDED
from smart_demo.server.visitors import VISITOR_HEADER
from smart_demo.ui.events import UNEXPECTED_ERROR
from smart_demo.ui.upload_queue import FILE_FAILED
from tests.load.documents import Canaries
from tests.load.metrics import LimitReached, Metrics
from tests.server.visitor import API, EventFailed, Visitor

TICK = 0.7
"""Seconds between two polls of the page while an upload is in progress, as `layout.SECONDS`."""
PATIENCE = 240
"""Seconds after which a visitor no longer waits for an upload."""
OUTCOMES = {"process_completed", "unexpected_error", "server_stopped"}


class QueuePosition:
    """One event's place in the queue, as the server reports it."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.place: int | None = None
        self.estimate: tuple[float, float] | None = None
        """The estimated wait in seconds and the time of the estimate."""

    def update(self, message: dict[str, Any]) -> None:
        """Check that the place never gets worse; store the first estimate of an event that has to wait."""
        place, seconds = message["rank"], message["rank_eta"]
        if self.place is not None and place > self.place:
            self.metrics.record_broken("queue honest", f"moved back from {self.place} to {place}")
        self.place = place
        if self.estimate is None and seconds is not None and place > 0:
            self.estimate = (seconds, time.monotonic())

    def end(self) -> None:
        """Compare the estimate with the real wait, now that the outcome has arrived."""
        if self.estimate is not None:
            self.metrics.record_estimate(self.estimate[0], time.monotonic() - self.estimate[1])


def _busy(answer: str) -> str:
    """Return the queue limit that a refusal states, or an empty string."""
    if "Queue is full" in answer:  # the page shows it as "This application is currently busy."
        return "busy: the queue is full"
    return next((limit for limit in (BUSY, CROWDED) if limit in answer), "")


class CheckedVisitor(Visitor):
    """One browser. Every answer that it gets is searched for other visitors' data."""

    def __init__(self, url: str, secret: str, canaries: Canaries, metrics: Metrics, *, pace: float = 1.0) -> None:
        """`pace` scales the pauses that people make."""
        super().__init__(url, secret, timeout=180)
        self.http.close()
        self.http = httpx.Client(
            base_url=self.url,
            headers={VISITOR_HEADER: secret},
            timeout=180,
            # Uvicorn closes idle connections after 5 s. Browsers then retry a request; httpx fails.
            limits=httpx.Limits(keepalive_expiry=1.0),
            event_hooks={"response": [self.check_response]},
        )
        self.canaries, self.metrics, self.pace = canaries, metrics, pace
        self.allowed: set[str] = set()
        """Other visitors' marks that this visitor wrote into a query: answers may contain them."""
        self.warnings: list[str] = []
        """Toasts that appeared during the last event."""
        self.heartbeat = ExitStack()
        self.heartbeat.enter_context(self.http.stream("GET", f"{API}/heartbeat/{self.session}"))

    def close(self) -> None:
        with suppress(httpx.HTTPError):
            self.heartbeat.close()
        super().close()

    def pause(self, low: float, high: float, rng: random.Random) -> None:
        """Pause as a person who looks at the page."""
        time.sleep(rng.uniform(low, high) * self.pace)

    def check(self, text: str, where: str) -> None:
        """Check what is promised of every text."""
        self.metrics.count_answer(len(text))
        if theirs := self.canaries.find_foreign(text, self.secret, self.allowed):
            self.metrics.record_broken("no cross-talk", f"{where}: {sorted(theirs)[:5]} in {text[:200]!r}")
        for sentence in (UNEXPECTED_ERROR, FILE_FAILED):
            if sentence in text:
                self.metrics.record_broken("no error", f"{where}: {sentence}")

    def do(self, number: int, data: object = None, **given: object) -> list[Any]:
        """Send an event as the page does. Raises LimitReached if the queue is full."""
        self.warnings.clear()
        try:
            outputs = super().do(number, data, **given)
        except EventFailed as error:
            if busy := _busy(str(error)):
                self.metrics.record_limit(busy)
                raise LimitReached(str(error)) from None
            raise
        return outputs

    def ask(self, elem_id: str, function: str, wanted: object) -> Any:
        """Call a server function as a script of the page does; count a refusal."""
        answer = super().ask(elem_id, function, wanted)
        if isinstance(answer, dict) and "sentence" in answer:
            self.metrics.record_refusal(str(answer["sentence"]))
        return answer

    def wait(self) -> None:
        """Poll, as the page does, until no upload is in progress."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                self.look()
            except LimitReached:
                time.sleep(TICK * self.pace)
                continue
            if "is-working" not in str(self.shown("uploads")):
                return
            time.sleep(TICK * self.pace)
        self.metrics.record_broken("queue honest", f"still on its way after {PATIENCE} s: {self.shown('uploads')}")

    def burst(self, number: int, times: int) -> tuple[int, int]:
        """Send an event several times at once, as an impatient script does; return how many were accepted and refused.

        Every accepted one has its outcome when this returns.
        """
        event = self.events[number]
        inputs = [self.state.get(one) for one in event["inputs"]]
        body = {"data": inputs, "fn_index": number, "session_hash": self.session, "trigger_id": None}
        taken, refused = set(), 0
        for _ in range(times):
            joined = self.http.post(f"{API}/queue/join", json=body)
            if joined.status_code == 200:
                taken.add(joined.json()["event_id"])
            elif busy := _busy(joined.text):
                refused += 1
                self.metrics.record_limit(busy)
            else:
                self.metrics.record_broken("no error", f"{joined.status_code} {joined.text[:200]}")
        if not taken:
            return 0, refused
        ended = {message["event_id"] for message in self.messages() if message["msg"] in OUTCOMES}
        if missing := taken - ended:
            self.metrics.record_broken("queue honest", f"{len(missing)} of {len(taken)} events had no outcome")
        return len(taken), refused

    def answer_of(self, event: str) -> list[Any]:
        """Return the outputs of an event and check the queue's messages.

        Reads the stream to its end, so that the next event of the session does not get messages of this one.
        """
        outcome: dict[str, Any] | None = None
        position = QueuePosition(self.metrics)
        for message in self.messages():
            if message["msg"] == "estimation":
                position.update(message)
            elif message["msg"] == "log":
                self.pop_up(message)
            elif message["msg"] in OUTCOMES and message.get("event_id") in (None, event):
                position.end()
                outcome = message
        if outcome is None:
            self.metrics.record_broken("queue honest", "an event had no outcome")
            raise EventFailed("the stream ended before the answer")
        if not outcome.get("success"):
            raise EventFailed(json.dumps(outcome)[:400])
        return list(outcome["output"]["data"])

    def pop_up(self, message: dict[str, Any]) -> None:
        self.warnings.append(message["log"])
        if message["level"] == "warning":
            self.metrics.record_refusal(message["log"])

    def messages(self) -> Iterator[dict[str, Any]]:
        with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    self.check(line, "an event")
                    message = json.loads(line.removeprefix("data:"))
                    if message["msg"] == "close_stream":
                        return
                    yield message

    def check_response(self, response: httpx.Response) -> None:
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return
        text = response.read().decode("utf-8", "replace")
        self.check(text, response.request.url.path)
        if response.status_code >= 500 and not _busy(text):
            self.metrics.record_broken(
                "no error", f"{response.status_code} of {response.request.url.path}: {text[:200]}"
            )
