"""Every view that the program renders, over one library: the samples by minilm and the pinned documents.

All of the program that is needed for them is imported here. What differs from run to run is made the same by name, in
`steady`; the rest is compared as it is.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
from PIL import Image
from starlette.applications import Starlette
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from smart_demo.backbones.registry import Serving
from smart_demo.config import Limits, Quotas, Settings
from smart_demo.engine import Engine
from smart_demo.indexing.progress import Progress, State
from smart_demo.indexing.samples import Samples
from smart_demo.judging.journal import Journal
from smart_demo.judging.trials import JudgedQuery, Rankings, draw_sides
from smart_demo.methods import POOLED, SMART
from smart_demo.search.comparison import Change, Move
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, SearchRequest, format_url_query, parse_request
from smart_demo.server.picture_addresses import PictureAddresses
from smart_demo.store.quotas import Usage
from smart_demo.types import LOCAL, SAMPLES, Document, Query
from smart_demo.ui.api import SearchEndpoint
from smart_demo.ui.app import build_app
from smart_demo.ui.cards import Side, describe_move, render_badge
from smart_demo.ui.compare import render_empty
from smart_demo.ui.costs_tab import CostsTab, render_costs, warn_of_other_encoder, warn_of_sample_encoder
from smart_demo.ui.export import Exporter
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.judge_sheets import JudgeSheets
from smart_demo.ui.library_tab import (
    SamplePreparation,
    render_documents,
    render_intro,
    render_sample_documents,
    render_uploads,
)
from smart_demo.ui.page_layout import render_chips, render_footer, render_status
from smart_demo.ui.queries_tab import (
    QueriesHandlers,
    describe_list,
    render_list_intro,
    render_message,
    render_progress,
)
from smart_demo.ui.query_input import render_picture_tag
from smart_demo.ui.render import render
from smart_demo.ui.results_tab import ResultsHandlers
from smart_demo.ui.stories import STORY_QUERIES
from smart_demo.ui.theme import build_middleware, launch_options
from smart_demo.ui.upload_queue import UploadQueue
from smart_demo.ui.viewer import ExplainHandlers
from smart_demo.ui.voting import Voting
from tests.pinned.stored import DATA, LIBRARY, NOON, Clock, digest, machine, set_times
from tests.ui.voting_cases import as_visitor, make_judging_store, make_voting

HERE = Path(__file__).resolve().parent
HTML = HERE / "html"
ME = "5a" * 16
DIALS = (5, 1.0, 1.0, "mean", "all")
HOSTILE = '"><img src=x onerror=alert(1)>.pdf'
Views = dict[str, str]


# -- the world


class World:
    """One library under several settings."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder, self.engine = folder, engine
        self.settings = replace(engine.settings, persistent=True)
        self.private = self.handlers()

    def handlers(self, **changes: object) -> Handlers:
        engine = Engine(self.engine.library, self.engine.backbones, replace(self.settings, **changes))
        uploads = UploadQueue(engine.add, engine.settings.limits.files, engine.settings.quotas.waiting_files)
        return Handlers(engine, uploads, SamplePreparation(engine), PictureAddresses(engine))

    def keys(self, scope: str, document: str) -> list[str]:
        """Pages of a document, as browsers name them."""
        named = SAMPLES if scope == "samples" else LOCAL
        pages = self.engine.library.pages([named], self.engine.backbone(named).encoder.fingerprint)
        return [f"{page.scope}/{page.id}" for page in pages if page.document == document]


def add_pinned_documents(data: Path) -> None:
    """Lay the pinned documents into a data folder of samples, before it is opened."""
    shutil.copytree(LIBRARY / "tokens", data / "tokens", dirs_exist_ok=True)
    set_times(data)


def all_views(folder: Path, engine: Engine) -> Views:
    """File name -> content."""
    world, views = World(folder, engine), Views()
    for group in GROUPS:
        for name, view in group(world):
            put(views, name, view)
    return views


def put(views: Views, name: str, view: object) -> None:
    """Markup as it is; of values with markup among them each piece of markup in a file of its own."""
    if isinstance(view, str):
        text, ending = split(steady(view)), "html"
    else:
        plain = json.dumps(_apart(views, name, view), indent=1, ensure_ascii=False)
        text, ending = steady(plain) + "\n", "json"
    assert f"{name}.{ending}" not in views, name
    views[f"{name}.{ending}"] = text


