"""The page: its events with their handlers, and the deletion of a visitor's data. Building it starts nothing."""

from __future__ import annotations

from dataclasses import replace

import gradio as gr

from smart_demo.engine import Engine
from smart_demo.errors import InputRefused
from smart_demo.judging.judging_store import JudgingStore
from smart_demo.methods import Counted, Reduce
from smart_demo.search.request import (
    ON_MINE,
    ON_SAMPLES,
    SearchRequest,
    parse_request,
    parse_request_fields,
    parse_url_query,
)
from smart_demo.server.cleanup import Cleanup
from smart_demo.server.picture_addresses import PictureAddresses
from smart_demo.types import SAMPLES, Scope
from smart_demo.ui import adding, library_tab, page_layout, theme
from smart_demo.ui.api import API_NAME, MAX_CONCURRENT, SearchEndpoint
from smart_demo.ui.costs_tab import CostsTab
from smart_demo.ui.crops import CropHandlers
from smart_demo.ui.events import (
    PRIVATE_EVENT,
    SEARCH_EVENT,
    SINGLE_EVENT,
    answer_errors,
    embed_value,
    resolve_upload,
    server_function,
    show_errors_as_toast,
    toast_text,
)
from smart_demo.ui.export import Exporter
from smart_demo.ui.handlers import BackgroundState, Handlers
from smart_demo.ui.how_often import HowOften
from smart_demo.ui.judge_sheets import JudgeSheets
from smart_demo.ui.judge_tab import BoardWiring, JudgeWiring, server_functions
from smart_demo.ui.library_tab import SamplePreparation
from smart_demo.ui.page_layout import PageLayout
from smart_demo.ui.queries_tab import QueriesHandlers
from smart_demo.ui.render import render
from smart_demo.ui.results_tab import ResultsHandlers
from smart_demo.ui.slides import SlideHandlers
from smart_demo.ui.stories import STORY_QUERIES
from smart_demo.ui.upload_queue import UploadQueue
from smart_demo.ui.viewer import ExplainHandlers
from smart_demo.ui.voting import Voting
from smart_demo.wording import size_in_words


def build_app(
    engine: Engine,
    preparation: SamplePreparation,
    picture_addresses: PictureAddresses,
    cleanup: Cleanup | None = None,
) -> gr.Blocks:
    """Return the page around an engine. `preparation` and `cleanup` may be running or not.

    picture_addresses: give the same to `launch_options`, which serves them.
    """
    limits, waiting = engine.settings.limits, engine.settings.quotas.waiting_files
    uploads = UploadQueue(engine.add, limits.files, waiting, engine.count_pages, engine.suggest_questions)
    handlers = Handlers(engine, uploads, preparation, picture_addresses)
    explanations = ExplainHandlers(handlers)
    evidence = CropHandlers(handlers)
    endpoint = SearchEndpoint(handlers)
    costs = CostsTab(handlers, endpoint)
    exporter = Exporter(handlers, theme.inline_fonts())
    judging = JudgingStore(engine, STORY_QUERIES)
    sheets = JudgeSheets(judging, handlers)
    boards, lists, voting = ResultsHandlers(judging, handlers), QueriesHandlers(judging, handlers), Voting(sheets)
    how_often = HowOften(handlers, judging)
    handlers.find_judged_outcome = how_often.find_outcome
    deletion = Deletion(handlers, sheets, lists, how_often, cleanup or Cleanup(engine))
    preparation.add_search_listener(lambda: how_often.outcomes(ON_SAMPLES))

    picture = server_function("picture", handlers.load_picture)
    viewer = [
        picture,
        server_function("explain", explanations.explain),
        server_function("overlay", explanations.overlay),
        server_function("pair", explanations.pair),
        server_function("crops", evidence.crops),
        server_function("words", explanations.words),
        server_function("hood", costs.inspect),
        server_function("comparison", exporter.comparison),
        server_function("slide", SlideHandlers(handlers, how_often).slide),
        server_function("outcomes", how_often.list_questions),
    ]
    votes = [server_function("vote", voting.vote), server_function("grade", voting.grade)]
    judges = [picture, *votes, *server_functions(boards, lists)]
    forget = server_function("forget", deletion.delete)

    with gr.Blocks(title="SMART demo", analytics_enabled=False, fill_width=True) as app:
        # First, so that it gets its name without a suffix: the page's private events have names too.
        gr.api(endpoint.search, api_name=API_NAME, concurrency_limit=MAX_CONCURRENT)
        page = PageLayout(engine.settings, viewer, judges, forget)
        wiring = Wiring(handlers, page, how_often)
        JudgeWiring(page.judge, page.controls, voting)
        panels = (page.judge.results, page.judge.queries)
        results = BoardWiring(boards, lists, panels, uploads.delete_copy, private=handlers.is_private)
        results.connect_run([page.scope, *page.controls])
        app.load(wiring.load, None, wiring.loaded, **PRIVATE_EVENT, api_name="open")
    preparation.add_search_listener(lambda: embed_value(app, page.results, wiring.render_first_answer()))
    return app


