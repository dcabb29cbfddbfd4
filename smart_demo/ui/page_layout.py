"""The components of the page in their places, and the views around the results. Events are connected in `app`."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
from markupsafe import Markup

from smart_demo.backbones.checkpoint_files import HUB_IDS
from smart_demo.backbones.registry import BUNDLED_BACKBONE, NAMES, Serving
from smart_demo.config import Settings
from smart_demo.diagnostics import has_mcp
from smart_demo.methods import Counted, Reduce
from smart_demo.search.request import MAX_K, MAX_WEIGHT, MIN_K, ON_MINE, ON_SAMPLES
from smart_demo.ui import library_tab, stories
from smart_demo.ui.adding import AddingPanel
from smart_demo.ui.events import ServerFunction, html_component
from smart_demo.ui.judge_tab import JudgeTab
from smart_demo.ui.render import NOTHING, render
from smart_demo.ui.stories import STORY_QUERIES

REDUCE_CHOICES = [("mean", Reduce.MEAN.value), ("sum", Reduce.SUM.value)]
COUNTED_CHOICES = [("all query tokens", Counted.ALL.value), ("the query’s own words (ablation)", Counted.CONTENT.value)]
HUB = "https://huggingface.co"
MODELS = HUB_IDS | {BUNDLED_BACKBONE: "sentence-transformers/all-MiniLM-L6-v2"}
"""Hub ids of the known models by the names of their encoders. All are licensed under Apache-2.0."""
POLL_SECONDS = 0.7
"""Seconds between two requests for what changed in the background, while anything can change."""


class PageLayout:
    """The components of one page. Create it inside a `gr.Blocks`."""

    def __init__(
        self,
        settings: Settings,
        viewer: Sequence[ServerFunction],
        judges: Sequence[ServerFunction],
        delete: ServerFunction,
    ) -> None:
        """Lay out the page.

        viewer, judges: the functions that scripts of the results and of the Judge tab call.
        delete: deletes all of a visitor's data.
        """
        self.accepts_uploads = settings.uploads
        """Whether visitors may add documents and search with pictures."""
        html_component(render("header"), "masthead")
        self.status = html_component("", "status")
        self.adding = AddingPanel(settings)
        self.seen = gr.State("")
        self.answered = gr.State(None)
        self.timer = gr.Timer(POLL_SECONDS, active=False)
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Compare", id="compare"):
                with gr.Row(elem_id="promise"):
                    html_component(render("hero"), "hero")
                    script = "smartDemo.outcomes(element, server, watch, trigger)"
                    self.how_often = html_component("", "how-often", script, viewer)
                self._lay_out_query(settings)
                self._lay_out_controls(settings)
                self.results = html_component(
                    render("outline", samples=None),
                    "results",
                    "smartDemo.results(element, server, watch, trigger)",
                    viewer,
                )
            with gr.Tab("Library", id="library"), gr.Row(elem_id="library-panels"):
                self._lay_out_library(settings, delete)
            with gr.Tab("Judge", id="judge"):
                self.judge = JudgeTab(judges, settings)
            with gr.Tab("Under the hood", id="hood"):
                panel = render("hood", mcp=has_mcp())
                html_component(panel, "hood", "smartDemo.hood(element, server)", viewer)
        html_component(render("how"), "explain")
        self.footer = html_component("", "footer")

    @property
    def controls(self) -> list[gr.Slider | gr.Radio]:
        """Controls that re-rank without encoding, in the order of `parse_request`."""
        return [self.top, self.pooled, self.late, self.reduce, self.counted]

    def _lay_out_query(self, settings: Settings) -> None:
        with gr.Row(elem_id="ask"):
            self.query_picture = html_component("", "like", "smartDemo.like(element, trigger, watch)")
            self.query = gr.Textbox(
                label="Search",
                placeholder="Ask your pages anything",
                container=False,
                elem_id="query",
                max_lines=4,
                scale=8,
                html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False, enterkeyhint="search"),
            )
            choices = [ON_SAMPLES, ON_MINE] if self.accepts_uploads else [ON_SAMPLES]
            self.scope = gr.Radio(
                choices,
                value=ON_SAMPLES,
                label="Search in",
                elem_id="scope",
                elem_classes="segments",
                container=False,
                visible=self.accepts_uploads,
            )
            if self.accepts_uploads:
                # Any type may be chosen: the file's content decides what it is, and our own message names the reason.
                self.picture = gr.UploadButton("Picture", elem_id="picture", scale=0, min_width=0)
                gr.Button("Add files", elem_id="add", scale=0, min_width=0)  # the script opens the file chooser
            self.search_button = gr.Button("Search", variant="primary", elem_id="go", scale=0, min_width=112)
        with gr.Row(elem_id="strip"):
            self.chips = html_component(render_chips(STORY_QUERIES), "examples", "smartDemo.chips(element, trigger)")
            html_component(render("sharing", public=settings.public), "share")

    def _lay_out_controls(self, settings: Settings) -> None:
        # Always mounted, since the values of a component that is not are not sent; the style sheet folds them away.
        with gr.Row(elem_id="controls"):
            self.top = gr.Slider(MIN_K, MAX_K, settings.top, step=1, label="Results", elem_id="top")
            self.pooled = gr.Slider(0, MAX_WEIGHT, 1, step=0.05, label="Pooled weight", elem_id="weight-pooled")
            self.late = gr.Slider(0, MAX_WEIGHT, 1, step=0.05, label="Late weight", elem_id="weight-late")
            with gr.Row(elem_id="presets"):
                self.presets = [
                    (
                        gr.Button(label, elem_id=f"preset-{pooled:g}-{late:g}", size="sm", scale=0, min_width=0),
                        pooled,
                        late,
                    )
                    for label, pooled, late in stories.PRESETS
                ]
                """Button, weight of pooled and weight of late."""
            with gr.Row(elem_id="late-part"):
                self.reduce = gr.Radio(
                    REDUCE_CHOICES, value=Reduce.MEAN, label="Late part: the", elem_id="reduce", elem_classes="segments"
                )
                self.counted = gr.Radio(
                    COUNTED_CHOICES, value=Counted.ALL, label="over", elem_id="counted", elem_classes="segments"
                )

    def _lay_out_library(self, settings: Settings, delete: ServerFunction) -> None:
        with gr.Column(elem_id="upload-panel", scale=5, min_width=280):
            if self.accepts_uploads:
                html_component(library_tab.render_intro(settings), "intro")
                # Any type may be dropped: the content decides what a file is, and a refused one must not fail the rest.
                self.files = gr.File(label="Upload documents", file_count="multiple", height=190, elem_id="upload")
                self.uploads = html_component("", "uploads", "smartDemo.uploads(element, watch)")
                self.cancel = gr.Button("Stop", size="sm", visible=False, elem_id="cancel")
            else:
                html_component(render("no_uploads"), "closed")
        with gr.Column(elem_id="documents-panel", scale=6, min_width=280):
            if self.accepts_uploads:
                script = "smartDemo.documents(element, server, trigger)"
                self.documents = html_component("", "documents", script, [delete])
            self.sample_documents = html_component("", "sample-documents")


def render_chips(queries: Sequence[str], current: str = "") -> Markup:
    """Return example queries as buttons, with the current one marked."""
    return render("chips", queries=queries, current=current) if queries else NOTHING


def render_status(serving: Serving, error: str = "", samples_encoder: str = "", *, public: bool = False) -> Markup:
    """Return a banner for each thing to know about the models; an empty text if there is none.

    The model is loading, another one replaced it, the samples could not be prepared (`error`), or another model
    (`samples_encoder`) still answers on them. On a public page no command is named.
    """
    lines = [error] if error else []
    other = samples_encoder if samples_encoder != serving.name else ""
    if serving.loading:
        by = f"; {other} answers there" if other else ""
        lines.append(f"{serving.name} is still loading. You can search the samples now{by}.")
    elif serving.name in {BUNDLED_BACKBONE, "none"} and serving.name != serving.requested:  # a folder's name differs
        lines.append(serving.reason)
    elif other:
        hint = "" if public else " To encode them, stop the page, run python -m smart_demo samples, and start it again."
        lines.append(f"{other} answers on the samples: {serving.name} has not encoded all of them.{hint}")
    return render("status", lines=lines, loading=serving.loading)


def render_footer(serving: Serving, samples_encoder: str, settings: Settings) -> Markup:
    """Return the footer: which model answers and why, privacy, limits, sources and licences."""
    other = "" if serving.loading or samples_encoder == serving.name else samples_encoder
    in_use = dict.fromkeys(filter(None, (serving.name, samples_encoder)))
    models = [(hub_id.split("/")[1], f"{HUB}/{hub_id}") for name in in_use if (hub_id := MODELS.get(name))]
    # Of another model, such as one in a folder, only its own card knows the licence.
    unknown = [name for name in in_use if name not in {*NAMES, "none"}]
    return render("footer", serving=serving, samples_encoder=other, settings=settings, models=models, unknown=unknown)