def _apart(views: Views, name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _apart(views, f"{name}-{key}", one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_apart(views, f"{name}-{at}", one) for at, one in enumerate(value)]
    if isinstance(value, str) and value.startswith("<"):
        put(views, name, value)
        return f"see {name}.html"
    return value


def split(markup: str) -> str:
    """A tag a line, so that a difference can be read."""
    return re.sub(r"(?<!\n)<", "\n<", markup.replace("\r", "\\r")).strip("\n") + "\n"


_STEADY: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"data:([a-z]+/[a-z0-9+-]+);base64,([A-Za-z0-9+/=]+)", lambda m: f"data:{m[1]};sha256,{digest(m[2])}"),
    (r"pictures/own/[0-9a-f]{32}", "pictures/own/NAME"),
    (r"(pictures/samples/[0-9a-f]{16}-\d{4})/[0-9a-f]{16}/", r"\1/VERSION/"),
    (r"(<style>)[^<]*(</style>)", r"\1…\2"),
    (r'data-turn="[0-9a-f]{8}"', 'data-turn="TURN"'),
    (r'(data-ticket|data-run)="[0-9a-f]{32}"', r'\1="ID"'),
    (r"kept:[0-9a-f]{32}", "kept:ID"),
    (r"(?:encoded in [^,<]+, )?ranked in (?:&lt;)?[\d.,]+ (?:µs|ms|s)\b", "ranked in TIME"),
    (r"(query encoded|pages found|scored|ranked) (?:&lt;)?[\d.,]+ (?:µs|ms|s)\b", r"\1 TIME"),
    (r"\d{4}-\d{2}-\d{2}(?=\.(?:zip|jsonl))", "DATE"),
    (r'("(?:encode|candidates|score|rank)\\?": )\d+\.\d+', r"\g<1>0.0"),
    (r'(\\"(?:encode|candidates|score|rank)\\": )\d+\.\d+', r"\g<1>0.0"),
)
"""What differs from run to run, in every view."""


def steady(text: str) -> str:
    for pattern, same in _STEADY:
        text = re.sub(pattern, same, text)
    return text


def _sizes(markup: str) -> str:
    """Without bytes on disk: the sample library is encoded anew, and times are written into its files."""
    return re.sub(r"\d[\d.,]* (?:bytes|kB|KB|MB|GB|TB)\b", "SIZE", markup)


def _durations(markup: str) -> str:
    markup = _sizes(markup)
    markup = re.sub(
        r">(?:&lt;|<)? ?\d[\d.,]* (?:µs|ms|s|min|h|hours?|days?|years?|minutes?|seconds?)\b[^<]*<", ">TIME<", markup
    )
    markup = re.sub(r"mean of ([^<]*), median [^<]*<", r"mean of \1, median TIME<", markup)
    return re.sub(r'(class="fill" style="width:)[\d.]+%', r"\1N%", markup)


# -- compare

Found = Iterator[tuple[str, object]]


def _answers(world: World) -> Found:
    answer = world.private.render_answer
    for number, query in enumerate(STORY_QUERIES, start=1):
        yield f"results-story-{number}", _sizes(answer(parse_request(query)))
    yield "results-moved", _sizes(answer(parse_request("How heavy is the double battery pack BP-96?", top=8)))
    yield "results-mine", answer(parse_request("restricted area", ON_MINE))
    yield "results-both", _sizes(answer(parse_request("restricted area", ON_BOTH, 4)))
    yield "results-unknown-words", _sizes(answer(parse_request("xyzzy plugh <b>&amp;</b> 海", top=3)))
    yield "results-late-2", _sizes(answer(parse_request("warranty in the 2023 price list", pooled=0.5, late=2.0)))
    yield "results-pooled-0", answer(parse_request("soup on wednesday", ON_MINE, pooled=0.0))
    yield "results-late-0", answer(parse_request("soup on wednesday", ON_MINE, late=0.0))
    yield "results-weightless", answer(parse_request("soup on wednesday", ON_MINE, pooled=0, late=0))
    yield "results-sum-content", answer(parse_request("soup on wednesday", ON_MINE, reduce="sum", counted="content"))
    yield "results-cut", answer(parse_request("very long question about soup " * 200, ON_MINE, 3))
    shown = world.private.render_answer_or_error
    yield "results-refused-empty", shown(parse_request("  "))
    yield "results-refused-picture", shown(parse_request("soup", ON_MINE, picture="kept:" + "0" * 32))
    yield "results-refused-nonsense", shown(parse_request("soup", ON_MINE, picture="nonsense"))
    yield "results-closed", world.handlers(uploads=False).render_answer_or_error(parse_request("soup", ON_MINE))
    yield "results-empty", render_empty("A <title>", "A hint & more") + render_empty("Trouble", "A hint", calm=False)
    yield "results-unasked", render("no_query")
    yield "results-opening", render("outline", samples=None)
    yield (
        "results-preparing",
        "".join(render("outline", samples=Samples(ready, total, "minilm")) for ready, total in ((3, 71), (0, 0))),
    )
    few = world.handlers(exhaustive=10, candidates=6, top=3)
    yield "results-ranked-few-of-many", _sizes(few.render_answer(parse_request("tide table harbour", top=3)))
    few.engine.check_candidates(["restricted area", "wave height", "price of the buoy", "soup"], SAMPLES)
    yield "results-ranked-few-checked", _sizes(few.render_answer(parse_request("tide table harbour", top=3)))
    yield "results-few-pooled-alone", _sizes(few.render_answer(parse_request("tide table harbour", top=3, late=0.0)))
    nowhere = world.handlers(samples=world.folder / "nowhere")
    yield "results-no-samples", nowhere.render_answer_or_error(parse_request("soup"))
    yield "choices", {"private": world.private.scope_choices(), "closed": world.handlers(uploads=False).scope_choices()}
    moves = [Move(Change.UP, 5, 2), Move(Change.DOWN, 1, 3), Move(Change.SAME, 1, 1), Move(Change.NEW, 14, 2)]
    moves += [Move(Change.NEW, None, 2), Move(Change.LEFT, 2, 14), Move(Change.LEFT, 2, None)]
    yield "badges", "".join(render_badge(move, side, 5) for move in moves for side in Side)
    yield "badges-spoken", [describe_move(move, side, 5, (POOLED, SMART)) for move in moves for side in Side]


