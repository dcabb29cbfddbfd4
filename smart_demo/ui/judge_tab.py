"""The panels Results and Queries: their components, and which handler answers which event.

The components of the tab where people judge, in four panels. Nothing happens here.

The judging tab, wired: which look answers which step. What judges say goes to server functions, past the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import gradio as gr
from gradio.components import Component

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
    show_errors_as_toast,
)
from smart_demo.ui.queries_tab import QueryLists, counted, most_queries, told, written
from smart_demo.ui.results_tab import Boards, list_intro, results_shell, take_in
from smart_demo.ui.voting import Voting

MAX_QUEUED_LISTS = 8
"""Lists that may be on their way; all but one of them wait for their turn, which costs nothing."""
WITH_OWNER = "(given, _, ...rest) => [given, smartDemo.judge.owner(), ...rest]"
"""Puts who judges into the place that is kept for it."""
SEND_JUDGED_EVENT = '() => { document.dispatchEvent(new CustomEvent("judged")); }'
Discard = Callable[[Path], None]
LIST_PLACEHOLDER = "torque of the flange bolts\nwho signed the calibration record\n…"


def serves(boards: Boards, lists: QueryLists) -> list[ServerFunction]:
    """What the scripts of both panels ask, by the names they ask for."""

    def board(wanted: object) -> dict[str, object]:
        return boards.look(wanted)

    def board_file(wanted: object) -> dict[str, object]:
        return boards.file(wanted)

    def board_forget(wanted: object) -> dict[str, object]:
        return boards.forget(wanted)

    def list_table(wanted: object) -> dict[str, object]:
        return lists.table(wanted)

    def list_vote(wanted: object) -> dict[str, object]:
        return lists.vote(wanted)

    return [board, board_file, board_forget, list_table, list_vote]


class ResultsPanel:
    """Scoreboards, and evaluations that go on here. Made inside its tab."""

    def __init__(self, serves: Sequence[ServerFunction], *, private: bool) -> None:
        self.boards = html_component(
            results_shell(), "judge-results", "smartDemo.boards(element, server, trigger)", serves
        )
        self.owner = gr.Textbox(visible=False, elem_id="board-owner")
        with gr.Column(elem_id="board-take"):
            html_component(take_in(max_journal_bytes(private=private), private=private), "board-take-said")
            if private:
                # Any type may be chosen: what a file is, its bytes decide, and refusals are ours to say.
                self.file = gr.UploadButton("Choose a zip or JSONL", elem_id="board-file", scale=0, min_width=0)
            else:
                self.text = gr.Textbox(label="Lines of a judgements.jsonl", lines=4, max_lines=8, elem_id="board-text")
                self.take = gr.Button("Take it in", elem_id="board-take-it", scale=0, min_width=0)
            self.taken = html_component("", "board-taken")


class QueriesPanel:
    """A list of queries and what it found. Made inside its tab."""

    def __init__(self, serves: Sequence[ServerFunction], *, private: bool) -> None:
        html_component(list_intro(most_queries(private=private), private=private), "list-intro")
        self.text = gr.Textbox(
            label="Queries", placeholder=LIST_PLACEHOLDER, lines=6, max_lines=12, elem_id="list-text",
            html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
        )  # fmt: skip
        self.owner = gr.Textbox(visible=False, elem_id="list-owner")
        with gr.Row(elem_id="list-buttons"):
            self.go = gr.Button("Run the list", variant="primary", elem_id="list-go", scale=0, min_width=0)
            self.stop = gr.Button("Stop", elem_id="list-stop", visible=False, scale=0, min_width=0)
            self.sample = gr.Button("Use the sample queries", elem_id="list-sample", scale=0, min_width=0)
            if private:
                self.file = gr.UploadButton("Upload a list", elem_id="list-file", scale=0, min_width=0)
        self.told = html_component("", "list-told")
        self.found = html_component("", "judge-list", "smartDemo.queryList(element, server, watch, trigger)", serves)
        self.name = gr.State("")
        """Of the last run."""


class BoardWiring:
    """Events of both panels, around their handlers. `discard` deletes an upload's temporary copy."""

    def __init__(
        self, boards: Boards, lists: QueryLists, panels: tuple[ResultsPanel, QueriesPanel], discard: Discard
    ) -> None:
        self.boards, self.lists, self.discard = boards, lists, discard
        self.results, self.queries = panels
        self.private = boards.private
        self._wire_results()
        self._wire_queries()
        # A function, no method: Gradio copies its config for whoever asks, and with a method all that hangs on it.
        self.queries.name.delete_callback = lambda name: lists.drop(name)

    def _wire_results(self) -> None:
        panel, owner = self.results, self.results.owner
        if self.private:
            came = panel.file.upload(
                self.take_file, [panel.file, owner], [panel.file, panel.taken], js=WITH_OWNER, **SINGLE_EVENT
            )
        else:
            came = panel.take.click(
                self.take_text, [panel.text, owner], [panel.text, panel.taken], js=WITH_OWNER, **SINGLE_EVENT
            )
        came.then(None, js=SEND_JUDGED_EVENT, **PRIVATE_EVENT)

    def _wire_queries(self) -> None:
        panel = self.queries
        panel.sample.click(self.sample, None, [panel.text, panel.told], **SINGLE_EVENT)
        panel.stop.click(self.lists.stop, panel.name, None, **PRIVATE_EVENT)
        if self.private:
            panel.file.upload(self.list_file, panel.file, [panel.file, panel.text, panel.told], **SINGLE_EVENT)

    def run_with(self, dials: Sequence[gr.components.Component]) -> None:
        """Lists are asked with these dials: the scope, then those of `asked`."""
        panel = self.queries
        panel.go.click(
            self.run,
            [panel.text, panel.owner, panel.name, *dials],
            [panel.found, panel.name, panel.stop, panel.told],
            js=WITH_OWNER,
            concurrency_id="lists",
            concurrency_limit=MAX_QUEUED_LISTS,
            **SINGLE_EVENT,
        )

    # -- results

    @show_errors_as_toast
    def take_file(self, file: object, owner: object) -> object:
        """An uploaded evaluation. The button is given back for the next one, and the temporary copy goes."""
        path = resolve_upload(file, self.results.file.GRADIO_CACHE, "No file arrived.")
        try:
            return None, self.boards.take(owner, read_upload(path, self.boards.most))
        finally:
            self.discard(path)

    @show_errors_as_toast
    def take_text(self, text: object, owner: object) -> object:
        """A pasted evaluation. The box is emptied."""
        return "", self.boards.take_text(owner, text)

    # -- queries

    @show_errors_as_toast
    def list_file(self, file: object) -> object:
        """An uploaded list into the box, where it can be read and changed before it is run."""
        path = resolve_upload(file, self.queries.file.GRADIO_CACHE, "No file arrived.")
        try:
            text = written(read_upload(path, MAX_LIST_BYTES))
        finally:
            self.discard(path)
        return None, text, told(counted(text))

    @show_errors_as_toast
    def sample(self) -> object:
        """The samples' own queries into the box."""
        text = self.lists.sample()
        return text, told(counted(text))

    def run(self, text: object, owner: object, before: object, *dials: object) -> Iterator[object]:
        """Ask the list; Stop stands there as long as it is asked."""
        shown = False
        with closing(self.lists.run(text, owner, parse_request("", *dials), before)) as steps:
            for markup, name in steps:
                yield markup, name, gr.skip() if shown else gr.Button(visible=True), ""
                shown = True
        yield gr.skip(), gr.skip(), gr.Button(visible=False), gr.skip()


