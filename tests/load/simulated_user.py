"""A thread of simulated visitors: random actions, each checked against what the server acknowledged."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from gradio_client import Client
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError

from smart_demo.server.visitors import VISITOR_HEADER, visitor_scope
from tests.load.documents import Canaries, DocumentFactory, VisitorDocument
from tests.load.metrics import LimitReached, Metrics
from tests.load.page_parser import parse_documents, parse_rankings, parse_request, parse_uploads
from tests.load.visitor import CheckedVisitor
from tests.server.visitor import EventFailed

SAMPLE_QUERIES = ("capacity of the reservoir", "how to descale the machine", "menu of the week", "signature")
PATIENCE = 120
"""Seconds after which a call of the endpoint gives up."""


@dataclass(frozen=True)
class RunPlan:
    """How many visitors act, for how long and how fast."""

    visitors: int
    seed: int
    seconds: float = 3600.0
    actions: int = 1_000_000
    pace: float = 1.0
    """Factor of the pauses that people make."""
    pictures: bool = True
    """Whether some uploads are pictures, which need OCR."""


@dataclass
class RunState:
    """What all visitors of a run share."""

    url: str
    folder: Path
    plan: RunPlan
    metrics: Metrics = field(default_factory=Metrics)
    canaries: Canaries = field(default_factory=Canaries)
    lock: threading.Lock = field(default_factory=threading.Lock)
    known: list[tuple[str, VisitorDocument]] = field(default_factory=list)
    """The owners of all documents, for attempts to reach another visitor's."""

    def document_of_another(self, secret: str, rng: random.Random) -> tuple[str, VisitorDocument] | None:
        """Return another visitor's document with its owner's secret."""
        with self.lock:
            others = [(owner, document) for owner, document in self.known if owner != secret]
        return rng.choice(others) if others else None


