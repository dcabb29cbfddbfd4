"""What stands around the results: head, notices, the disclosure, the foot."""

from __future__ import annotations

from collections.abc import Sequence

from smart_demo.backbones.serving import EMBEDDED, Serving
from smart_demo.config import Settings
from smart_demo.ui.wording import count, esc

PAPER = "https://arxiv.org/abs/2605.24938"
CODE = "https://github.com/HanSolo9682/SMART"
MODEL = "https://huggingface.co/Qwen/Qwen3-VL-Embedding-2B"
MINILM = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"
_LOCAL = "Documents stay on this machine: pages, vectors and pictures lie in its data folder until you delete them."
_SAMPLES_ONLY = "This public page takes no uploads. Queries are answered in memory and not kept."
_VISITED = (
    "Queries are answered in memory and not kept, but those you judge. What you upload and judge only your browser can "
    "reach; the uploaded files themselves are deleted once they are read, everything else {} after your last change, "
    "or after one hour if there is no more room for others."
)
PROMISE = "See on your own documents what late interaction is worth."


def _link(href: str, text: str) -> str:
    return f'<a href="{esc(href)}" target="_blank" rel="noopener noreferrer">{esc(text)}</a>'


def header() -> str:
    """Name and links."""
    return (
        '<header class="masthead"><a class="wordmark" href="./" aria-label="SMART demo, start again">'
        '<svg viewBox="0 0 36 24" width="36" height="24" aria-hidden="true"><rect class="m-l" x="1" y="2" width="8" '
        'height="8" rx="2"/><rect class="m-l" x="1" y="14" width="8" height="8" rx="2"/><path d="M10 6 C18 6 18 18 26 '
        '18 M10 18 C18 18 18 6 26 6"/><rect class="m-r" x="27" y="2" width="8" height="8" rx="2"/><rect class="m-r" '
        'x="27" y="14" width="8" height="8" rx="2"/></svg><span>SMART <i>demo</i></span></a>'
        f'<nav aria-label="About">{_link(PAPER, "Paper")}{_link(CODE, "Authors’ code")}'
        '<a href="#how" data-open="how">How it works</a></nav></header>'
    )


def hero() -> str:
    """The promise, and what is being compared, in one line each."""
    return (
        f'<div class="hero"><h1>{esc(PROMISE)}</h1>'
        "<p>One model reads each page once. On the left its single pooled vector ranks alone; on the right SMART adds "
        "the token states of the same pass.</p></div>"
    )


def chips(queries: Sequence[str], asked: str = "") -> str:
    """Example queries as buttons; the one that was asked is marked."""
    buttons = "".join(
        f'<button type="button" class="chip" data-query="{esc(query)}" aria-pressed="{str(query == asked).lower()}">'
        f"{esc(query)}</button>"
        for query in queries
    )
    return f'<div class="chips" role="group" aria-label="Example queries">{buttons}</div>' if queries else ""


def status(serving: Serving, trouble: str = "") -> str:
    """A line above everything, only while something is not as wished: loading, fallen back, preparation failed."""
    lines = [trouble] if trouble else []
    if serving.loading:
        lines.append(f"{serving.name} is loading behind the page. The samples can be searched meanwhile.")
    elif serving.name in {EMBEDDED, "none"} and serving.name != serving.wanted:  # a folder's name differs
        lines.append(serving.reason)
    return "".join(
        f'<p class="banner {"is-loading" if serving.loading else "is-fallback"}" role="status">{esc(line)}</p>'
        for line in lines
    )


def how() -> str:
    """How SMART works, in plain words, with its limits."""
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


def _asking(settings: Settings) -> str:
    quotas = settings.quotas
    return f"A query may have up to {quotas.query:,} characters; up to {quotas.queue:,} requests wait at a time."


def footer(serving: Serving, samples_encoder: str, settings: Settings) -> str:
    """Which model answers and why, licences, privacy."""
    state = "Loading" if serving.loading else "Encoder"
    other = samples_encoder and not serving.loading and samples_encoder != serving.name
    samples = f" The samples are served by {samples_encoder}." if other else ""
    privacy = _LOCAL
    if settings.public:
        privacy = _VISITED.format(count(settings.quotas.keep_hours, "hour")) if settings.uploads else _SAMPLES_ONLY
    return (
        '<footer class="foot">'
        f"<p><b>{state}: {esc(serving.name)}.</b> {esc(serving.reason)}{esc(samples)}</p>"
        f"<p>{esc(privacy)} {esc(_asking(settings))}</p>"
        f'<p class="sources">{_link(PAPER, "SMART, arXiv 2605.24938")}'
        f"<span>{_link(MODEL, 'Qwen3-VL-Embedding')}, Apache-2.0</span>"
        f"<span>{_link(MINILM, 'all-MiniLM-L6-v2')}, Apache-2.0</span>"
        "<span>This demo, Apache-2.0</span></p></footer>"
    )
