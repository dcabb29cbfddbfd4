"""The components of the page and where they stand. Nothing happens here."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from smart_demo.config import Settings
from smart_demo.diagnostics import has_mcp
from smart_demo.search.request import FEWEST, HEAVIEST, MOST, ON_MINE, ON_SAMPLES
from smart_demo.types import Counted, Reduce
from smart_demo.ui import frame, hood_panel, library_panel, presenting, results
from smart_demo.ui.component import Serve
from smart_demo.ui.component import html as _html
from smart_demo.ui.judge_tab import JudgeTab
from smart_demo.ui.stories import QUERIES

LATE_FORMS = [("mean", Reduce.MEAN.value), ("sum", Reduce.SUM.value)]
LATE_TOKENS = [("all query tokens", Counted.ALL.value), ("the query’s own words (ablation)", Counted.CONTENT.value)]
SECONDS = 0.7
"""Between two looks at what goes on behind the page; nothing is asked while nothing goes on."""


class Layout:
    """One page. Made inside a `gr.Blocks`; `serves` are the functions that the viewer asks, `judges` those of the
    tab where people judge, `forget` is the one that deletes all of a visitor's.
    """

    def __init__(
        self, settings: Settings, serves: Sequence[Serve], judges: Sequence[Serve], forget: Serve, *, private: bool
    ) -> None:
        self.takes = settings.uploads
        """Whether whoever looks may add documents and ask with pictures."""
        _html(frame.header(), "masthead")
        self.status = _html("", "status")
        self.seen = gr.State("")
        self.answered = gr.State(None)
        self.timer = gr.Timer(SECONDS, active=False)
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Compare", id="compare"):
                _html(frame.hero(), "hero")
                self._lay_out_query(settings)
                self._lay_out_dials(settings)
                self.results = _html(
                    results.opening(), "results", "smartDemo.results(element, server, watch, trigger)", serves
                )
            with gr.Tab("Library", id="library"), gr.Row(elem_id="shelves"):
                self._lay_out_library(settings, forget)
            with gr.Tab("Judge", id="judge"):
                self.judge = JudgeTab(judges, private=private)
            with gr.Tab("Under the hood", id="hood"):
                panel = hood_panel.hood_panel(mcp=has_mcp())
                _html(panel, "hood", "smartDemo.hood(element, server)", serves)
        _html(frame.how(), "explain")
        self.footer = _html("", "footer")

    @property
    def dials(self) -> list[gr.Slider | gr.Radio]:
        """What re-ranks without encoding, in the order of `asked`: results a column, weights, the late part's form."""
        return [self.top, self.pooled, self.late, self.reduce, self.counted]

    def _lay_out_query(self, settings: Settings) -> None:
        with gr.Row(elem_id="ask"):
            self.like = _html("", "like", "smartDemo.like(element, trigger, watch)")
            self.query = gr.Textbox(
                label="Search",
                placeholder="Ask your pages anything",
                container=False,
                elem_id="query",
                max_lines=4,
                scale=8,
                html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False, enterkeyhint="search"),
            )
            if self.takes:
                # Any type may be chosen: what a file is, its bytes decide, and refusals are ours to say.
                self.picture = gr.UploadButton("Picture", elem_id="picture", scale=0, min_width=0)
            self.go = gr.Button("Search", variant="primary", elem_id="go", scale=0, min_width=112)
        with gr.Row(elem_id="strip"):
            self.chips = _html(frame.chips(QUERIES), "examples", "smartDemo.chips(element, trigger)")
            _html(presenting.tools(public=settings.public), "share")

    def _lay_out_dials(self, settings: Settings) -> None:
        with gr.Row(elem_id="dials"):
            choices = [ON_SAMPLES, ON_MINE] if self.takes else [ON_SAMPLES]
            self.scope = gr.Radio(
                choices,
                value=ON_SAMPLES,
                label="Search in",
                elem_id="scope",
                elem_classes="segments",
                visible=self.takes,
            )
            self.top = gr.Slider(FEWEST, MOST, settings.top, step=1, label="Results", elem_id="top")
            self.pooled = gr.Slider(0, HEAVIEST, 1, step=0.05, label="Pooled weight", elem_id="weight-pooled")
            self.late = gr.Slider(0, HEAVIEST, 1, step=0.05, label="Late weight", elem_id="weight-late")
            with gr.Row(elem_id="presets"):
                self.presets = [
                    (
                        gr.Button(label, elem_id=f"preset-{pooled:g}-{late:g}", size="sm", scale=0, min_width=0),
                        pooled,
                        late,
                    )
                    for label, pooled, late in presenting.PRESETS
                ]
                """Each with its weights of pooled and late."""
            with gr.Row(elem_id="late-part"):
                self.reduce = gr.Radio(
                    LATE_FORMS, value=Reduce.MEAN, label="Late part: the", elem_id="reduce", elem_classes="segments"
                )
                self.counted = gr.Radio(
                    LATE_TOKENS, value=Counted.ALL, label="over", elem_id="counted", elem_classes="segments"
                )

    def _lay_out_library(self, settings: Settings, forget: Serve) -> None:
        with gr.Column(elem_id="intake", scale=5, min_width=280):
            if self.takes:
                _html(library_panel.intro(settings), "intro")
                # Any type may be dropped: what a file is, its bytes decide, and a refused one must not sink the rest.
                self.files = gr.File(label="Upload documents", file_count="multiple", height=190, elem_id="upload")
                self.arrivals = _html("", "arrivals", "smartIntake.list(element, watch)")
                self.cancel = gr.Button("Stop", size="sm", visible=False, elem_id="cancel")
            else:
                _html(library_panel.closed(), "closed")
        with gr.Column(elem_id="holdings", scale=6, min_width=280):
            if self.takes:
                self.documents = _html("", "documents", "smartDemo.documents(element, server, trigger)", [forget])
            self.sample_documents = _html("", "sample-documents")
