"""Delete everything of mine: documents, judgements, lists, pictures. Whom the janitor forgets is forgotten here.

The page, wired: which handler answers which event. Building it starts nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from smart_demo.engine import Engine
from smart_demo.errors import InputRefused
from smart_demo.judging.session import JudgingSession
from smart_demo.search.request import ON_SAMPLES, SearchRequest, parse_request, parse_request_fields, parse_url_query
from smart_demo.server.cleanup import Cleanup, delete_leftovers
from smart_demo.server.upload_limits import UPLOAD_TRACKER
from smart_demo.types import SAMPLES, Counted, Reduce, Scope
from smart_demo.ui import compare, library_tab, page_layout, theme
from smart_demo.ui.api import API_NAME, MAX_CONCURRENT, SearchEndpoint
from smart_demo.ui.costs_tab import CostsTab
from smart_demo.ui.events import (
    PRIVATE_EVENT,
    SEARCH_EVENT,
    SINGLE_EVENT,
    ServerFunction,
    answer_or_error,
    resolve_upload,
    show_errors_as_toast,
)
from smart_demo.ui.explain_handlers import ExplainHandlers
from smart_demo.ui.export import Exporter
from smart_demo.ui.format import esc
from smart_demo.ui.handlers import BackgroundState, Handlers
from smart_demo.ui.judge_sheets import JudgeSheets
from smart_demo.ui.judge_tab import BoardWiring, JudgeWiring, serves
from smart_demo.ui.library_tab import SamplePreparation
from smart_demo.ui.page_layout import PageLayout
from smart_demo.ui.queries_tab import QueryLists
from smart_demo.ui.results_tab import Boards
from smart_demo.ui.stories import STORY_QUERIES
from smart_demo.ui.upload_queue import UploadQueue
from smart_demo.ui.voting import Voting
from smart_demo.wording import size_in_words

UNCLAIMED_SECONDS = 600.0
"""Seconds after which an uploaded file that nothing reads is deleted."""


class Deletion:
    """Forgets people everywhere this app keeps anything of anybody."""

    def __init__(self, handlers: Handlers, sheets: JudgeSheets, lists: QueryLists, janitor: Cleanup) -> None:
        """The janitor is told how to clear this app's folder of uploads, and whom to tell of those it forgot."""
        self._trials, self._judging, self._lists, self._janitor = sheets.tickets, sheets.judging, lists, janitor
        self._handlers = handlers
        janitor.attend(self._sweep, self._let_go)
        UPLOAD_TRACKER.attend(self._handlers.uploads.on_their_way)

    def forget(self, wanted: object) -> dict[str, object]:
        """`done`, the sentence that says how much room that made; or a sentence why not."""
        sure = isinstance(wanted, dict) and wanted.get("sure") is True
        return answer_or_error(lambda: self._forget(sure=sure), "a visitor could not be forgotten")

    def _forget(self, *, sure: bool) -> dict[str, object]:
        own = self._handlers.visitor
        if own is None or not sure:
            raise InputRefused("Nothing was deleted.", "Reload the page and try again.")
        self._handlers.uploads.forget(own)
        freed = self._handlers.engine.delete_library(own)
        self._judging.delete(own)
        self._let_go(own)
        self._janitor.wake()  # the index gives its bytes back behind the page
        return {"done": f"Everything of yours is deleted: {size_in_words(freed)} freed."}

    def _let_go(self, owner: Scope) -> None:
        """What is in memory of somebody whose files are gone."""
        if not self._handlers.uploads.running(owner):  # who came back is not forgotten with what they left
            self._handlers.uploads.forget(owner)
        self._handlers.pictures.forget(owner)
        self._trials.forget(owner)
        self._lists.forget(owner)
        self._judging.evict(owner)

    def _sweep(self, _: float) -> int:
        return delete_leftovers(Path(get_upload_folder()), UNCLAIMED_SECONDS, self._handlers.uploads.on_their_way())