def _frame(world: World) -> Found:
    yield "frame-header", render("header")
    yield "frame-hero", render("hero")
    yield "frame-how", render("how")
    yield "frame-chips", render_chips(STORY_QUERIES, STORY_QUERIES[1]) + render_chips(())
    servings = {
        "loading": Serving("qwen3-vl-2b", "qwen3-vl-2b", True, "It was chosen <so>."),
        "fallen-back": Serving("qwen3-vl-2b", "minilm", False, "qwen3-vl-2b could not be loaded: why & so."),
        "none": Serving("qwen3-vl-2b", "none", False, "No model could be loaded."),
        "well": Serving("minilm", "minilm", False, "A reason."),
    }
    public = replace(world.settings, public=True, quotas=Quotas(library_pages=200, library_bytes=500 * 10**6))
    for name, serving in servings.items():
        yield f"frame-status-{name}", render_status(serving) + render_status(serving, "Some <trouble>.")
        yield (
            f"frame-footer-{name}",
            render_footer(serving, "minilm", world.settings) + render_footer(serving, "", public),
        )
    yield "frame-footer-closed", render_footer(servings["well"], "other", replace(public, uploads=False))
    yield "presenting-tools-private", render("sharing", public=False)
    yield "presenting-tools-public", render("sharing", public=True)


def _viewer(world: World) -> Found:
    maps = ExplainHandlers(world.private)
    page = world.keys("samples", "site-map-and-floor-plan.pdf")[0]
    mine, other = world.keys("local", "galley-menu-week-24.pdf")[:2]
    story = {"asked": parse_request("restricted area, no anchoring").fields, "page": page}
    soup = {"asked": parse_request("soup on wednesday", ON_MINE, 3, 1.0, 2.0).fields, "page": mine}
    for name, wanted in (("story", story), ("mine", soup)):
        yield f"viewer-{name}", maps.explain(wanted)
        for view in ("query", "winners", "term-0", "term-1", "term-99"):
            yield f"viewer-{name}-map-{view}", maps.overlay(wanted | {"view": view})
    content = {"asked": parse_request("xyzzy the", ON_MINE, counted="content", reduce="sum").fields, "page": mine}
    yield "viewer-content", maps.explain(content)
    few = ExplainHandlers(world.handlers(exhaustive=10, candidates=2))
    yield "viewer-not-reached", few.explain({"asked": parse_request("soup on wednesday").fields, "page": page})
    yield "pair-not-reached", few.pair({"asked": parse_request("soup on wednesday").fields, "page": page})
    yield "pair-story", maps.pair(story)
    yield "pair-mine", maps.pair(soup | {"other": other})
    yield "pair-other-way", maps.pair(soup | {"page": other, "other": mine})
    yield "pair-weightless", maps.pair(soup | {"asked": parse_request("soup", ON_MINE, 3, 0, 0).fields, "other": other})
    odd = {"nothing": None, "no-page": {"asked": {}, "page": "x"}, "foreign": story | {"page": "visitor-1/" + page[8:]}}
    odd["gone"] = story | {"page": "samples/0000000000000000-0001"}
    for name, wanted in odd.items():
        yield f"viewer-refused-{name}", [maps.explain(wanted), maps.overlay(wanted), maps.pair(wanted)]
    yield "pair-refused-same", maps.pair(soup | {"other": mine})
    yield (
        "picture-of-a-page",
        [world.private.load_picture(page), world.private.load_picture(mine), world.private.load_picture("no")],
    )