class Deletion:
    """Deletes a visitor's data: documents, judgements, query lists and pictures, on disk and in memory."""

    def __init__(
        self, handlers: Handlers, sheets: JudgeSheets, lists: QueriesHandlers, how_often: HowOften, cleanup: Cleanup
    ) -> None:
        """Also delete what is in memory of each visitor who expires."""
        self._handlers, self._lists, self._how_often, self._cleanup = handlers, lists, how_often, cleanup
        self._tickets, self._judging = sheets.tickets, sheets.judging
        handlers.engine.set_expiry_listener(self._delete_from_memory)

    @answer_errors("a visitor's data could not be deleted")
    def delete(self, request: object) -> dict[str, object]:
        """Delete everything of the current visitor. Return `done`, a sentence with the freed bytes, or an error."""
        sure = isinstance(request, dict) and request.get("sure") is True
        visitor = self._handlers.visitor
        if visitor is None or not sure:
            raise InputRefused("Nothing was deleted.", "Reload the page and try again.")
        self._handlers.uploads.delete(visitor)
        freed = self._handlers.engine.delete_library(visitor)
        self._judging.delete(visitor)  # with what another tab wrote during that
        self._delete_from_memory(visitor)
        self._cleanup.wake()  # the index shrinks in the background
        return {"done": f"Everything of yours is deleted: {size_in_words(freed)} freed."}

    def _delete_from_memory(self, visitor: Scope) -> None:
        """Delete what is in memory of a visitor whose files are deleted."""
        if not self._handlers.uploads.running(visitor):  # new uploads of a visitor who has returned continue
            self._handlers.uploads.delete(visitor)
        self._handlers.query_pictures.delete(visitor)
        self._handlers.picture_addresses.delete(visitor)
        self._tickets.delete(visitor)
        self._lists.delete(visitor)
        self._how_often.delete(visitor)
        self._judging.discard(visitor)


