"""One visitor's actions, what the server acknowledged as theirs, and whether the page shows exactly that."""

from __future__ import annotations

import json
import random
import secrets
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
from tests.load import sights
from tests.load.figures import Figures, LimitMet
from tests.load.papers import Desk, Marks, Paper
from tests.load.person import Person
from tests.server.visitor import EventFailed

SAMPLE_QUERIES = ("capacity of the reservoir", "how to descale the machine", "menu of the week", "signature")
PATIENCE = 120
"""Seconds without an event after which a program gives up."""
Step = Callable[[], None]


@dataclass
class Street:
    """The state that all visitors of a run share."""

    url: str
    folder: Path
    marks: Marks
    figures: Figures
    pace: float = 1.0
    pictures: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)
    known: list[tuple[str, Paper]] = field(default_factory=list)
    """The owners of all documents, for attempts to reach another visitor's."""

    def theirs(self, secret: str, rng: random.Random) -> tuple[str, Paper] | None:
        """Return another visitor's document with its owner's secret."""
        with self.lock:
            others = [(owner, paper) for owner, paper in self.known if owner != secret]
        return rng.choice(others) if others else None


class Life:
    """A thread that plays one visitor after another; all random choices come from the seed."""

    def __init__(self, street: Street, number: int, seed: int) -> None:
        self.street, self.figures = street, street.figures
        self.rng = random.Random(f"{seed}/{number}")
        self.number, self.secrets = number, list[str]()
        self.held: dict[str, Paper] = {}
        """Acknowledged documents that were not deleted, by file."""
        self.arriving: Paper | None = None
        """Uploads that were in progress when the page was closed."""
        self.client: Client | None = None
        self.past: dict[str, tuple[dict[str, Paper], Paper | None]] = {}
        """Documents left by earlier visitors of this thread, by secret."""
        self.begin()

    # -- opening and closing the page

    def begin(self) -> None:
        """Start as a new visitor."""
        secret = self.rng.randbytes(16).hex()
        self.secrets.append(secret)
        self.held, self.arriving = {}, None
        marks = self.street.marks
        marks.own(secret, secret)
        marks.own(secret, str(visitor_scope(secret)).removeprefix("visitor-"))
        self.desk = Desk(self.street.folder / secret[:8], secret, marks, self.rng)
        self.enter(secret)

    def enter(self, secret: str) -> None:
        """Open the page with this secret."""
        with self.figures.timing("open the page"):
            self.person = Person(self.street.url, secret, self.street.marks, self.figures, pace=self.street.pace)
            with suppress(LimitMet):
                self.person.open()
        if self.arriving:
            paper, self.arriving = self.arriving, None
            self.person.wait()
            self.learn(paper)

    def leave(self) -> None:
        """Close the page."""
        self.person.close()
        if self.client is not None:
            self.client.close()
            self.client = None

    def come_back(self) -> None:
        """Return in the same browser, later."""
        secret = self.person.secret
        self.leave()
        self.enter(secret)
        self.look()

    def change(self) -> None:
        """Continue as another visitor; the documents of the last one stay until they are deleted."""
        self.past[self.person.secret] = (self.held, self.arriving)
        self.leave()
        self.begin()
        self.look()

    def act(self) -> str:
        """Do one random action and return its name."""
        steps: dict[Step, float] = {
            self.upload: 20, self.find_own: 22, self.find_theirs: 10, self.program: 9, self.read: 8, self.question: 8,
            self.forge: 6, self.delete: 7, self.look: 8, self.come_back: 2.5, self.change: 1.5, self.forget: 1.5,
            self.upload_and_leave: 1.5, self.upload_and_forget: 1, self.rush: 0.7, self.search_and_leave: 1,
        }  # fmt: skip
        (step,) = self.rng.choices(list(steps), weights=list(steps.values()))
        try:
            step()
        except LimitMet:
            self.person.pause(0.5, 2, self.rng)
        except (EventFailed, httpx.HTTPError, ConnectionError, AppError) as error:
            self.figures.break_("no error", f"{step.__name__}: {type(error).__name__}: {error}")
        return step.__name__

    # -- documents

    def upload(self, given: Paper | None = None) -> None:
        """Upload a document; sometimes a picture, a broken file, or the file that all visitors share."""
        paper = given or self.draw()
        with self.figures.timing("upload until stored"):
            self.hand_in(paper)
            self.person.wait()
        self.learn(paper)

    def upload_and_leave(self) -> None:
        """Close the page while the document is being read, then open it again."""
        paper = self.desk.pdf(3)
        self.hand_in(paper)
        self.arriving = paper
        self.come_back()

    def draw(self) -> Paper:
        """Return the next paper to upload."""
        kind = self.rng.random()
        if kind < 0.05 and self.street.pictures:
            return self.desk.picture()
        if kind < 0.12:
            return self.desk.broken()
        if kind < 0.2:
            return self.desk.common()
        return self.desk.pdf(self.rng.choice((1, 1, 2, 3)))

    def hand_in(self, paper: Paper) -> None:
        """Upload a file; if the queue is full, try again once after a while."""
        event = self.person.event("upload", "upload")
        for _ in range(20):
            files = self.person.send(paper.path)
            try:
                self.person.do(event, upload=files)
            except LimitMet:
                self.figures.unclaimed += 1
                self.person.pause(0.3, 1, self.rng)
                continue
            return
        raise LimitMet("the queue stayed full")

    def learn(self, paper: Paper) -> None:
        """Check the outcome of a finished upload."""
        told = [one for one in sights.arrivals(str(self.person.shown("arrivals"))) if one.name == paper.name]
        if not told:
            self.figures.break_(
                "nothing lost", f"no outcome is shown for {paper.name}: {self.person.shown('arrivals')}"
            )
            return
        outcome = told[-1]
        if outcome.state == "refused":
            self.figures.refused(outcome.said)
            if paper.file and not any(part in outcome.said for part in ("wait", "room", "full", "at once")):
                self.figures.break_("no error", f"{paper.name} was refused: {outcome.said}")
            return
        if outcome.state == "known" and paper.file in self.held:
            return
        if not paper.file or outcome.pages != paper.pages:
            self.figures.break_("nothing lost", f"{paper.name} with {paper.pages} pages: {outcome.said}")
        self.held[paper.file] = paper
        if paper.name != "common.pdf":
            with self.street.lock:
                self.street.known.append((self.person.secret, paper))
        self.look()

    def delete(self) -> None:
        """Delete a document; it must disappear at once."""
        if not self.held:
            return
        paper = self.rng.choice(list(self.held.values()))
        with self.figures.timing("delete"):
            self.person.delete(paper.file)
        if not any("is deleted" in warning for warning in self.person.warnings):
            self.figures.break_("no error", f"a deletion was not acknowledged: {self.person.warnings}")
            return
        del self.held[paper.file]
        self.look()
        self.expect_refused("picture", f"local/{paper.file}-0001", "deleted")
        if paper.words[0]:
            found = sights.columns(self.search(" ".join(paper.words[0]), "My documents")).get("smart", [])
            if any(card.file == paper.file for card in found):
                self.figures.break_("nothing lost", f"{paper.name} is found after it was deleted")

    def forget(self) -> None:
        """Delete everything of this visitor."""
        with self.figures.timing("forget everything"):
            answer = self.person.forget()
        if "done" not in answer:
            self.figures.break_("no error", f"nothing was forgotten: {answer}")
            return
        self.held = {}
        self.look()

    def upload_and_forget(self) -> None:
        """Delete everything while an upload is being read; nothing of it may stay, not even the current page."""
        self.hand_in(self.desk.pdf(3))
        self.person.pause(0, 0.6, self.rng)
        self.forget()

    def look(self) -> None:
        """Check that the Library lists exactly the acknowledged documents."""
        self.person.wait()
        listed = {one.file: one for one in sights.shelf(str(self.person.shown("documents")))}
        if missing := self.held.keys() - listed.keys():
            names = [self.held[file].name for file in missing]
            self.figures.break_("nothing lost", f"not in the Library: {names}")
        if strange := listed.keys() - self.held.keys():
            self.figures.break_("nothing lost", f"listed, but not theirs: {[listed[f].name for f in strange]}")
        for file in self.held.keys() & listed.keys():
            if listed[file].pages != self.held[file].pages:
                self.figures.break_("nothing lost", f"{self.held[file]} has {listed[file].pages} pages")

    # -- searching

    def search(self, text: str, scope: str) -> str:
        """Search, check that all pages belong to the scope, and return the markup."""
        with self.figures.timing("search"):
            answer = self.person.search(text, scope)
        for cards in sights.columns(answer).values():
            for card in cards:
                mine = card.whose == "local" and card.file in self.held
                if not (mine and scope != "Samples") and not (card.whose == "samples" and scope != "My documents"):
                    self.figures.break_("no cross-talk", f"{card} in {scope}, of {sorted(self.held)}")
        return answer

    def find_own(self) -> None:
        """Search for a page by its own words; it must be first."""
        written = [paper for paper in self.held.values() if paper.words[0]]
        if not written:
            self.search(self.rng.choice(SAMPLE_QUERIES), "Samples")
            return
        paper = self.rng.choice(written)
        page = self.rng.randrange(paper.pages)
        answer = self.search(" ".join(paper.words[page]), self.rng.choice(("My documents", "My documents", "Both")))
        cards = sights.columns(answer).get("smart", [])
        if not cards or (cards[0].file, cards[0].page) != (paper.file, page + 1):
            self.figures.break_("own pages found", f"{paper} page {page + 1}: {cards[:3]} {answer[:300]}")

    def find_theirs(self) -> None:
        """Search for another visitor's words; none of their pages may be found."""
        theirs = self.street.theirs(self.person.secret, self.rng)
        if theirs is None or not theirs[1].words[0]:
            return
        word = theirs[1].words[0][0]
        self.person.said.add(word)
        self.search(word, self.rng.choice(("My documents", "Samples", "Both")))

    def program(self) -> None:
        """Search the public endpoint with the real client: own pages if there are any, else the samples."""
        if self.client is None:
            self.client = Client(
                self.street.url, headers={VISITOR_HEADER: self.person.secret}, verbose=False, analytics_enabled=False,
                download_files=False, httpx_kwargs={"timeout": 60},
            )  # fmt: skip
        theirs = self.street.theirs(self.person.secret, self.rng)
        words = [theirs[1].words[0][0]] if theirs and theirs[1].words[0] else []
        self.person.said |= set(words)
        try:
            with self.figures.timing("the endpoint"):
                answer = self.client.submit(" ".join([*words, "budget"]), 20, api_name="/search").result(PATIENCE)
        except TimeoutError:
            self.figures.break_("queue honest", f"a program had no outcome in {PATIENCE} s")
            self.client = None  # closing it would wait equally long
            return
        except QueueError as error:
            self.figures.met(f"the endpoint: {error}")
            return
        self.person.check(json.dumps(answer), "/search")
        mine = {paper.name for paper in self.held.values()}
        named = {hit["document"] for hits in answer["results"].values() for hit in hits}
        if mine and not named <= mine:
            self.figures.break_("no cross-talk", f"/search told of {named - mine}")
        if mine and answer["pages"] != sum(paper.pages for paper in self.held.values()):
            self.figures.break_("nothing lost", f"/search ranked {answer['pages']} pages of {list(self.held.values())}")

    def read(self) -> None:
        """Open pages of an answer."""
        answer = self.search(self.rng.choice(SAMPLE_QUERIES), self.rng.choice(("Samples", "Both")))
        for card in sights.columns(answer).get("smart", [])[:2]:
            with self.figures.timing("open a page"):
                got = self.person.ask("results", "picture", card.key)
            if not str(got.get("picture", "")).startswith("data:image/webp;base64,"):
                self.figures.break_("no error", f"no picture of {card}: {str(got)[:200]}")
            self.person.pause(0.2, 1, self.rng)

    def question(self) -> None:
        """Send the requests of the viewer and the tabs about an answer."""
        scope = "Both" if self.held else "Samples"
        answer = self.search(self.rng.choice(SAMPLE_QUERIES), scope)
        search = json.loads(sights.asked(answer))
        page = sights.columns(answer)["smart"][0].key
        asked = {"asked": search, "page": page}
        wanted = {
            "explain": asked,
            "overlay": asked | {"view": "query"},
            "pair": asked,
            "hood": search,
            "comparison": {"asked": search, "at": self.street.url},
        }
        for function in self.rng.sample(list(wanted), 3):
            with self.figures.timing(f"ask: {function}"):
                self.person.ask("hood" if function == "hood" else "results", function, wanted[function])
            self.person.pause(0.1, 0.6, self.rng)

    # -- misuse

    def forge(self) -> None:
        """Request another visitor's page by its number, through every function."""
        theirs = self.street.theirs(self.person.secret, self.rng)
        if theirs is None:
            return
        secret, paper = theirs
        page, search = f"{paper.file}-0001", {"text": "budget", "scope": "My documents"}
        for scope in ("local", visitor_scope(secret), "samples"):
            key = f"{scope}/{page}"
            self.expect_refused("picture", key, "forged")
            for function in ("explain", "overlay", "pair"):
                self.expect_refused(function, {"asked": search, "page": key, "view": "query"}, "forged")
            region = {"asked": search | {"picture": f"region:{key}:0.0000,0.0000,1.0000,1.0000"}}
            self.expect_refused("comparison", region, "forged")
        self.person.do(self.person.event("documents", "delete"), {"file": paper.file})

    def expect_refused(self, function: str, wanted: object, why: str) -> None:
        """Send a request that must be refused."""
        answer = self.person.ask("results", function, wanted)
        if not isinstance(answer, dict) or set(answer) != {"sentence"}:
            self.figures.break_("no cross-talk", f"{function} of a {why} page: {str(answer)[:200]}")

    def rush(self) -> None:
        """Send requests far faster than people do, as a script would."""
        self.person.burst(self.person.event("go", "click"), 30)

    def search_and_leave(self) -> None:
        """Search and close the page before the answer."""
        event = self.person.event("go", "click")
        inputs = [self.person.state.get(one) for one in self.person.events[event]["inputs"]]
        body = {"data": inputs, "fn_index": event, "session_hash": self.person.session, "trigger_id": None}
        self.person.http.post("/gradio_api/queue/join", json=body)
        self.come_back()

    # -- the end

    def finish(self) -> None:
        """Delete everything of every visitor of this thread."""
        self.past[self.person.secret] = (self.held, self.arriving)
        self.leave()
        for secret, (held, arriving) in self.past.items():
            self.held, self.arriving = held, arriving
            self.enter(secret)
            self.look()
            self.forget()
            self.leave()


def fresh_seed() -> int:
    """Return a seed for a run that need not be reproducible."""
    return secrets.randbelow(1_000_000)


def live(life: Life, until: float, acts: int) -> None:
    """Act until `until` on the monotonic clock, or `acts` times."""
    if life.number == 0 and life.street.pictures:  # the OCR model takes its memory before growth is measured
        life.upload(life.desk.picture())
    for _ in range(acts):
        if time.monotonic() >= until:
            break
        life.act()
        life.person.pause(0.2, 3, life.rng)
    life.finish()
