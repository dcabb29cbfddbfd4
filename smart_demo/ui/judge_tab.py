"""The judging tab: the components of its four panels, and the handler of each of their events.

Votes and grades do not appear here: the page's scripts send them to server functions, which skip Gradio's queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import gradio as gr
from gradio.components import Component
from markupsafe import Markup

from smart_demo.config import Settings
from smart_demo.judging.journal import max_journal_bytes
from smart_demo.judging.query_list import MAX_LIST_BYTES
from smart_demo.search.request import parse_request
from smart_demo.ui.events import (
    PRIVATE_EVENT,
    SINGLE_EVENT,
    ServerFunction,
    html_component,
    read_upload,
    resolve_upload,
    server_function,
    show_errors_as_toast,
)
from smart_demo.ui.queries_tab import (
    QueriesHandlers,
    decode_list,
    describe_list,
    max_queries,
    render_list_intro,
    render_message,
)
from smart_demo.ui.render import render
from smart_demo.ui.results_tab import ResultsHandlers
from smart_demo.ui.voting import Voting
from smart_demo.wording import MEGABYTE

PANEL_LABELS = {"vote": "Vote", "grade": "Grade", "results": "Results", "queries": "Queries"}
"""Labels of the panels by id, without its prefix `judge-`."""
MAX_QUEUED_LISTS = 8
"""Lists that may run at a time. All but one wait for their turn, which costs nothing."""
SEND_JUDGED_EVENT = '() => { document.dispatchEvent(new CustomEvent("judged")); }'
DeleteCopy = Callable[[Path], None]
LIST_PLACEHOLDER = "torque of the flange bolts\nwho signed the calibration record\n…"


def server_functions(boards: ResultsHandlers, lists: QueriesHandlers) -> list[ServerFunction]:
    """Return the functions that the scripts of both panels call, by these names."""
    return [
        server_function("board", boards.scoreboards),
        server_function("board_file", boards.download),
        server_function("board_forget", boards.delete),
        server_function("list_table", lists.table),
        server_function("list_vote", lists.vote),
    ]


class ResultsPanel:
    """Components of the panel Results: scoreboards, and the import of an evaluation. Create it inside its tab."""

    def __init__(self, functions: Sequence[ServerFunction], settings: Settings) -> None:
        self.boards = html_component(
            render("results_panel"), "judge-results", "smartDemo.boards(element, server, trigger)", functions
        )
        with gr.Column(elem_id="board-take"):
            intro = render(
                "import_intro", megabytes=max_journal_bytes(settings) // MEGABYTE, private=settings.is_private
            )
            html_component(intro, "board-take-said")
            if settings.is_private:
                # Any file type may be chosen: the server decides by the bytes and explains what it refuses.
                self.file = gr.UploadButton("Choose a zip or JSONL", elem_id="board-file", scale=0, min_width=0)
            else:
                self.text = gr.Textbox(label="Lines of a judgements.jsonl", lines=4, max_lines=8, elem_id="board-text")
                self.import_button = gr.Button("Import", elem_id="board-take-it", scale=0, min_width=0)
            self.outcome = html_component("", "board-taken")


class QueriesPanel:
    """Components of the panel Queries: a list of queries and its results. Create it inside its tab."""

    def __init__(self, functions: Sequence[ServerFunction], settings: Settings) -> None:
        private = settings.is_private
        html_component(render_list_intro(max_queries(private=private), private=private), "list-intro")
        self.text = gr.Textbox(
            label="Queries", placeholder=LIST_PLACEHOLDER, lines=6, max_lines=12, elem_id="list-text",
            html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
        )  # fmt: skip
        with gr.Row(elem_id="list-buttons"):
            self.run_button = gr.Button("Run the list", variant="primary", elem_id="list-go", scale=0, min_width=0)
            self.stop_button = gr.Button("Stop", elem_id="list-stop", visible=False, scale=0, min_width=0)
            self.sample_button = gr.Button("Use the sample queries", elem_id="list-sample", scale=0, min_width=0)
            if private:
                self.file = gr.UploadButton("Upload a list", elem_id="list-file", scale=0, min_width=0)
        self.message = html_component("", "list-status")
        self.table = html_component("", "judge-list", "smartDemo.queryList(element, server, watch, trigger)", functions)
        self.run_name = gr.State("")
        """Name of the last run."""


class BoardWiring:
    """Events of the panels Results and Queries. Each `api_name` is an event's name in Gradio's configuration."""

    def __init__(
        self,
        boards: ResultsHandlers,
        lists: QueriesHandlers,
        panels: tuple[ResultsPanel, QueriesPanel],
        delete_copy: DeleteCopy,
        *,
        private: bool,
    ) -> None:
        """Connect the events. delete_copy: deletes an upload's temporary copy."""
        self.boards, self.lists, self.delete_copy = boards, lists, delete_copy
        self.results, self.queries = panels
        self.private = private
        self._wire_results()
        self._wire_queries()
        # A function, because Gradio deep-copies its configuration, and a method would be copied with its object.
        self.queries.run_name.delete_callback = lambda name: lists.discard(name)

    def _wire_results(self) -> None:
        panel = self.results
        if self.private:
            uploaded = panel.file.upload(
                self.import_file,
                panel.file,
                [panel.file, panel.outcome],
                **SINGLE_EVENT,
                api_name="take_file",
            )
        else:
            uploaded = panel.import_button.click(
                self.import_text,
                panel.text,
                [panel.text, panel.outcome],
                **SINGLE_EVENT,
                api_name="take_text",
            )
        uploaded.then(None, js=SEND_JUDGED_EVENT, **PRIVATE_EVENT)

    def _wire_queries(self) -> None:
        panel = self.queries
        panel.sample_button.click(
            self.load_sample_list, None, [panel.text, panel.message], **SINGLE_EVENT, api_name="sample"
        )
        panel.stop_button.click(self.lists.stop, panel.run_name, None, **PRIVATE_EVENT)
        if self.private:
            panel.file.upload(
                self.load_list_file,
                panel.file,
                [panel.file, panel.text, panel.message],
                **SINGLE_EVENT,
                api_name="list_file",
            )

    def connect_run(self, controls: Sequence[Component]) -> None:
        """Connect the button that runs a list. controls: scope, then the other arguments of `parse_request`."""
        panel = self.queries
        panel.run_button.click(
            self.run_list,
            [panel.text, panel.run_name, *controls],
            [panel.table, panel.run_name, panel.stop_button, panel.message],
            concurrency_id="lists",
            concurrency_limit=MAX_QUEUED_LISTS,
            **SINGLE_EVENT,
            api_name="run",
        )

    @show_errors_as_toast
    def import_file(self, file: object) -> object:
        """Import an uploaded evaluation and delete its temporary copy. Return a button ready for the next upload."""
        path = resolve_upload(file, self.results.file.GRADIO_CACHE, "No file arrived.")
        try:
            return None, self.boards.import_evaluation(read_upload(path, self.boards.max_bytes))
        finally:
            self.delete_copy(path)

    @show_errors_as_toast
    def import_text(self, text: object) -> object:
        """Import a pasted evaluation and empty the box."""
        return "", self.boards.import_text(text)

    @show_errors_as_toast
    def load_list_file(self, file: object) -> object:
        """Put an uploaded list into the box, so that it can be edited before it runs, and delete its temporary copy."""
        path = resolve_upload(file, self.queries.file.GRADIO_CACHE, "No file arrived.")
        try:
            text = decode_list(read_upload(path, MAX_LIST_BYTES))
        finally:
            self.delete_copy(path)
        return None, text, render_message("status", describe_list(text))

    @show_errors_as_toast
    def load_sample_list(self) -> object:
        """Put the sample library's own queries into the box."""
        text = self.lists.sample()
        return text, render_message("status", describe_list(text))

    def run_list(self, text: object, last_run: object, *controls: object) -> Iterator[object]:
        """Run the list and yield its progress. The Stop button is visible until it ends."""
        shown = False
        with closing(self.lists.run(text, parse_request("", *controls), last_run)) as steps:
            for markup, name in steps:
                yield markup, name, gr.skip() if shown else gr.Button(visible=True), ""
                shown = True
        yield gr.skip(), gr.skip(), gr.Button(visible=False), gr.skip()