class SimulatedUser:
    """One visitor after another, in one thread. All random choices come from the seed."""

    def __init__(self, shared: RunState, number: int) -> None:
        self.shared, self.metrics = shared, shared.metrics
        self.rng = random.Random(f"{shared.plan.seed}/{number}")
        self.number = number
        self.documents: dict[str, VisitorDocument] = {}
        """Acknowledged documents that were not deleted, by file."""
        self.pending: VisitorDocument | None = None
        """The upload that was in progress when the page was closed."""
        self.client: Client | None = None
        self.previous: dict[str, tuple[dict[str, VisitorDocument], VisitorDocument | None]] = {}
        """Documents left by earlier visitors of this thread, by secret."""
        self.begin()

    def run(self, until: float) -> None:
        """Act until `until` on the monotonic clock, or as often as planned; then delete everything."""
        if self.number == 0 and self.shared.plan.pictures:  # the OCR model takes its memory before growth is measured
            self.upload(self.factory.picture())
        for _ in range(self.shared.plan.actions):
            if time.monotonic() >= until:
                break
            self.act()
            self.visitor.pause(0.2, 3, self.rng)
        self.finish()

    # -- opening and closing the page

    def begin(self) -> None:
        """Start as a new visitor."""
        secret = self.rng.randbytes(16).hex()
        self.documents, self.pending = {}, None
        canaries = self.shared.canaries
        canaries.register(secret, secret)
        canaries.register(secret, str(visitor_scope(secret)).removeprefix("visitor-"))
        self.factory = DocumentFactory(self.shared.folder / secret[:8], secret, canaries, self.rng)
        self.enter(secret)

    def enter(self, secret: str) -> None:
        """Open the page with this secret."""
        with self.metrics.timing("open the page"):
            shared = self.shared
            self.visitor = CheckedVisitor(shared.url, secret, shared.canaries, self.metrics, pace=shared.plan.pace)
            with suppress(LimitReached):
                self.visitor.open()
        if self.pending:
            document, self.pending = self.pending, None
            self.visitor.wait()
            self.check_upload(document)

    def leave(self) -> None:
        """Close the page."""
        self.visitor.close()
        if self.client is not None:
            self.client.close()
            self.client = None

    def reopen(self) -> None:
        """Return in the same browser, later."""
        secret = self.visitor.secret
        self.leave()
        self.enter(secret)
        self.check_library()

    def switch_visitor(self) -> None:
        """Continue as another visitor. The documents of the last one stay until the end of the run."""
        self.previous[self.visitor.secret] = (self.documents, self.pending)
        self.leave()
        self.begin()
        self.check_library()

    def act(self) -> None:
        """Do one random action."""
        steps: dict[Callable[[], None], float] = {
            self.upload: 20, self.find_own: 22, self.find_theirs: 10, self.use_endpoint: 9, self.open_pages: 8,
            self.ask_about_answer: 8, self.forge_requests: 6, self.delete: 7, self.check_library: 8, self.reopen: 2.5,
            self.switch_visitor: 1.5, self.forget: 1.5, self.upload_and_leave: 1.5, self.upload_and_forget: 1,
            self.send_burst: 0.7, self.search_and_leave: 1,
        }  # fmt: skip
        (step,) = self.rng.choices(list(steps), weights=list(steps.values()))
        try:
            step()
        except LimitReached:
            self.visitor.pause(0.5, 2, self.rng)
        except (EventFailed, httpx.HTTPError, ConnectionError, AppError) as error:
            self.broken("no error", f"{step.__name__}: {type(error).__name__}: {error}")

    def broken(self, promise: str, detail: str) -> None:
        """Record a broken promise."""
        self.metrics.record_broken(promise, detail)

    # -- documents

    def upload(self, given: VisitorDocument | None = None) -> None:
        """Upload a document; sometimes a picture, a broken file, or the file that all visitors share."""
        document = given or self.choose_document()
        with self.metrics.timing("upload until stored"):
            self.submit(document)
            self.visitor.wait()
        self.check_upload(document)

    def upload_and_leave(self) -> None:
        """Close the page while the document is being read, then open it again."""
        document = self.factory.pdf(3)
        self.submit(document)
        self.pending = document
        self.reopen()

    def choose_document(self) -> VisitorDocument:
        """Return the next document to upload."""
        kind = self.rng.random()
        if kind < 0.05 and self.shared.plan.pictures:
            return self.factory.picture()
        if kind < 0.12:
            return self.factory.broken()
        if kind < 0.2:
            return self.factory.common()
        return self.factory.pdf(self.rng.choice((1, 1, 2, 3)))

    def submit(self, document: VisitorDocument) -> None:
        """Upload a file; if the queue is full, try again after a pause."""
        event = self.visitor.event("upload", "upload")
        for _ in range(20):
            files = self.visitor.send(document.path)
            try:
                self.visitor.do(event, upload=files)
            except LimitReached:
                self.metrics.unclaimed += 1
                self.visitor.pause(0.3, 1, self.rng)
                continue
            return
        raise LimitReached("the queue stayed full")

    def check_upload(self, document: VisitorDocument) -> None:
        """Check the outcome of a finished upload."""
        outcomes = [one for one in parse_uploads(str(self.visitor.shown("uploads"))) if one.name == document.name]
        if not outcomes:
            self.broken("nothing lost", f"no outcome is shown for {document.name}: {self.visitor.shown('uploads')}")
            return
        outcome = outcomes[-1]
        if outcome.state == "refused":
            self.metrics.record_refusal(outcome.message)
            if document.file and not any(part in outcome.message for part in ("wait", "room", "full", "at once")):
                self.broken("no error", f"{document.name} was refused: {outcome.message}")
            return
        if outcome.state == "known" and document.file in self.documents:
            return
        if not document.file or outcome.pages != document.pages:
            self.broken("nothing lost", f"{document.name} with {document.pages} pages: {outcome.message}")
        self.documents[document.file] = document
        if document.name != "common.pdf":
            with self.shared.lock:
                self.shared.known.append((self.visitor.secret, document))
        self.check_library()

    def delete(self) -> None:
        """Delete a document and check that it disappears at once."""
        if not self.documents:
            return
        document = self.rng.choice(list(self.documents.values()))
        with self.metrics.timing("delete"):
            self.visitor.delete(document.file)
        if not any("is deleted" in warning for warning in self.visitor.warnings):
            self.broken("no error", f"a deletion was not acknowledged: {self.visitor.warnings}")
            return
        del self.documents[document.file]
        self.check_library()
        self.expect_refused("picture", f"local/{document.file}-0001", "deleted")
        if document.words[0]:
            found = parse_rankings(self.search(" ".join(document.words[0]), "My documents")).get("right", [])
            if any(card.file == document.file for card in found):
                self.broken("nothing lost", f"{document.name} is found after it was deleted")

    def forget(self) -> None:
        """Delete everything of this visitor."""
        with self.metrics.timing("forget everything"):
            answer = self.visitor.forget()
        if "done" not in answer:
            self.broken("no error", f"nothing was forgotten: {answer}")
            return
        self.documents = {}
        self.check_library()

    def upload_and_forget(self) -> None:
        """Delete everything while an upload is being read; nothing of it may stay, not even the current page."""
        self.submit(self.factory.pdf(3))
        self.visitor.pause(0, 0.6, self.rng)
        self.forget()

    def check_library(self) -> None:
        """Check that the Library lists exactly the acknowledged documents."""
        self.visitor.wait()
        listed = {one.file: one for one in parse_documents(str(self.visitor.shown("documents")))}
        if missing := self.documents.keys() - listed.keys():
            names = [self.documents[file].name for file in missing]
            self.broken("nothing lost", f"not in the Library: {names}")
        if strange := listed.keys() - self.documents.keys():
            self.broken("nothing lost", f"listed, but not theirs: {[listed[f].name for f in strange]}")
        for file in self.documents.keys() & listed.keys():
            if listed[file].pages != self.documents[file].pages:
                self.broken("nothing lost", f"{self.documents[file]} has {listed[file].pages} pages")

    # -- searching

    def search(self, text: str, scope: str) -> str:
        """Search, check that all pages belong to the scope, and return the markup."""
        with self.metrics.timing("search"):
            answer = self.visitor.search(text, scope)
        for cards in parse_rankings(answer).values():
            for card in cards:
                mine = card.scope == "local" and card.file in self.documents
                if not (mine and scope != "Samples") and not (card.scope == "samples" and scope != "My documents"):
                    self.broken("no cross-talk", f"{card} in {scope}, of {sorted(self.documents)}")
        return answer

    def find_own(self) -> None:
        """Search for a page by its own words; it must be first."""
        written = [document for document in self.documents.values() if document.words[0]]
        if not written:
            self.search(self.rng.choice(SAMPLE_QUERIES), "Samples")
            return
        document = self.rng.choice(written)
        page = self.rng.randrange(document.pages)
        answer = self.search(" ".join(document.words[page]), self.rng.choice(("My documents", "My documents", "Both")))
        cards = parse_rankings(answer).get("right", [])
        if not cards or (cards[0].file, cards[0].page) != (document.file, page + 1):
            self.broken("own pages found", f"{document} page {page + 1}: {cards[:3]} {answer[:300]}")

    def find_theirs(self) -> None:
        """Search for another visitor's words; none of their pages may be found."""
        theirs = self.shared.document_of_another(self.visitor.secret, self.rng)
        if theirs is None or not theirs[1].words[0]:
            return
        word = theirs[1].words[0][0]
        self.visitor.allowed.add(word)
        self.search(word, self.rng.choice(("My documents", "Samples", "Both")))

    def use_endpoint(self) -> None:
        """Search the public endpoint with the real client: own pages if there are any, else the samples."""
        if self.client is None:
            self.client = Client(
                self.shared.url, headers={VISITOR_HEADER: self.visitor.secret}, verbose=False, analytics_enabled=False,
                download_files=False, httpx_kwargs={"timeout": 60},
            )  # fmt: skip
        theirs = self.shared.document_of_another(self.visitor.secret, self.rng)
        words = [theirs[1].words[0][0]] if theirs and theirs[1].words[0] else []
        self.visitor.allowed |= set(words)
        try:
            with self.metrics.timing("the endpoint"):
                answer = self.client.submit(" ".join([*words, "budget"]), 20, api_name="/search").result(PATIENCE)
        except TimeoutError:
            self.broken("queue honest", f"a program had no outcome in {PATIENCE} s")
            self.client = None  # closing it would wait equally long
            return
        except QueueError as error:
            self.metrics.record_limit(f"the endpoint: {error}")
            return
        self.visitor.check(json.dumps(answer), "/search")
        mine = {document.name for document in self.documents.values()}
        named = {hit["document"] for hits in answer["results"].values() for hit in hits}
        if mine and not named <= mine:
            self.broken("no cross-talk", f"/search named {named - mine}")
        if mine and answer["pages"] != sum(document.pages for document in self.documents.values()):
            self.broken("nothing lost", f"/search ranked {answer['pages']} pages of {sorted(mine)}")

    def open_pages(self) -> None:
        """Open pages of an answer."""
        answer = self.search(self.rng.choice(SAMPLE_QUERIES), self.rng.choice(("Samples", "Both")))
        for card in parse_rankings(answer)["right"][:2]:
            with self.metrics.timing("open a page"):
                got = self.visitor.ask("results", "picture", card.key)
                address = str(got.get("picture", ""))
                sent = self.visitor.http.get(f"/{address}") if address.startswith("pictures/") else None
            if sent is None or sent.headers["content-type"] != "image/webp":
                self.broken("no error", f"no picture of {card}: {str(got)[:200]} {sent}")
            self.visitor.pause(0.2, 1, self.rng)

    def ask_about_answer(self) -> None:
        """Send the requests of the viewer and the tabs about an answer."""
        scope = "Both" if self.documents else "Samples"
        answer = self.search(self.rng.choice(SAMPLE_QUERIES), scope)
        search = json.loads(parse_request(answer))
        page = parse_rankings(answer)["right"][0].key
        asked = {"asked": search, "page": page}
        wanted = {
            "explain": asked,
            "overlay": asked | {"view": "query"},
            "pair": asked,
            "hood": search,
            "comparison": {"asked": search, "at": self.shared.url},
        }
        for function in self.rng.sample(list(wanted), 3):
            with self.metrics.timing(f"ask: {function}"):
                self.visitor.ask("hood" if function == "hood" else "results", function, wanted[function])
            self.visitor.pause(0.1, 0.6, self.rng)

    # -- misuse

    def forge_requests(self) -> None:
        """Request another visitor's page by its number, through every function."""
        theirs = self.shared.document_of_another(self.visitor.secret, self.rng)
        if theirs is None:
            return
        secret, document = theirs
        page, search = f"{document.file}-0001", {"text": "budget", "scope": "My documents"}
        for scope in ("local", visitor_scope(secret), "samples"):
            key = f"{scope}/{page}"
            self.expect_refused("picture", key, "forged")
            for function in ("explain", "overlay", "pair"):
                self.expect_refused(function, {"asked": search, "page": key, "view": "query"}, "forged")
            region = {"asked": search | {"picture": f"region:{key}:0.0000,0.0000,1.0000,1.0000"}}
            self.expect_refused("comparison", region, "forged")
        self.visitor.do(self.visitor.event("documents", "delete"), {"file": document.file})

    def expect_refused(self, function: str, wanted: object, why: str) -> None:
        """Send a request that must be refused."""
        answer = self.visitor.ask("results", function, wanted)
        if not isinstance(answer, dict) or set(answer) != {"sentence"}:
            self.broken("no cross-talk", f"{function} of a {why} page: {str(answer)[:200]}")

    def send_burst(self) -> None:
        """Send requests far faster than people do, as a script would."""
        self.visitor.burst(self.visitor.event("go", "click"), 30)

    def search_and_leave(self) -> None:
        """Search and close the page before the answer."""
        event = self.visitor.event("go", "click")
        inputs = [self.visitor.state.get(one) for one in self.visitor.events[event]["inputs"]]
        body = {"data": inputs, "fn_index": event, "session_hash": self.visitor.session, "trigger_id": None}
        self.visitor.http.post("/gradio_api/queue/join", json=body)
        self.reopen()

    # -- the end

    def finish(self) -> None:
        """Delete everything of every visitor of this thread."""
        self.previous[self.visitor.secret] = (self.documents, self.pending)
        self.leave()
        for secret, (documents, pending) in self.previous.items():
            self.documents, self.pending = documents, pending
            self.enter(secret)
            self.check_library()
            self.forget()
            self.leave()