def _pictures(world: World) -> Found:
    handlers, page = world.private, world.keys("local", "site-map-and-floor-plan.pdf")[0]
    part, whole = (
        handlers.make_region_reference(page, [0.1, 0.1, 0.6, 0.4]),
        handlers.make_region_reference(page, [0, 0, 1, 1]),
    )
    copy = world.folder / "given.png"
    Image.linear_gradient("L").convert("RGB").save(copy)
    kept = handlers.store_picture(copy)
    wanted = {"part": part, "whole": whole, "gone": "kept:" + "0" * 32, "gone-page": f"{part[:13]}0000{part[17:]}"}
    for name, reference in wanted.items():
        yield f"picture-tag-{name}", handlers.render_query_picture(parse_request("", ON_MINE, picture=reference))
    yield "picture-tag-kept", handlers.render_query_picture(parse_request("words", ON_MINE, picture=kept))
    yield "picture-tag-missing", render_picture_tag(None)
    yield "picture-results", handlers.render_answer_or_error(parse_request("restricted", ON_MINE, 3, picture=part))
    refusals = {}
    for name, given in {"nothing": [], "empty": [0.5, 0.5, 0.5, 0.9], "text": "x"}.items():
        refusals[name] = _refused(lambda given=given: handlers.make_region_reference(page, given))
    refusals["closed"] = _refused(lambda: world.handlers(uploads=False).store_picture(copy))
    refusals["no-page"] = _refused(lambda: handlers.make_region_reference("nonsense", [0, 0, 1, 1]))
    yield "picture-refusals", refusals
    yield (
        "addresses",
        [
            format_url_query(parse_request("a b&c", ON_BOTH, 7, 0.5, 2, "sum", "content", picture))
            for picture in ("", part, whole)
        ],
    )


def _refused(act: Callable[[], object]) -> object:
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - what it says is what is pinned
        return f"{type(error).__name__}: {getattr(error, 'sentence', error)}"


# -- library


def _library(world: World) -> Found:
    handlers = world.private
    yield "library-intro-private", render_intro(world.settings)
    public = replace(world.settings, public=True, limits=Limits(pages=7, file_bytes=2**20, files=3), persistent=False)
    yield "library-intro-public", render_intro(public)
    yield "library-closed", render("no_uploads")
    yield "library-samples", _sizes(render_sample_documents(handlers.list_documents(SAMPLES), handlers.samples()))
    yield (
        "library-samples-on-their-way",
        render_sample_documents((), Samples(3, 71, "minilm")) + render_sample_documents((), None),
    )
    yield "library-mine", handlers.render_own_documents(handlers.serving())
    usage = Usage(1, 2**20, 200, 500 * 10**6)
    yield (
        "library-keeping",
        "".join(render("library_usage", usage=usage, settings=settings) for settings in (world.settings, public)),
    )
    odd = [Document(LOCAL, "a" * 16, name, 12, 9, 1000) for name in (HOSTILE, "noending", "\u202egpj.exe", "x.jpeg")]
    yield "library-odd-names", render_documents(odd, 3, loading=False)
    yield "library-empty", render_documents((), 1, loading=False) + render_documents((), 0, loading=True)
    steps = [
        Progress("waiting.pdf", State.WORKING),
        Progress("loading.pdf", State.WORKING, message="Waiting for the model to load."),
        Progress(HOSTILE, State.WORKING, 3, 9, seconds_left=12.4),
        Progress("long.pdf", State.WORKING, 3, 200, "A page was left out.", seconds_left=4000.0),
        Progress("done.pdf", State.DONE, 9, 9),
        Progress("some.pdf", State.DONE, 8, 9, "Page 4 was left out: it is empty."),
        Progress("one.jpg", State.DONE, 1, 1),
        Progress("known.pdf", State.KNOWN, 9, 9, "It was there already."),
        Progress("refused.pdf", State.REFUSED, 0, 0, "It is no PDF. <Choose> another."),
        Progress("part.pdf", State.REFUSED, 2, 9, "It was stopped."),
    ]
    yield "library-uploads", render_uploads(steps) + render_uploads(())
    yield (
        "library-refusals",
        {
            "delete": _refused(lambda: handlers.delete_document("x")),
            "delete-unknown": _refused(lambda: handlers.delete_document("0" * 16)),
            "submit": _refused(lambda: world.handlers(uploads=False).submit_uploads([])),
            "submit-public": _refused(lambda: world.handlers(public=True).submit_uploads([])),
        },
    )


# -- judge