class Wiring:
    """Events of one page, around its handlers."""

    def __init__(self, handlers: Handlers, page: PageLayout) -> None:
        self.handlers, self.page = handlers, page
        answer = [page.results, page.answered, page.chips, page.like]
        gr.on(
            [page.go.click, page.query.submit],
            self.search,
            [page.answered, page.query, page.scope, *page.dials],
            answer,
            **SEARCH_EVENT,
            show_progress_on=page.results,
        )
        page.chips.select(
            self.example, page.dials, [page.query, page.scope, *answer], **SEARCH_EVENT, show_progress_on=page.results
        )
        page.scope.input(
            self.elsewhere,
            [page.answered, page.scope, *page.dials],
            answer,
            **SEARCH_EVENT,
            show_progress_on=page.results,
        )
        page.results.select(
            self.alike, [page.scope, *page.dials], [page.query, *answer], **SEARCH_EVENT, show_progress_on=page.results
        )
        page.like.clear(
            self.without, [page.query, page.scope, *page.dials], answer, **SEARCH_EVENT, show_progress_on=page.results
        )
        for preset, pooled, late in page.presets:  # sets the dials, and they re-rank; a preset is the paper's form
            paper = f'() => [{pooled}, {late}, "{Reduce.MEAN}", "{Counted.ALL}"]'
            preset.click(None, None, page.dials[1:], js=paper, **PRIVATE_EVENT)
        for again in (page.judge.results.boards, page.judge.queries.found):
            again.select(
                self.reopen,
                None,
                [page.query, page.scope, *page.dials, *answer],
                **SEARCH_EVENT,
                show_progress_on=page.results,
            )
        turned = [dial.change for dial in page.dials]
        gr.on(
            turned, self.rerank, [page.answered, *page.dials], page.results, **PRIVATE_EVENT, trigger_mode="always_last"
        )
        around = [page.status, page.footer, page.sample_documents, page.scope, page.timer, page.seen]
        around += [page.results, page.like]
        if page.takes:
            around += [page.documents, page.arrivals, page.cancel]
            page.files.upload(self.upload, page.files, [page.files, page.timer], **SINGLE_EVENT)
            page.picture.upload(
                self.picture,
                [page.picture, page.query, page.scope, *page.dials],
                [page.picture, page.query, *answer],
                **SEARCH_EVENT,
                show_progress_on=page.results,
            )
            page.cancel.click(self.cancel, None, page.cancel, **SINGLE_EVENT)
            page.documents.delete(self.delete, None, page.timer, **SINGLE_EVENT)
        page.timer.tick(self.look, [page.seen, page.answered, *page.dials], around, **SINGLE_EVENT)
        self.opened = [*page.dials, page.query, page.answered, page.chips, *around]
        """Everything that the first look fills."""

    # -- searching

    @show_errors_as_toast
    def search(self, answered: object, text: object, scope: object, *dials: object) -> object:
        """The words in the box, with the picture that the answer before was asked with until that is taken away."""
        picture = _strings(answered, 3)[2]
        return self._answer(replace(parse_request(text, scope, *dials), picture=picture))

    @show_errors_as_toast
    def picture(self, file: object, text: object, scope: object, *dials: object) -> object:
        """A picture that was chosen, with the words in the box unless they are an example's, which nobody typed; the
        button is given back for the next one.
        """
        reference = self.handlers.store_picture(resolve_upload(file, self.page.picture.GRADIO_CACHE))
        words = "" if text in STORY_QUERIES else text
        wanted = replace(parse_request(words, scope, *dials), picture=reference)
        return None, wanted.text, *self._answer(wanted)

    @show_errors_as_toast
    def alike(self, event: gr.EventData, scope: object, *dials: object) -> object:
        """A part of a page, drawn in the viewer: asked alone, so the box is emptied."""
        data = event._data if isinstance(event._data, dict) else {}
        reference = self.handlers.make_region_reference(data.get("page"), data.get("box"))
        return "", *self._answer(replace(parse_request("", scope, *dials), picture=reference))

    @show_errors_as_toast
    def without(self, text: object, scope: object, *dials: object) -> object:
        """The picture is taken away: the words in the box are asked alone, if there are any."""
        wanted = parse_request(text, scope, *dials)
        return (
            self._answer(wanted)
            if wanted.text.strip()
            else (compare.render_no_query(), None, page_layout.render_chips(STORY_QUERIES), "")
        )

    @show_errors_as_toast
    def elsewhere(self, answered: object, scope: object, *dials: object) -> object:
        """The same query in another scope."""
        text, _, picture = _strings(answered, 3)
        return self._answer(replace(parse_request(text, scope, *dials), picture=picture))

    @show_errors_as_toast
    def example(self, event: gr.EventData, *dials: object) -> object:
        """A chip: its words into the box, answered by the samples they were written for."""
        data = event._data if isinstance(event._data, dict) else {}
        wanted = parse_request(data.get("query"), ON_SAMPLES, *dials)
        return wanted.text, ON_SAMPLES, *self._answer(wanted)

    @show_errors_as_toast
    def reopen(self, event: gr.EventData) -> object:
        """A query that was judged or listed, with the scope and the weights of then."""
        wanted = parse_request_fields(event._data)
        weights, answer = wanted.weights, self._answer(wanted)
        turned = (wanted.top, weights.pooled, weights.late, weights.reduce.value, weights.counted.value)
        return wanted.text, wanted.scope, *turned, *answer

    @show_errors_as_toast
    def rerank(self, answered: object, *dials: object) -> object:
        """Other weights, no encoder."""
        text, scope, picture = _strings(answered, 3)
        if not (text or picture):
            return gr.skip()
        return self.handlers.render_answer(replace(parse_request(text, scope, *dials), picture=picture))

    def _answer(self, wanted: SearchRequest) -> tuple[str, list[str], str, str]:
        shown = self.handlers.render_answer(wanted)
        return shown, _kept(wanted), _chips(wanted), self.handlers.render_query_picture(wanted)

    # -- the library

    @show_errors_as_toast
    def upload(self, files: object) -> object:
        """Queue what was dropped and give the box back, so that the next file can come."""
        folder = self.page.files.GRADIO_CACHE
        self.handlers.submit_uploads([resolve_upload(file, folder, "No file arrived.") for file in _listed(files)])
        return None, gr.Timer(active=True)

    @show_errors_as_toast
    def cancel(self) -> object:
        self.handlers.cancel_uploads()
        return gr.Button("Stopping after this page", interactive=False)

    @show_errors_as_toast
    def delete(self, event: gr.EventData) -> object:
        data = event._data if isinstance(event._data, dict) else {}
        gr.Info(esc(self.handlers.delete_document(data.get("file"))), duration=6)
        return gr.Timer(active=True)

    # -- what goes on behind the page

    @show_errors_as_toast
    def open(self, request: gr.Request) -> object:
        """The first look: what the address asks, or the first example, is already answered."""
        otherwise = parse_request(STORY_QUERIES[0], top=self.handlers.engine.settings.top)
        wanted = parse_url_query(dict(request.query_params), otherwise) if request else otherwise
        if request and request.query_params.get("like") and not wanted.picture:
            gr.Warning("The part of a page in this link cannot be read, so it was left out.")
        page, around = self.page, self._around(self.handlers.background_state())
        around[page.scope] = gr.Radio(self.handlers.scope_choices(), value=wanted.scope, visible=page.takes)
        weights = wanted.weights
        turned = (wanted.top, weights.pooled, weights.late, weights.reduce.value, weights.counted.value)
        return {
            **around,
            **dict(zip(page.dials, turned, strict=True)),
            page.query: wanted.text,
            page.answered: _kept(wanted),
            page.chips: _chips(wanted),
            page.results: self.handlers.render_answer_or_error(wanted),
            page.like: self.handlers.render_query_picture(wanted),
        }

    @show_errors_as_toast
    def look(self, seen: object, answered: object, *dials: object) -> object:
        """Everything that may have changed by itself. The timer rests once nothing will."""
        now = self.handlers.background_state()
        if now.page == _strings(seen, 2)[0]:
            return gr.skip() if now.busy else {self.page.timer: gr.Timer(active=False)}
        changed = self._around(now)
        text, scope, picture = _strings(answered, 3)
        if (text or picture) and now.answers != _strings(seen, 2)[1]:
            wanted = replace(parse_request(text, scope, *dials), picture=picture)
            changed[self.page.results] = self.handlers.render_answer_or_error(wanted)
            changed[self.page.like] = self.handlers.render_query_picture(wanted)
        return changed

    def _around(self, now: BackgroundState) -> dict[object, object]:
        """Updates of all that stands around the answer."""
        handlers, page, choices = self.handlers, self.page, self.handlers.scope_choices()
        shelf = library_tab.render_sample_documents(handlers.list_documents(SAMPLES), now.samples)
        around: dict[object, object] = {
            page.status: page_layout.render_status(now.serving, handlers.preparation.trouble),
            page.footer: page_layout.render_footer(
                now.serving, now.samples.encoder if now.samples else "", handlers.engine.settings
            ),
            page.sample_documents: shelf,
            page.scope: gr.Radio(choices, visible=len(choices) > 1),
            page.timer: gr.Timer(active=now.busy),
            page.seen: [now.page, now.answers],
        }
        if page.takes:
            running = now.uploading
            around[page.documents] = handlers.render_own_documents(now.serving)
            around[page.arrivals] = library_tab.render_uploads(now.arrivals)
            around[page.cancel] = gr.Button("Stop", visible=running, interactive=running)
        return around


