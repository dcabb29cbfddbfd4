"""The components of the tab where people judge, in four panels. Nothing happens here."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from smart_demo.ui.board_tab import QueriesPanel, ResultsPanel
from smart_demo.ui.component import Serve, html

PANELS = {"vote": "Vote", "grade": "Grade", "results": "Results", "queries": "Queries"}
"""What follows `judge-` in a panel's id -> its name."""


class JudgeTab:
    """Made inside the tab. `serves` are what its scripts ask. A panel is in the browser's page only while it is open:
    scripts find nothing in the others, and each asks for its state when it is looked at.
    """

    def __init__(self, serves: Sequence[Serve], *, private: bool) -> None:
        with gr.Tabs(elem_id="judge-tabs"):
            with gr.Tab(PANELS["vote"], id="judge-vote"):
                self.vote = html("", "judge-vote", "smartDemo.judge.vote(element, server, watch, trigger)", serves)
            with gr.Tab(PANELS["grade"], id="judge-grade"):
                self.grade = html("", "judge-grade", "smartDemo.judge.grade(element, server, watch, trigger)", serves)
            with gr.Tab(PANELS["results"], id="judge-results"):
                self.results = ResultsPanel(serves, private=private)
            with gr.Tab(PANELS["queries"], id="judge-queries"):
                self.queries = QueriesPanel(serves, private=private)