def _judge(world: World) -> Found:
    shutil.rmtree(world.settings.data_dir / "judgements", ignore_errors=True)
    handlers = world.private
    voting = make_voting(handlers)
    begun = voting.vote_panel({"act": "look"}, *DIALS)
    yield "judge-begin", begun
    yield (
        "judge-begin-public",
        _asked_as(ME, lambda: make_voting(world.handlers(public=True, uploads=False)).vote_panel({}, *DIALS)),
    )
    yield (
        "judge-begin-no-owner",
        _asked_as("x", lambda: make_voting(world.handlers(public=True)).vote_panel({}, *DIALS)),
    )
    _begin(world.settings.data_dir)
    judge = Judge(handlers)
    yield "judge-vote", _sizes(judge.look(act="start"))
    yield (
        "judge-vote-refused",
        [
            judge.vote(choice="c"),
            judge.vote(reasons=["because"]),
            judge.vote(note="x" * 1_001),
            judge.voting.vote({"act": "vote", "ticket": "0" * 32, "choice": "a"}),
            judge.voting.vote({"act": "fly"}),
            judge.voting.vote(None),
        ],
    )
    yield "judge-voted", judge.vote("a", reasons=["table", "figure"], note='größe "<b>"')
    yield "judge-undone", judge.voting.vote({"act": "undo"})
    yield "judge-vote-seen", _sizes(judge.look(act="go", at=0))
    yield "judge-voted-again", judge.vote("tie")
    judge.look(act="go", at=1)
    yield "judge-voted-b", judge.vote("b")
    judge.look(act="go", at=2)
    yield "judge-voted-bad", judge.vote("bad")
    judge.look(act="go", at=3)
    yield "judge-skipped", judge.voting.vote({"act": "skip", "ticket": judge.ticket})
    yield "judge-look-voted", _sizes(judge.look(act="go", at=1))
    yield "judge-look-dials-differ", _sizes(judge.look((8, 0.5, 2.0, "sum", "content"), act="go", at=4))
    yield "judge-grade-blind", _sizes(judge.pool(act="go", at=4))
    first, second = judge.pages[:2]
    yield "judge-graded", judge.grade(first, 3)
    yield "judge-graded-twice", judge.grade(second, 0)
    yield "judge-grade-refused", [judge.grade(first, 4), judge.grade("samples/0000000000000000-0001", 1)]
    yield "judge-grade-undone", judge.voting.grade({"act": "undo"})
    yield "judge-grade-ranks", judge.voting.grade({"act": "ranks", "ticket": judge.ticket})
    for page in judge.pages:
        judge.grade(page, 1)
    yield "judge-grade-all", judge.voting.grade({"act": "ranks", "ticket": judge.ticket})
    yield "judge-grade-voted", _sizes(judge.pool(act="go", at=0))
    yield "judge-own-query", _sizes(judge.look(act="ask", query="soup <on> wednesday"))
    yield "judge-own-query-empty", judge.look(act="ask", query=" ")
    yield "judge-mine", judge.look(act="scope", scope=ON_MINE)
    yield "judge-took-dials", judge.look((3, 0.5, 2.0, "mean", "all"), act="take")
    yield "judge-end", judge.look(act="go", at=500)
    yield "judge-grade-end", judge.pool()
    yield (
        "judge-trouble",
        render("judge_error", title="Title", sentence="Said <so>.", retry=True)
        + render("judge_error", title="Title", sentence="Said.", retry=False),
    )
    yield "judge-look-refused", judge.voting.vote_panel("nonsense", *DIALS) + judge.look(act="scope", scope="elsewhere")
    boards = ResultsHandlers(judge.judging, handlers)
    yield "judge-results", boards.scoreboards({})
    shutil.rmtree(world.settings.data_dir / "judgements")


def _asked_as(secret: str, view: Callable[[], str]) -> str:
    with as_visitor(secret):
        return view()


class Judge:
    """One browser that judges."""

    def __init__(self, handlers: Handlers) -> None:
        self.judging = make_judging_store(handlers)
        self.voting, self.panel = Voting(JudgeSheets(self.judging, handlers)), ""

    @property
    def ticket(self) -> str:
        return re.findall(r'data-ticket="([0-9a-f]+)"', self.panel)[0]

    @property
    def pages(self) -> list[str]:
        return list(dict.fromkeys(re.findall(r'data-page="([^"]+)"', self.panel)))

    def look(self, dials: tuple[object, ...] = DIALS, **given: object) -> str:
        self.panel = self.voting.vote_panel(given, *dials)
        return self.panel

    def pool(self, **given: object) -> str:
        self.panel = self.voting.grade_panel(given, *DIALS)
        return self.panel

    def vote(self, choice: str = "a", **more: object) -> dict[str, object]:
        return self.voting.vote({"act": "vote", "ticket": self.ticket, "choice": choice} | more)

    def grade(self, page: str, grade: object) -> dict[str, object]:
        given = {"act": "grade", "ticket": self.ticket, "page": page, "grade": grade}
        return self.voting.grade(given)


# -- results and queries


def _boards(world: World) -> Found:
    shutil.rmtree(world.settings.data_dir / "judgements", ignore_errors=True)
    yield "boards-shell", render("results_panel")
    yield (
        "boards-take-in",
        "".join(render("import_intro", megabytes=size, private=private) for size, private in ((32, True), (1, False))),
    )
    boards = ResultsHandlers(make_judging_store(world.private), world.private)
    yield "boards-empty", boards.scoreboards({})
    yield "boards-file-empty", boards.download({"form": "zip"})
    archive, journal = (DATA / "evaluation.zip").read_bytes(), (DATA / "journal.jsonl").read_bytes()
    yield "boards-taken", boards.import_evaluation(archive)
    yield "boards-taken-twice", boards.import_evaluation(journal)
    yield (
        "boards-refused",
        "".join(
            boards.import_evaluation(data)
            for data in (
                b"nonsense\n{}\n" * 15,
                b"",
                b"PK\x03\x04 no zip",
                archive[:2000],
                journal[:900],
                b"\xff\xfe\n",
            )
        ),
    )
    yield "boards-refused-text", "".join(boards.import_text(text) for text in (None, " ", "{}", "<b>"))
    yield "boards-filled", boards.scoreboards({})
    yield (
        "boards-file",
        [
            {key: value if key != "data" else len(str(value)) > 1_000 for key, value in boards.download(wanted).items()}
            for wanted in ({"form": "zip"}, {"form": "jsonl"}, {"form": "exe"})
        ],
    )
    yield (
        "boards-public-no-owner",
        ResultsHandlers(make_judging_store(public := world.handlers(public=True)), public).scoreboards({}),
    )
    yield "boards-forgotten", boards.delete({})
    for name, better, worse in (("many", 14, 4), ("few", 3, 1), ("even", 6, 6)):
        _many(world.settings.data_dir, better, worse)
        yield f"boards-{name}", ResultsHandlers(make_judging_store(world.private), world.private).scoreboards({})
        shutil.rmtree(world.settings.data_dir / "judgements")


