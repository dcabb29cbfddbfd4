"""The components of the page in their places, and the markup around the results. Events are connected in `app`."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from smart_demo.backbones.serving import EMBEDDED, Serving
from smart_demo.config import Settings
from smart_demo.diagnostics import has_mcp
from smart_demo.search.request import MAX_K, MAX_WEIGHT, MIN_K, ON_MINE, ON_SAMPLES
from smart_demo.types import Counted, Reduce
from smart_demo.ui import compare, costs_tab, library_tab, stories
from smart_demo.ui.events import ServerFunction, html_component
from smart_demo.ui.format import esc
from smart_demo.ui.judge_tab import JudgeTab
from smart_demo.ui.stories import STORY_QUERIES
from smart_demo.wording import count

PAPER_URL = "https://arxiv.org/abs/2605.24938"
CODE_URL = "https://github.com/HanSolo9682/SMART"
MODEL_URL = "https://huggingface.co/Qwen/Qwen3-VL-Embedding-2B"
MINILM_URL = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"
_PRIVATE = "Documents stay on this machine: its data folder keeps pages, vectors and pictures until you delete them."
_SAMPLES_ONLY = "This public page takes no uploads. Queries are answered in memory and not kept."
_PUBLIC = (
    "Queries are answered in memory and not kept, except those you judge. Only your browser can reach what you upload "
    "and judge. Uploaded files are deleted once they are read, everything else {} after your last change, or after one "
    "hour if there is no more room for others."
)
HEADLINE = "See on your own documents what late interaction is worth."
REDUCE_CHOICES = [("mean", Reduce.MEAN.value), ("sum", Reduce.SUM.value)]
COUNTED_CHOICES = [("all query tokens", Counted.ALL.value), ("the query’s own words (ablation)", Counted.CONTENT.value)]
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
        *,
        private: bool,
    ) -> None:
        """Lay out the page.

        viewer, judges: the functions that scripts of the results and of the Judge tab call.
        delete: deletes all of a visitor's data.
        private: whether the page has one user, its owner.
        """
        self.accepts_uploads = settings.uploads
        """Whether visitors may add documents and search with pictures."""
        html_component(render_header(), "masthead")
        self.status = html_component("", "status")
        self.seen = gr.State("")
        self.answered = gr.State(None)
        self.timer = gr.Timer(POLL_SECONDS, active=False)
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Compare", id="compare"):
                html_component(render_hero(), "hero")
                self._lay_out_query(settings)
                self._lay_out_controls(settings)
                self.results = html_component(
                    compare.render_opening(), "results", "smartDemo.results(element, server, watch, trigger)", viewer
                )
            with gr.Tab("Library", id="library"), gr.Row(elem_id="shelves"):
                self._lay_out_library(settings, delete)
            with gr.Tab("Judge", id="judge"):
                self.judge = JudgeTab(judges, private=private)
            with gr.Tab("Under the hood", id="hood"):
                panel = costs_tab.render_panel(mcp=has_mcp())
                html_component(panel, "hood", "smartDemo.hood(element, server)", viewer)
        html_component(render_how(), "explain")
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
            if self.accepts_uploads:
                # Any type may be chosen: the file's content decides what it is, and our own message names the reason.
                self.picture = gr.UploadButton("Picture", elem_id="picture", scale=0, min_width=0)
            self.search_button = gr.Button("Search", variant="primary", elem_id="go", scale=0, min_width=112)
        with gr.Row(elem_id="strip"):
            self.chips = html_component(render_chips(STORY_QUERIES), "examples", "smartDemo.chips(element, trigger)")
            html_component(stories.render_tools(public=settings.public), "share")

    def _lay_out_controls(self, settings: Settings) -> None:
        with gr.Row(elem_id="dials"):
            choices = [ON_SAMPLES, ON_MINE] if self.accepts_uploads else [ON_SAMPLES]
            self.scope = gr.Radio(
                choices,
                value=ON_SAMPLES,
                label="Search in",
                elem_id="scope",
                elem_classes="segments",
                visible=self.accepts_uploads,
            )
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
        with gr.Column(elem_id="intake", scale=5, min_width=280):
            if self.accepts_uploads:
                html_component(library_tab.render_intro(settings), "intro")
                # Any type may be dropped: the content decides what a file is, and a refused one must not fail the rest.
                self.files = gr.File(label="Upload documents", file_count="multiple", height=190, elem_id="upload")
                self.uploads = html_component("", "arrivals", "smartIntake.list(element, watch)")
                self.cancel = gr.Button("Stop", size="sm", visible=False, elem_id="cancel")
            else:
                html_component(library_tab.render_no_uploads(), "closed")
        with gr.Column(elem_id="holdings", scale=6, min_width=280):
            if self.accepts_uploads:
                script = "smartDemo.documents(element, server, trigger)"
                self.documents = html_component("", "documents", script, [delete])
            self.sample_documents = html_component("", "sample-documents")


def _link(href: str, text: str) -> str:
    return f'<a href="{esc(href)}" target="_blank" rel="noopener noreferrer">{esc(text)}</a>'


def render_header() -> str:
    """Return the header with the name and links."""
    return (
        '<header class="masthead"><a class="wordmark" href="./" aria-label="SMART demo, start again">'
        '<svg viewBox="0 0 36 24" width="36" height="24" aria-hidden="true"><rect class="m-l" x="1" y="2" width="8" '
        'height="8" rx="2"/><rect class="m-l" x="1" y="14" width="8" height="8" rx="2"/><path d="M10 6 C18 6 18 18 26 '
        '18 M10 18 C18 18 18 6 26 6"/><rect class="m-r" x="27" y="2" width="8" height="8" rx="2"/><rect class="m-r" '
        'x="27" y="14" width="8" height="8" rx="2"/></svg><span>SMART <i>demo</i></span></a>'
        f'<nav aria-label="About">{_link(PAPER_URL, "Paper")}{_link(CODE_URL, "Authors’ code")}'
        '<a href="#how" data-open="how">How it works</a></nav></header>'
    )


def render_hero() -> str:
    """Return the headline, and what the page compares."""
    return (
        f'<div class="hero"><h1>{esc(HEADLINE)}</h1>'
        "<p>One model reads each page once. On the left its single pooled vector ranks alone; on the right SMART adds "
        "the token states of the same pass.</p></div>"
    )


def render_chips(queries: Sequence[str], current: str = "") -> str:
    """Return example queries as buttons, with the current one marked."""
    buttons = "".join(
        f'<button type="button" class="chip" data-query="{esc(query)}" aria-pressed="{str(query == current).lower()}">'
        f"{esc(query)}</button>"
        for query in queries
    )
    return f'<div class="chips" role="group" aria-label="Example queries">{buttons}</div>' if queries else ""


def render_status(serving: Serving, error: str = "") -> str:
    """Return a banner while the model is loading, after a fallback or for a failed preparation; else an empty text."""
    lines = [error] if error else []
    if serving.loading:
        lines.append(f"{serving.name} is still loading. You can search the samples now.")
    elif serving.name in {EMBEDDED, "none"} and serving.name != serving.requested:  # a folder's name differs
        lines.append(serving.reason)
    return "".join(
        f'<p class="banner {"is-loading" if serving.loading else "is-fallback"}" role="status">{esc(line)}</p>'
        for line in lines
    )


def render_how() -> str:
    """Return the section that explains SMART and its limits."""
    return (
        '<details class="how" id="how"><summary>How SMART works</summary><div class="prose-narrow">'
        "<p>An embedding model turns a page into a sequence of token states and then keeps only one of them, or their "
        "mean: the <b>pooled vector</b>. Search compares pooled vectors, so a whole page speaks with one voice.</p>"
        "<p>SMART keeps the token states of the <b>same forward pass</b>. Each query token looks for its best match "
        "among the page's tokens; the mean of those best matches is the <b>late</b> score. Nothing is trained, no "
        "second model runs.</p>"
        '<p class="formula-big">score = λ<sub>pooled</sub> · pooled + λ<sub>late</sub> · late</p>'
        "<p>Both parts lie between −1 and 1. With weights 1 and 0 the right column is the left one.</p>"
        "<h3>What it does not do</h3><ul>"
        "<li>It does not always help. Some pages fall, and the badges say so as plainly as they say a rise.</li>"
        "<li>Scores are no percentages of relevance. With Qwen3-VL late scores sit high and close together, because "
        "some tokens are the same on every page: ranks and differences carry the meaning.</li>"
        "<li>Token states take room: hundreds of vectors a page in place of one.</li>"
        "<li>Weights 1 and 1 are the paper's and were never tuned; the sliders are there to try.</li></ul>"
        "</div></details>"
    )


def render_footer(serving: Serving, samples_encoder: str, settings: Settings) -> str:
    """Return the footer: which model answers and why, privacy, limits, sources and licences."""
    state = "Loading" if serving.loading else "Encoder"
    other = samples_encoder and not serving.loading and samples_encoder != serving.name
    samples = f" The samples are served by {samples_encoder}." if other else ""
    quotas = settings.quotas
    limits = f"A query may have up to {quotas.query_chars:,} characters; up to {quotas.queue_size:,} requests may wait."
    privacy = _PRIVATE
    if settings.public:
        privacy = _PUBLIC.format(count(quotas.keep_hours, "hour")) if settings.uploads else _SAMPLES_ONLY
    return (
        '<footer class="foot">'
        f"<p><b>{state}: {esc(serving.name)}.</b> {esc(serving.reason)}{esc(samples)}</p>"
        f"<p>{esc(privacy)} {esc(limits)}</p>"
        f'<p class="sources">{_link(PAPER_URL, "SMART, arXiv 2605.24938")}'
        f"<span>{_link(MODEL_URL, 'Qwen3-VL-Embedding')}, Apache-2.0</span>"
        f"<span>{_link(MINILM_URL, 'all-MiniLM-L6-v2')}, Apache-2.0</span>"
        "<span>This demo, Apache-2.0</span></p></footer>"
    )