class JudgeTab:
    """Components of the tab's four panels. Create it inside the tab.

    The browser's page contains only the open panel. Its script requests its state whenever it opens.
    """

    def __init__(self, functions: Sequence[ServerFunction], settings: Settings) -> None:
        with gr.Tabs(elem_id="judge-tabs"):
            with gr.Tab(PANEL_LABELS["vote"], id="judge-vote"):
                self.vote = html_component(
                    "", "judge-vote", "smartDemo.judge.vote(element, server, watch, trigger)", functions
                )
            with gr.Tab(PANEL_LABELS["grade"], id="judge-grade"):
                self.grade = html_component(
                    "", "judge-grade", "smartDemo.judge.grade(element, server, watch, trigger)", functions
                )
            with gr.Tab(PANEL_LABELS["results"], id="judge-results"):
                self.results = ResultsPanel(functions, settings)
            with gr.Tab(PANEL_LABELS["queries"], id="judge-queries"):
                self.queries = QueriesPanel(functions, settings)


class JudgeWiring:
    """Events of the panels Vote and Grade.

    They may run an encoder, so they wait in Gradio's queue. Of several waiting events only the last one runs.
    """

    def __init__(self, tab: JudgeTab, controls: Sequence[Component], voting: Voting) -> None:
        self._voting = voting
        options = {"api_visibility": "private", "show_progress": "minimal", "trigger_mode": "always_last"}
        tab.vote.select(self.vote_panel, list(controls), tab.vote, **options, api_name="look")
        tab.grade.select(self.grade_panel, list(controls), tab.grade, **options, api_name="pool")

    def vote_panel(self, event: gr.EventData, *controls: object) -> Markup:
        """Return the panel Vote after the event's step."""
        return self._voting.vote_panel(event._data, *controls)

    def grade_panel(self, event: gr.EventData, *controls: object) -> Markup:
        """Return the panel Grade after the event's step."""
        return self._voting.grade_panel(event._data, *controls)