def _begin(data: Path, events: int = 1) -> None:
    """The pinned session, whose seed draws the sides, with the first events of it; nothing else is judged."""
    shutil.rmtree(data / "judgements", ignore_errors=True)
    (data / "judgements").mkdir()
    lines = (DATA / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (data / "judgements" / "local.jsonl").write_bytes(b"".join(lines[:events]))


def _many(data: Path, better: int, worse: int) -> None:
    """Write `better` and `worse` queries for SMART, with votes that agree with the grades, a tie and both bad."""
    _begin(data, 2)
    journal = Journal(data, LOCAL, Clock())
    trial = next(iter(journal.judgements.votes.values())).trial
    pooled, late, smart = trial.rankings
    for number in range(better + worse + 2):
        text = f"query {number}"
        turned = (pooled, late, smart) if number < better else (smart, late, pooled)
        key = Query(text).key
        one = replace(
            trial, query=JudgedQuery(text, key, ""), sides=draw_sides(trial.seed, key), rankings=Rankings(*turned)
        )
        wins = one.sides.a == ("smart" if number < better else "pooled")
        last = "tie" if number == better + worse else "bad" if number > better + worse else ""
        journal.vote(one, last or ("a" if wins else "b"))
        for place, row in enumerate(smart[:3]):
            journal.grade(one, row.page, max(0, 3 - place))


def _queries(world: World) -> Found:
    _begin(world.settings.data_dir)
    ticks = count()
    judging = make_judging_store(world.private)
    lists = QueriesHandlers(judging, world.private, clock=lambda: float(next(ticks)))
    yield "queries-intro", render_list_intro(500, private=True) + render_list_intro(100, private=False)
    sample = lists.sample()
    yield "queries-sample-counted", render_message("status", describe_list(sample))
    steps = list(lists.run((DATA / "table.csv").read_text() + "\n", parse_request("", ON_MINE, 3)))
    yield "queries-steps", "".join(markup for markup, _ in steps)
    run = list(lists.run(sample, parse_request("", ON_SAMPLES, 5)))[-1][1]
    yield "queries-sample", lists.table({"run": run})
    text = "soup on wednesday\nrestricted area\nxyzzy\n<b>evacuation</b> route\n" + "x" * 301
    run = list(lists.run(text, parse_request("", ON_MINE, 3, 0.5, 2.0)))[-1][1]
    yield "queries-mine", lists.table({"run": run})
    yield "queries-voted", [lists.vote({"run": run, "at": at}) for at in (1, 9, None)]
    yield "queries-judge", Judge(world.private).look()
    for name, given, wanted in (
        ("empty", "", parse_request()),
        ("nothing", None, parse_request()),
        ("weightless", "soup", parse_request("", ON_MINE, 3, 0, 0)),
    ):
        yield f"queries-refused-{name}", "".join(markup for markup, _ in lists.run(given, wanted))
    yield "queries-gone", lists.table({"run": "0" * 32})
    yield (
        "queries-progress",
        render_message("progress", "Another list is running. This one starts after it.")
        + render_progress(0, 3)
        + render_progress(1, 3, 90.0)
        + render_progress(3, 3)
        + render_message("refused", "No <list>."),
    )
    shutil.rmtree(world.settings.data_dir / "judgements", ignore_errors=True)


# -- under the hood, export, programs


def _hood(world: World) -> Found:
    yield "hood-shell", render("hood", mcp=True)
    yield "hood-shell-without-tool", render("hood", mcp=False)
    hood = CostsTab(world.private, SearchEndpoint(world.private))
    searches: dict[str, SearchRequest] = {
        "samples": parse_request("restricted area, no anchoring"),
        "mine": parse_request('soup\'s "on" $(wednesday) `x`\nline', ON_MINE, 3, 0.5, 2.0, "sum", "content"),
        "both": parse_request("soup", ON_BOTH, 7),
        "unasked": parse_request(" "),
    }
    for name, search in searches.items():
        found = hood.inspect(search.fields)
        found["costs"] = _durations(str(found["costs"]))
        card = re.sub(r"(<dl class=\"hood-facts is-versions\">).*?(</dl>)", _named, str(found["environment"]))
        found["environment"] = re.sub(r"(<dt>(?:Commit|Device)</dt><dd>)[^<]*", r"\1…", card)
        if isinstance(found["program"], dict) and "scores" in found["program"]:
            found["program"]["scores"] = json.loads(found["program"]["scores"])
        yield f"hood-{name}", found
    yield "hood-nothing", [hood.inspect(None), hood.inspect({"scope": 3, "top": "x"}) and "answered"]
    yield "hood-costs-of-nothing", render_costs(None, "the samples", "minilm")
    yield (
        "hood-warnings",
        [warn_of_other_encoder(1), warn_of_other_encoder(12), warn_of_sample_encoder("minilm", "qwen")],
    )
    endpoint = SearchEndpoint(world.private)
    answered = endpoint.search("soup on wednesday", 3)
    yield "endpoint", answered
    yield (
        "endpoint-refused",
        [
            _refused(lambda query=query, top=top: endpoint.search(query, top))
            for query, top in (
                ("", 5),
                (None, 5),
                ("soup", 0),
                ("soup", 51),
                ("soup", "x"),
                ("soup", True),
                ("soup", 1.5),
            )
        ],
    )
    yield "endpoint-described", {"doc": SearchEndpoint.search.__doc__}


def _named(found: re.Match[str]) -> str:
    """The names of versions, without the versions."""
    return re.sub(r"<dd>[^<]*</dd>", "<dd>…</dd>", found[0])


def _export(world: World) -> Found:
    exports = Exporter(world.private, "", lambda: datetime(2026, 5, 24, 12, tzinfo=UTC))
    at = "http://127.0.0.1:7860/"
    for name, search in {
        "story": parse_request(STORY_QUERIES[0]),
        "mine": parse_request("soup on wednesday " * 30, ON_MINE, 3, 0.5, 2.0),
        "twenty": parse_request(STORY_QUERIES[2], top=20),
        "ten": parse_request("wave <height> &amp; wind", top=10, late=0.0),
        "nothing": parse_request(""),
    }.items():
        yield f"export-{name}", exports.comparison({"asked": search.fields, "at": at})
    yield (
        "export-elsewhere",
        exports.comparison({"asked": parse_request(STORY_QUERIES[0]).fields, "at": "javascript:alert(1)"}),
    )
    yield "export-refused", exports.comparison(None)


# -- the page itself, and the server's edge


def _layout(world: World) -> Found:
    for name, changes in {
        "private": {},
        "public": {"public": True},
        "closed": {"public": True, "uploads": False},
    }.items():
        handlers = world.handlers(**changes)
        with _built(handlers) as app:
            config = app.get_config_file()
            ids = _called(config["components"])
            yield (
                f"layout-{name}-components",
                {
                    f"{ids[one['id']]}": {
                        key: one["props"][key] for key in SHOWN if one["props"].get(key) not in (None, "")
                    }
                    | ({"value": f"sha256 {digest(str(one['props']['value']))}"} if one["props"].get("value") else {})
                    for one in config["components"]
                },
            )
            yield f"layout-{name}-events", [_event(one, ids) for one in config["dependencies"]]
    options = launch_options(world.settings, world.private.picture_addresses)
    yield (
        "launch",
        {
            key: value if isinstance(value, bool | int | list) else type(value).__name__
            for key, value in options.items()
        },
    )


SHOWN = (
    "elem_id", "elem_classes", "label", "placeholder", "visible", "info", "js_on_load", "minimum", "maximum", "step",
    "choices", "file_count", "variant", "server_fns", "interactive", "lines", "max_lines", "html_attributes",
)  # fmt: skip


@contextmanager
def _built(handlers: Handlers) -> Iterator[gr.Blocks]:
    yield build_app(handlers.engine, handlers.preparation, handlers.picture_addresses)


def _called(components: list[dict[str, Any]]) -> dict[int, str]:
    """Each component's id in the page; its kind and which of them it is if it has none."""
    numbers: dict[str, Iterator[int]] = {}
    return {
        one["id"]: one["props"].get("elem_id") or f"{one['type']}-{next(numbers.setdefault(one['type'], count(1)))}"
        for one in components
    }


def _event(event: dict[str, Any], ids: dict[int, str]) -> dict[str, Any]:
    def named(number: object) -> object:
        return ids.get(number, "page") if isinstance(number, int) else number  # the page itself is no component

    plain = {
        key: event[key] for key in ("js", "queue", "trigger_mode", "show_progress", "api_visibility") if key in event
    }
    return {
        "when": sorted(f"{named(number)} {kind}" for number, kind in event["targets"]),
        "inputs": [named(number) for number in event["inputs"]],
        "outputs": [named(number) for number in event["outputs"]],
        "api_name": event.get("api_name"),
    } | plain


def _edge(world: World) -> Found:
    """What the server's edge answers, around a server that says what of a request came through."""
    private = replace(world.settings, hosts=("localhost",))
    public = replace(world.settings, public=True, limits=Limits(files=2, file_bytes=2**20))
    for name, settings in (
        ("private", private),
        ("public", public),
        ("closed", replace(public, uploads=False)),
    ):
        yield f"edge-{name}", asyncio.run(_ask_all(settings))


async def _echo(request: Request) -> JSONResponse:
    try:
        body = await request.body()
    except MultiPartException as error:  # as Gradio answers an upload that was cut off
        return JSONResponse({"detail": str(error)}, 400)
    if request.url.path.endswith("/upload"):
        return JSONResponse([])
    query = request.scope["query_string"].decode("latin-1")
    return JSONResponse({"path": request.url.path, "query": query, "method": request.method, "bytes": len(body)})


def _form(*files: tuple[str, bytes]) -> bytes:
    named = 'Content-Disposition: form-data; name="files"; filename="{}"\r\n\r\n'
    pieces = [b"--edge\r\n" + named.format(name).encode() + data for name, data in files]
    return b"\r\n".join(pieces) + b"\r\n--edge--\r\n"


JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=edge"}
KEY = {"x-smart-visitor": "5a" * 16}
API = "/gradio_api"
FETCHED = {"path": "http://visitor-given.invalid/x.pdf", "meta": {"_type": "gradio.FileData"}}
REQUESTS: tuple[tuple[str, str, dict[str, str], bytes | None], ...] = (
    ("GET", "/", {}, None),
    ("GET", "/?q=tide&page=samples%2Fx&present=1", {}, None),
    ("GET", "/", {"host": "evil.invalid"}, None),
    ("HEAD", "/config", {}, None),
    ("GET", "/assets/index.js", {}, None),
    ("GET", f"{API}/file=/etc/passwd", {}, None),
    ("GET", f"{API}/file=http://visitor-given.invalid/x", {}, None),
    ("GET", f"{API}/proxy=http://visitor-given.invalid/x", {}, None),
    ("GET", "/monitoring/summary", {}, None),
    ("GET", "/login", {}, None),
    ("POST", "/", {}, b""),
    ("OPTIONS", f"{API}/call/search", {"origin": "http://elsewhere.invalid"}, None),
    ("POST", f"{API}/call/search", JSON, b'{"data": ["tide", 5]}'),
    ("POST", f"{API}/call/search", JSON | {"origin": "http://elsewhere.invalid"}, b'{"data": ["tide", 5]}'),
    ("POST", f"{API}/call/search", JSON | {"sec-fetch-site": "cross-site"}, b'{"data": ["tide", 5]}'),
    ("POST", f"{API}/call/search", JSON, b"no json"),
    ("POST", f"{API}/call/search", JSON, b'{"data": ["' + b"x" * 2**21 + b'"]}'),
    ("POST", f"{API}/run/predict", JSON, b"{}"),
    ("POST", f"{API}/api/search", JSON, b"{}"),
    ("POST", f"{API}/queue/join", JSON, b'{"fn_index": 1, "data": [], "session_hash": "a"}'),
    ("POST", f"{API}/queue/join", JSON, json.dumps({"fn_index": 1, "data": [FETCHED]}).encode()),
    ("POST", f"{API}/component_server", JSON, b'{"data": {}, "fn_name": "picture"}'),
    ("POST", f"{API}/component_server", JSON, json.dumps({"data": FETCHED}).encode()),
    ("POST", f"{API}/component_server", FORM, _form(("x", b"y"))),
    ("POST", f"{API}/upload", FORM | KEY, _form(("a.pdf", b"%PDF-1.7"))),
    ("POST", f"{API}/upload", FORM, _form(("a.pdf", b"%PDF-1.7"))),
    ("POST", f"{API}/upload", FORM | KEY, _form(*[(f"{n}.pdf", b"x") for n in range(60)])),
    ("POST", f"{API}/upload", JSON | KEY, b"{}"),
    ("POST", f"{API}/upload", FORM | KEY | {"origin": "null"}, _form(("a.pdf", b"x"))),
    ("DELETE", f"{API}/upload", {}, None),
)


def _header(name: str, value: str) -> str:
    """The length of a body changes with its words."""
    return f"{name}: {'N' if name == 'content-length' else value}"


async def _ask_all(settings: Settings) -> list[dict[str, Any]]:
    app: Any = Starlette(routes=[Route("/{path:path}", _echo, methods=["GET", "HEAD", "POST", "OPTIONS", "DELETE"])])
    for around in reversed(build_middleware(settings)):
        app = around.cls(app, *around.args, **around.kwargs)
    said = []
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7860") as client:
        for method, path, headers, body in REQUESTS:
            answer = await client.request(method, path, headers=headers, content=body)
            said.append(
                {
                    "request": f"{method} {path}" + "".join(f" {k}: {v}" for k, v in headers.items()),
                    "sent": (body or b"")[:60].decode("latin-1"),
                    "status": answer.status_code,
                    "headers": [_header(*one) for one in sorted(answer.headers.items())],
                    "body": answer.text,
                }
            )
    return said


def _machine(world: World) -> Found:
    yield "machine", {"machine": machine(), "noon": str(NOON)}


GROUPS: tuple[Callable[[World], Found], ...] = (
    _machine, _answers, _frame, _viewer, _pictures, _library, _judge, _boards, _queries, _hood, _export, _layout, _edge,
)  # fmt: skip