def _listed(given: object) -> list[object]:
    return given if isinstance(given, list) else []


def _kept(wanted: SearchRequest) -> list[str]:
    """What is remembered of an answer, beside the dials."""
    return [wanted.text, wanted.scope, wanted.picture]


def _chips(wanted: SearchRequest) -> str:
    """The examples, with the one that was asked marked; with a picture it is another question."""
    return page_layout.render_chips(STORY_QUERIES, "" if wanted.picture else wanted.text)


def _strings(given: object, count: int) -> tuple[str, ...]:
    """So many strings that a state gave back; empty ones for anything else."""
    if isinstance(given, list | tuple) and len(given) == count and all(isinstance(part, str) for part in given):
        return tuple(given)
    return ("",) * count


def build_app(engine: Engine, preparation: SamplePreparation, janitor: Cleanup | None = None) -> gr.Blocks:
    """The page around an engine. `preparation` and `janitor` may be running or not."""
    uploads = UploadQueue(engine.add, engine.settings.limits.files, engine.settings.quotas.waiting_files)
    handlers = Handlers(engine, uploads, preparation)

    def picture(key: object) -> dict[str, object]:
        return handlers.load_picture(key)

    maps = ExplainHandlers(handlers)

    def explain(wanted: object) -> dict[str, object]:
        return maps.explain(wanted)

    def overlay(wanted: object) -> dict[str, object]:
        return maps.overlay(wanted)

    def pair(wanted: object) -> dict[str, object]:
        return maps.pair(wanted)

    endpoint = SearchEndpoint(handlers)
    under = CostsTab(handlers, endpoint)

    def hood(wanted: object) -> dict[str, object]:
        return under.look(wanted)

    exports = Exporter(handlers, theme.inline_fonts())

    def comparison(wanted: object) -> dict[str, object]:
        return exports.comparison(wanted)

    judging = JudgingSession(engine, STORY_QUERIES)
    sheets, boards, lists = JudgeSheets(judging, handlers), Boards(judging), QueryLists(judging, handlers)
    voting = Voting(sheets)

    def vote(wanted: object) -> dict[str, object]:
        return voting.vote(wanted)

    def grade(wanted: object) -> dict[str, object]:
        return voting.grade(wanted)

    forgetting = Deletion(handlers, sheets, lists, janitor or Cleanup(engine))

    def forget(wanted: object) -> dict[str, object]:
        return forgetting.forget(wanted)

    with gr.Blocks(title="SMART demo", analytics_enabled=False, fill_width=True) as app:
        # First, so that the name is its own: the page's private events have names, too.
        gr.api(endpoint.search, api_name=API_NAME, concurrency_limit=MAX_CONCURRENT)
        viewed: list[ServerFunction] = [picture, explain, overlay, pair, hood, comparison]
        judges: list[ServerFunction] = [picture, vote, grade, *serves(boards, lists)]
        page = PageLayout(engine.settings, viewed, judges, forget, private=handlers.is_private)
        wiring = Wiring(handlers, page)
        JudgeWiring(page.judge, page.dials, voting)
        panels = (page.judge.results, page.judge.queries)
        BoardWiring(boards, lists, panels, uploads.discard).run_with([page.scope, *page.dials])
        app.load(wiring.open, None, wiring.opened, **PRIVATE_EVENT)
    return app