PANELS = {"vote": "Vote", "grade": "Grade", "results": "Results", "queries": "Queries"}
"""What follows `judge-` in a panel's id -> its name."""


class JudgeTab:
    """Made inside the tab. `serves` are what its scripts ask. A panel is in the browser's page only while it is open:
    scripts find nothing in the others, and each asks for its state when it is looked at.
    """

    def __init__(self, serves: Sequence[ServerFunction], *, private: bool) -> None:
        with gr.Tabs(elem_id="judge-tabs"):
            with gr.Tab(PANELS["vote"], id="judge-vote"):
                self.vote = html_component(
                    "", "judge-vote", "smartDemo.judge.vote(element, server, watch, trigger)", serves
                )
            with gr.Tab(PANELS["grade"], id="judge-grade"):
                self.grade = html_component(
                    "", "judge-grade", "smartDemo.judge.grade(element, server, watch, trigger)", serves
                )
            with gr.Tab(PANELS["results"], id="judge-results"):
                self.results = ResultsPanel(serves, private=private)
            with gr.Tab(PANELS["queries"], id="judge-queries"):
                self.queries = QueriesPanel(serves, private=private)


class JudgeWiring:
    """Events of the tab. A look may run an encoder, so it waits in the queue; of several steps the last one counts."""

    def __init__(self, tab: JudgeTab, dials: Sequence[Component], voting: Voting) -> None:
        self._voting = voting
        options = {"api_visibility": "private", "show_progress": "minimal", "trigger_mode": "always_last"}
        tab.vote.select(self.look, list(dials), tab.vote, **options)
        tab.grade.select(self.pool, list(dials), tab.grade, **options)

    def look(self, event: gr.EventData, *dials: object) -> str:
        """The panel Vote."""
        return self._voting.look(event._data, *dials)

    def pool(self, event: gr.EventData, *dials: object) -> str:
        """The panel Grade."""
        return self._voting.pool(event._data, *dials)
