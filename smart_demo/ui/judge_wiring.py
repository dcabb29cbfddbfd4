"""The judging tab, wired: which look answers which step. What judges say goes to server functions, past the queue."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
from gradio.components import Component

from smart_demo.ui.judge_tab import JudgeTab
from smart_demo.ui.voting import Voting


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