class Wiring:
    """The events of one page: every handler here takes and returns values of its components."""

    def __init__(self, handlers: Handlers, page: PageLayout, how_often: HowOften) -> None:
        self.handlers, self.page, self.how_often = handlers, page, how_often
        answer = [page.results, page.answered, page.chips, page.query_picture]
        searching = {**SEARCH_EVENT, "show_progress_on": page.results}
        gr.on(
            [page.search_button.click, page.query.submit],
            self.search,
            [page.answered, page.query, page.scope, *page.controls],
            answer,
            **searching,
        )
        # Each `api_name` is the event's name in Gradio's configuration, which tests pin.
        page.chips.select(
            self.search_example, page.controls, [page.query, page.scope, *answer], **searching, api_name="example"
        )
        page.scope.input(
            self.change_scope, [page.answered, page.scope, *page.controls], answer, **searching, api_name="elsewhere"
        )
        # The script sends this after the first answer, if the visitor chose a scope before there was a query.
        page.results.input(
            self.change_scope, [page.answered, page.scope, *page.controls], answer, **searching, api_name="chosen"
        )
        page.results.select(
            self.search_region, [page.scope, *page.controls], [page.query, *answer], **searching, api_name="alike"
        )
        page.query_picture.clear(
            self.remove_picture, [page.query, page.scope, *page.controls], answer, **searching, api_name="without"
        )
        for preset, pooled, late in page.presets:  # a preset is the paper's form; setting the controls re-ranks
            values = f'() => [{pooled}, {late}, "{Reduce.MEAN}", "{Counted.ALL}"]'
            preset.click(None, None, page.controls[1:], js=values, **PRIVATE_EVENT)
        for listing in (page.judge.results.boards, page.judge.queries.table, page.how_often):
            listing.select(self.reopen, None, [page.query, page.scope, *page.controls, *answer], **searching)
        # Back and Forward send this. With "once", Gradio would drop it while an earlier answer is on its way.
        page.results.apply(
            self.reopen,
            None,
            [page.query, page.scope, *page.controls, *answer],
            **{**searching, "trigger_mode": "multiple"},
            api_name="restore",
        )
        changes = [control.change for control in page.controls]
        gr.on(
            changes,
            self.rerank,
            [page.answered, *page.controls],
            page.results,
            **PRIVATE_EVENT,
            trigger_mode="always_last",
        )
        polled = [page.status, page.footer, page.sample_documents, page.scope, page.timer, page.seen]
        polled += [page.results, page.query_picture, page.how_often]
        # The script sends this while outcomes are computed, and after each vote.
        page.how_often.input(self.count_outcomes, None, page.how_often, **SINGLE_EVENT, api_name="outcomes")
        if page.accepts_uploads:
            polled += [page.documents, page.uploads, page.cancel, page.adding.line]
            # Files may be dropped again before the server has answered: no such event is left out.
            for box in (page.files, page.adding.files):
                box.upload(self.upload, box, [box, page.timer], **PRIVATE_EVENT, trigger_mode="multiple")
            page.adding.line.select(
                self.search_added, page.controls, [page.query, page.scope, *answer], **searching, api_name="added"
            )
            page.adding.line.stop(self.cancel, None, page.cancel, **SINGLE_EVENT, api_name="stop_adding")
            page.adding.line.clear(self.dismiss, None, page.adding.line, **SINGLE_EVENT, api_name="dismiss_added")
            page.picture.upload(
                self.search_picture,
                [page.picture, page.query, page.scope, *page.controls],
                [page.picture, page.query, *answer],
                **searching,
                api_name="picture",
            )
            page.cancel.click(self.cancel, None, page.cancel, **SINGLE_EVENT)
            page.documents.delete(self.delete, None, page.timer, **SINGLE_EVENT)
            page.documents.select(self.reencode, None, page.timer, **SINGLE_EVENT, api_name="reencode")
            page.documents.stop(self.stop_reencoding, None, page.timer, **SINGLE_EVENT, api_name="stop_reencoding")
        page.timer.tick(self.poll, [page.seen, page.answered, *page.controls], polled, **SINGLE_EVENT, api_name="look")
        self.loaded = [*page.controls, page.query, page.answered, page.chips, *polled]
        """Components that `load` fills."""

    # -- searching

    @show_errors_as_toast
    def search(self, answered: object, text: object, scope: object, *controls: object) -> object:
        """Search for the text, with the picture of the last answer if it was not removed."""
        picture = _strings(answered, 3)[2]
        return self._answer(replace(parse_request(text, scope, *controls), picture=picture))

    @show_errors_as_toast
    def search_picture(self, file: object, text: object, scope: object, *controls: object) -> object:
        """Search for an uploaded picture, with the text unless it is an example's. Empties the upload button."""
        reference = self.handlers.store_picture(resolve_upload(file, self.page.picture.GRADIO_CACHE))
        words = "" if text in STORY_QUERIES else text
        request = replace(parse_request(words, scope, *controls), picture=reference)
        return None, request.text, *self._answer(request)

    @show_errors_as_toast
    def search_region(self, event: gr.EventData, scope: object, *controls: object) -> object:
        """Search for the part of a page that was drawn in the viewer, without text."""
        data = event._data if isinstance(event._data, dict) else {}
        reference = self.handlers.make_region_reference(data.get("page"), data.get("box"))
        return "", *self._answer(replace(parse_request("", scope, *controls), picture=reference))

    @show_errors_as_toast
    def remove_picture(self, text: object, scope: object, *controls: object) -> object:
        """Remove the query's picture and search for the text alone, if there is one."""
        request = parse_request(text, scope, *controls)
        if request.text.strip():
            return self._answer(request)
        return render("no_query"), None, page_layout.render_chips(STORY_QUERIES), ""

    @show_errors_as_toast
    def change_scope(self, answered: object, scope: object, *controls: object) -> object:
        """Search for the same query in another scope, if there is one: there is none before the first answer."""
        text, _, picture = _strings(answered, 3)
        if not (text or picture):
            return gr.skip()
        return self._answer(replace(parse_request(text, scope, *controls), picture=picture))

    @show_errors_as_toast
    def search_example(self, event: gr.EventData, *controls: object) -> object:
        """Search for the example of a chip in the samples, for which it was written."""
        data = event._data if isinstance(event._data, dict) else {}
        request = parse_request(data.get("query"), ON_SAMPLES, *controls)
        return request.text, ON_SAMPLES, *self._answer(request)

    @show_errors_as_toast
    def search_added(self, event: gr.EventData, *controls: object) -> object:
        """Search the visitor's documents for a question made from their words."""
        data = event._data if isinstance(event._data, dict) else {}
        request = parse_request(data.get("query"), ON_MINE, *controls)
        return request.text, ON_MINE, *self._answer(request)

    @show_errors_as_toast
    def reopen(self, event: gr.EventData) -> object:
        """Search again for a judged or listed query, with its scope and weights."""
        request = parse_request_fields(event._data)
        return request.text, request.scope, *_control_values(request), *self._answer(request)

    @show_errors_as_toast
    def rerank(self, answered: object, *controls: object) -> object:
        """Rank the last answer by other weights. Its query is cached, so no encoder runs."""
        text, scope, picture = _strings(answered, 3)
        if not (text or picture):
            return gr.skip()
        return self.handlers.render_answer(replace(parse_request(text, scope, *controls), picture=picture))

    def _answer(self, request: SearchRequest) -> tuple[str, list[str], str, str]:
        answer = self.handlers.render_answer(request)
        return answer, _answered(request), _chips(request), self.handlers.render_query_picture(request)

    # -- the library

    @show_errors_as_toast
    def upload(self, files: object) -> object:
        """Queue uploaded files and empty the box for the next ones."""
        folder, paths = self.page.files.GRADIO_CACHE, files if isinstance(files, list) else []  # the same for each box
        self.handlers.submit_uploads([resolve_upload(path, folder, "No file arrived.") for path in paths])
        return None, gr.Timer(active=True)

    @show_errors_as_toast
    def cancel(self) -> object:
        """Stop the visitor's uploads."""
        self.handlers.cancel_uploads()
        return gr.Button("Stopping after this page", interactive=False)

    @show_errors_as_toast
    def dismiss(self) -> object:
        """Remove the outcome of the visitor's last upload from the page."""
        self.handlers.dismiss_uploads()
        return ""

    @show_errors_as_toast
    def delete(self, event: gr.EventData) -> object:
        """Delete one of the visitor's documents."""
        data = event._data if isinstance(event._data, dict) else {}
        deleted = self.handlers.delete_document(data.get("file"))
        gr.Info(toast_text(deleted), duration=6)
        return gr.Timer(active=True)

    @show_errors_as_toast
    def reencode(self) -> object:
        """Encode the visitor's pages of another model again."""
        self.handlers.start_reencoding()
        return gr.Timer(active=True)

    @show_errors_as_toast
    def stop_reencoding(self) -> object:
        """Stop encoding the visitor's pages again."""
        self.handlers.stop_reencoding()
        return gr.Timer(active=True)

    # -- loading and polling

    def render_first_answer(self) -> str:
        """Return the answer to the first example, which pages show until `load` has filled them.

        It differs from the answer of `load`, so that the scripts always see that one arrive.
        """
        return f"<!-- the first example -->{self.handlers.render_answer_or_error(self._first_request())}"

    def _first_request(self) -> SearchRequest:
        return parse_request(STORY_QUERIES[0], top=self.handlers.engine.settings.top)

    @show_errors_as_toast
    def load(self, request: gr.Request) -> object:
        """Fill a new page, with the answer to the query in its address or to the first example."""
        default = self._first_request()
        search = parse_url_query(dict(request.query_params), default) if request else default
        if request and request.query_params.get("like") and not search.picture:
            gr.Warning("The part of a page in this link cannot be read, so it was left out.")
        page, updates = self.page, self._updates(self.handlers.background_state())
        # The default is set already: sending it would take back what the visitor has chosen in the meantime.
        chosen = {} if search.scope == default.scope else {"value": search.scope}
        updates[page.scope] = gr.Radio(self.handlers.scope_choices(), visible=page.accepts_uploads, **chosen)
        # Files that were dropped before this answer have started the timer: only a poll stops it.
        updates[page.timer] = gr.Timer(active=True)
        return {
            **updates,
            **dict(zip(page.controls, _control_values(search), strict=True)),
            page.query: search.text,
            page.answered: _answered(search),
            page.chips: _chips(search),
            page.results: self.handlers.render_answer_or_error(search),
            page.query_picture: self.handlers.render_query_picture(search),
        }

    @show_errors_as_toast
    def poll(self, seen: object, answered: object, *controls: object) -> object:
        """Update what changed in the background. Stops the timer if no more will change."""
        state, (page_seen, answer_seen) = self.handlers.background_state(), _strings(seen, 2)
        if state.fingerprint == page_seen:
            return gr.skip() if state.busy else {self.page.timer: gr.Timer(active=False)}
        updates = self._updates(state)
        text, scope, picture = _strings(answered, 3)
        if (text or picture) and state.answer_fingerprint != answer_seen:
            request = replace(parse_request(text, scope, *controls), picture=picture)
            updates[self.page.results] = self.handlers.render_answer_or_error(request)
            updates[self.page.query_picture] = self.handlers.render_query_picture(request)
        return updates

    @show_errors_as_toast
    def count_outcomes(self) -> object:
        """Return how often the right ranking is better, as far as it is known by now."""
        return self.how_often.render()

    def _updates(self, state: BackgroundState) -> dict[object, object]:
        """Return the values of all components around the answer."""
        handlers, page, choices = self.handlers, self.page, self.handlers.scope_choices()
        samples = library_tab.render_sample_documents(handlers.list_documents(SAMPLES), state.samples)
        encoder, settings = state.samples.encoder if state.samples else "", handlers.engine.settings
        error = handlers.preparation.error
        updates: dict[object, object] = {
            page.status: page_layout.render_status(state.serving, error, encoder, public=settings.public),
            page.footer: page_layout.render_footer(state.serving, encoder, settings),
            page.sample_documents: samples,
            page.how_often: self.how_often.render(),
            page.scope: gr.Radio(choices, visible=len(choices) > 1),
            page.timer: gr.Timer(active=state.busy),
            page.seen: [state.fingerprint, state.answer_fingerprint],
        }
        if page.accepts_uploads:
            updates[page.documents] = handlers.render_own_documents(state.serving)
            updates[page.adding.line] = adding.render_line(state.uploads)
            updates[page.uploads] = library_tab.render_uploads(state.uploads.files)
            updates[page.cancel] = gr.Button("Stop", visible=state.uploads.running, interactive=state.uploads.running)
        return updates


def _answered(request: SearchRequest) -> list[str]:
    """Return what the page's state stores of an answered request; the controls hold the rest."""
    return [request.text, request.scope, request.picture]


def _control_values(request: SearchRequest) -> tuple[int, float, float, str, str]:
    """Return a request's values for the page's controls."""
    weights = request.weights
    return request.top, weights.pooled, weights.late, weights.reduce.value, weights.counted.value


def _chips(request: SearchRequest) -> str:
    """Return the examples, with the one that was searched marked; with a picture it is another query."""
    return page_layout.render_chips(STORY_QUERIES, "" if request.picture else request.text)


def _strings(value: object, count: int) -> tuple[str, ...]:
    """Return the `count` strings of a component's state, or empty ones if it holds anything else."""
    if isinstance(value, list | tuple) and len(value) == count and all(isinstance(part, str) for part in value):
        return tuple(value)
    return ("",) * count
