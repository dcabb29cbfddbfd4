"""The tab "Under the hood": costs of late interaction, code for the query on the screen, raw scores, environment.

Every figure states its source, and a figure without a measurement says so. `compare.js` fills the panel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from smart_demo.backbones.base import Backbone
from smart_demo.config import CODECS
from smart_demo.diagnostics import Environment, describe_environment
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.search.as_json import as_dict
from smart_demo.search.costs import STAGES, Costs, StageCost, compute_costs
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, SearchRequest, parse_request_fields
from smart_demo.types import POOLED, SAMPLES, SMART, Method, Scope
from smart_demo.ui import api
from smart_demo.ui.api import SearchEndpoint
from smart_demo.ui.events import answer_or_error
from smart_demo.ui.format import count_of, esc, format_bytes, format_digits, format_duration
from smart_demo.ui.handlers import Handlers
from smart_demo.wording import count, count_queries

SCOPE_NAMES = {ON_SAMPLES: "the samples", ON_MINE: "your documents", ON_BOTH: "the samples and your documents"}
NO_ANSWER = "There is no answer on the screen yet. Ask something under Compare."
PICTURE_ONLY = "This query is a picture without words. Programs can only send words, so there is no code for it."
PROJECTED_PAGES = ((10_000, "10 thousand"), (1_000_000, "1 million"), (1_000_000_000, "1 billion"))
"""Numbers of pages with their column heads."""
UNMEASURED, UNKNOWN, DASH = "not measured yet", "not extrapolated", "–"
STAGE_NAMES = {
    "encode": "Encoding the query",
    "candidates": "Finding the candidates",
    "score": "Scoring token by token",
    "rank": "Ranking",
}
CODE_BLOCKS = (
    ("python", "Python", "with gradio_client, which comes with Gradio"),
    ("curl", "curl", "one request sends the query, one fetches the answer"),
    ("shell", "Shell", "the same engine without the page"),
)
"""Key, title and note of each block of code."""
_NO_ANSWER_SLOT = '<p class="hood-unasked quiet"></p>'
"""Element for the reason why there is no code and no score."""


class CostsTab:
    """Answers of one app for the tab. Every argument is validated, because any client can call `inspect`."""

    def __init__(self, handlers: Handlers, endpoint: SearchEndpoint) -> None:
        self._handlers, self._endpoint = handlers, endpoint

    def inspect(self, request: object) -> dict[str, object]:
        """Return markup of costs and environment, with code and scores as plain text, or `{"sentence": …}`."""
        return answer_or_error(lambda: self._inspect(parse_request_fields(request)), "a look under the hood failed")

    def _inspect(self, search: SearchRequest) -> dict[str, object]:
        scopes, engine = self._handlers.resolve_scopes(search.scope), self._handlers.engine
        if self._handlers.is_model_loading(scopes):
            raise LibraryError(f"{self._handlers.serving().name} is still loading.", "Look again in a moment.")
        try:
            program = self._program(search, scopes)
        except InputRefused as error:  # the query is refused, or its picture was deleted
            program = {"sentence": error.sentence}
        timings, backbone = engine.stage_timings(scopes), engine.backbone(scopes[0])
        pages = engine.library.pages(scopes, backbone.encoder.fingerprint)
        costs = compute_costs(pages, backbone.encoder, timings, engine.settings)
        environment = describe_environment(backbone, engine.settings)
        return {
            "costs": render_costs(costs, SCOPE_NAMES[search.scope], backbone.encoder.name),
            "environment": render_environment(environment, self._warnings(scopes, backbone)),
            "program": program,
        }

    def _program(self, search: SearchRequest, scopes: tuple[Scope, ...]) -> dict[str, object]:
        """Return code that sends the same query, and its raw scores; what is missing is replaced by a sentence."""
        handlers = self._handlers
        query = handlers.build_query(search)
        if (not query.text.strip() and query.image is None) or handlers.pending_samples(scopes):
            return {"sentence": NO_ANSWER}
        smart = Method(SMART.name, SMART.label, search.weights)
        found = handlers.engine.search(query, scopes, (POOLED, smart), search.top)
        # The code carries nothing that identifies a visitor, so on a public page the samples answer it.
        endpoint_scope = self._endpoint.scope if handlers.is_private else SAMPLES
        has_own_pages = endpoint_scope != SAMPLES
        shown = api.ShownQuery(scopes, search.weights, query.image is not None, endpoint_scope, has_own_pages)
        text, scores = found.query.text, api.readable_json(as_dict(found), indent=1)
        if not text:
            return {"sentence": PICTURE_ONLY, "scores": scores}
        return {
            "python": api.python_code(text, search.top),
            "curl": api.curl_code(text, search.top),
            "shell": (api.shell_command(text, search.top, samples=SAMPLES in scopes),),
            "differences": api.list_differences(shown),
            "shell_differences": api.list_shell_differences(shown),
            "scores": scores,
        }

    def _warnings(self, scopes: Sequence[Scope], backbone: Backbone) -> list[str]:
        """Return a warning for each of the scopes with pages of another encoder than the one in use."""
        engine, warnings = self._handlers.engine, []
        own = next((scope for scope in scopes if scope != SAMPLES), None)
        if own and (others := engine.pages_of_other_encoders(own)):
            warnings.append(warn_of_other_encoder(others))
        if SAMPLES in scopes and engine.backbones.ready:
            main = engine.backbones.main().encoder
            if main.fingerprint != backbone.encoder.fingerprint:
                warnings.append(warn_of_sample_encoder(backbone.encoder.name, main.name))
        return warnings


def warn_of_other_encoder(pages: int) -> str:
    """Return a warning about a visitor's pages that the model in use cannot search."""
    return (
        f"Another model encoded {count(pages, 'page')} of your documents. Such pages are stored but not searched, and "
        "no figure here includes them. Add their files again."
    )


def warn_of_sample_encoder(samples: str, documents: str) -> str:
    """Return a warning that the samples are searched with another model than the visitor's documents."""
    return (
        f"The samples were encoded by {samples} and are searched with {samples}. Your documents are searched with "
        f"{documents}. Scores of the two cannot be compared."
    )


def render_panel(*, mcp: bool) -> str:
    """Return the tab before the first answer. `mcp`: whether the page has a tool for assistants."""
    return (
        '<div class="hood" aria-busy="true"><p class="hood-trouble notice" role="status" hidden></p>'
        + _render_section("costs", "What it costs", "Measured by this library itself.", '<div data-fill="costs"></div>')
        + _render_section(
            "code", "Show as code", "Programs that send the query on the screen.", _render_code_blocks(mcp=mcp)
        )
        + _render_section(
            "scores",
            "Raw scores",
            "The answer on the screen as search --json prints it, computed again. A cached stage takes 0 milliseconds.",
            _render_scores(),
        )
        + _render_section(
            "environment",
            "Environment",
            "The model in use and the installed packages.",
            '<div data-fill="environment"></div>',
        )
        + "</div>"
    )


def _render_section(key: str, title: str, note: str, body: str) -> str:
    return (
        f'<section class="hood-part" aria-labelledby="hood-{key}"><header><h2 id="hood-{key}">{esc(title)}</h2>'
        f'<p>{esc(note)}</p></header><div class="hood-body is-{key}">{body}</div></section>'
    )


def _render_code_blocks(*, mcp: bool) -> str:
    blocks = "".join(
        f'<figure class="hood-code"><figcaption><b>{esc(title)}</b><span>{esc(note)}</span>{_render_copy(title, key)}'
        f'</figcaption><pre tabindex="0" aria-label="{esc(title)}"><code data-code="{key}"></code></pre></figure>'
        for key, title, note in CODE_BLOCKS
    )
    tool = (
        '<p class="hood-tool">For assistants: the tool <b>search</b> of the MCP server at '
        '<code data-code="mcp"></code></p>'
    )
    return (
        f'{_NO_ANSWER_SLOT}<ul class="hood-notes" data-notes="differences"></ul>{blocks}'
        f'<ul class="hood-notes is-quiet" data-notes="shell_differences"></ul>{tool if mcp else ""}'
    )


def _render_scores() -> str:
    return (
        f'{_NO_ANSWER_SLOT}<figure class="hood-code is-tall"><figcaption><b>JSON</b>'
        f"<span>smart is pooled + late, whatever the weights</span>{_render_copy('JSON', 'scores')}"
        '<button type="button" class="share-button" data-download="scores">Download</button></figcaption>'
        '<pre tabindex="0" aria-label="JSON"><code data-code="scores"></code></pre></figure>'
    )


def _render_copy(title: str, key: str) -> str:
    return f'<button type="button" class="share-button" data-copy="{key}" aria-label="Copy {esc(title)}">Copy</button>'


def render_environment(environment: Environment, warnings: Sequence[str]) -> str:
    """Return the warnings, then the facts, then the versions."""
    notices = "".join(f'<p class="notice" role="status">{esc(warning)}</p>' for warning in warnings)
    budget = environment.visual_tokens
    facts = {
        "Model": environment.name,
        "Architecture": environment.model,
        "Revision": environment.revision,
        "Pinned by": environment.held_to,
        "Fingerprint": environment.fingerprint,
        "Number format": environment.dtype,
        "Device": environment.device,
        "Visual tokens": f"{budget:,} a page" if budget else "none: this model reads words",
        "Token filter": environment.token_filter if budget else "none",
        "New pages are stored as": environment.codec,
        "Commit": environment.commit,
    }
    versions = _render_facts(environment.versions, "hood-facts is-versions")
    return f"{notices}{_render_facts(facts, 'hood-facts')}{versions}"


def _render_facts(facts: Mapping[str, str], classes: str) -> str:
    rows = "".join(f"<div><dt>{esc(name)}</dt><dd>{esc(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="{classes}">{rows}</dl>'


def render_costs(costs: Costs | None, scope_name: str, encoder: str) -> str:
    """Return the section of costs. `scope_name` and `encoder` are plain text."""
    if costs is None:
        return '<p class="quiet">There are no pages here yet, so there is nothing to measure.</p>'
    return (
        f'<p class="price">{esc(describe_price(costs))}</p>'
        f'<p class="hood-said">{esc(_describe_pages(costs, scope_name, encoder))}</p>'
        f'<div class="hood-pair">{_render_sizes(costs)}{_render_times(costs)}</div>{_render_projections(costs)}'
    )


def describe_price(costs: Costs) -> str:
    """Return the price of late interaction in plain sentences."""
    return (
        f"Storing the token states takes {format_digits(costs.size_ratio)} times the space of the pooled vectors "
        f"alone: {format_bytes(costs.stored_bytes)} a page instead of {format_bytes(costs.pooled)}. That is the price "
        "of late interaction."
    )


def _describe_pages(costs: Costs, scope_name: str, encoder: str) -> str:
    span = f", from {costs.min_tokens:,} to {costs.max_tokens:,}" if costs.min_tokens < costs.max_tokens else ""
    return (
        f"{count(costs.pages, 'page')} of {scope_name}, encoded by {encoder}: {costs.mean_tokens:,.0f} token states "
        f"a page{span}, of {costs.width:,} numbers each. On this disk all of it takes {format_bytes(costs.disk)}, page "
        "images included."
    )


@dataclass(frozen=True, slots=True)
class CostRow:
    """One row of a table: its label, one figure for each column, and the source of the figures."""

    label: str
    cells: Sequence[str]
    source: str = ""
    fill: float | None = None
    """Length of the bar below the label, 0 to 1; None for no bar."""


def _render_sizes(costs: Costs) -> str:
    largest = max(costs.states.values())
    rows = [CostRow("Pooled vector, float32", ["1", format_bytes(costs.pooled), "1"], fill=costs.pooled / largest)]
    for codec in CODECS:
        stored, size = costs.stored.get(codec, 0), costs.states[codec]
        use = "" if not stored else "used here" if stored == costs.pages else f"used here for {count(stored, 'page')}"
        cells = [f"{costs.mean_tokens:,.0f}", format_bytes(size), format_digits(size / costs.pooled)]
        rows.append(CostRow(f"Token states, {codec}", cells, use, size / largest))
    return _render_table(
        "Size of a page",
        ["vectors", "bytes", "× pooled"],
        rows,
        "Means over these pages, from the layout of a token file: codes, and each token's kind and place. The file's "
        "header and the page image are not included.",
    )


def _render_times(costs: Costs) -> str:
    rows = [_indexing_row(costs), *(_stage_row(stage, costs.stages.get(stage)) for stage in STAGES)]
    return _render_table(
        "Time, on this machine",
        ["takes", "from"],
        rows,
        "Wall time. For a page: rendering, encoding and writing to disk. For a query: the latest queries since the "
        "start that ran the stage; cached results do not count.",
    )


def _indexing_row(costs: Costs) -> CostRow:
    label, indexing = "Adding a page", costs.indexing
    if indexing is None:
        return CostRow(label, [UNMEASURED, DASH])
    pages = count_of(indexing.pages, costs.pages, "page")
    source = f"mean of {pages}, median {format_duration(indexing.median)}"
    return CostRow(label, [format_duration(indexing.mean), source])


def _stage_row(stage: str, cost: StageCost | None) -> CostRow:
    if cost is None:
        return CostRow(STAGE_NAMES[stage], [UNMEASURED, DASH])
    time = format_duration(cost.milliseconds / 1_000)
    return CostRow(STAGE_NAMES[stage], [time, f"median of {count_queries(cost.queries)}"])


def _render_projections(costs: Costs) -> str:
    projections, depth = [costs.at_scale(pages) for pages, _ in PROJECTED_PAGES], f"{costs.depth:,}"
    rows = [
        CostRow("Pooled vectors, float32", [format_bytes(p.pooled) for p in projections], "bytes of a page × pages"),
        *(
            CostRow(
                f"Token states, {codec}",
                [format_bytes(p.states[codec]) for p in projections],
                "mean bytes of a page × pages",
            )
            for codec in CODECS
        ),
        CostRow(
            "Adding them",
            _format_durations(p.indexing for p in projections),
            "mean time of a page × pages, on one such machine",
        ),
        CostRow(
            "Scoring every page, a query",
            _format_durations(_seconds(p.every_page) for p in projections),
            "median time of a scored page × pages",
        ),
        CostRow(
            f"Scoring {depth} candidates, a query",
            _format_durations(_seconds(p.candidates) for p in projections),
            f"median time of a scored page × {depth}, whatever the size",
        ),
        CostRow("Finding those candidates", [UNKNOWN] * len(PROJECTED_PAGES), "not measured at such a size"),
    ]
    return _render_table(
        "What more pages would need",
        [head for _, head in PROJECTED_PAGES],
        rows,
        "Linear projections of the figures above, without page images and file headers. "
        f"Up to {count(costs.exhaustive, 'page')} this program "
        f"scores every page; beyond that the {depth} whose pooled vectors are nearest.",
        wide=True,
    )


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1_000


def _format_durations(seconds: Iterable[float | None]) -> list[str]:
    return [UNMEASURED if value is None else format_duration(value) for value in seconds]


def _render_table(title: str, heads: Sequence[str], rows: Sequence[CostRow], note: str, *, wide: bool = False) -> str:
    """Return a table with a note below. Narrow screens show each head above its figure."""
    columns = "".join(f'<th scope="col">{esc(head)}</th>' for head in heads)
    return (
        f'<figure class="hood-table{" is-wide" if wide else ""}"><table><caption>{esc(title)}</caption>'
        f"<thead><tr><td></td>{columns}</tr></thead><tbody>{''.join(_render_row(row, heads) for row in rows)}</tbody>"
        f"</table><figcaption>{esc(note)}</figcaption></figure>"
    )


def _render_row(row: CostRow, heads: Sequence[str]) -> str:
    source = f"<small>{esc(row.source)}</small>" if row.source else ""
    bar = ""
    if row.fill is not None:
        bar = f'<span class="bar"><i class="fill" style="width:{row.fill * 100:.2f}%"></i></span>'
    cells = "".join(
        f'<td data-head="{esc(head)}"{_cell_class(cell)}>{esc(cell)}</td>'
        for head, cell in zip(heads, row.cells, strict=True)
    )
    return f'<tr><th scope="row">{esc(row.label)}{source}{bar}</th>{cells}</tr>'


def _cell_class(cell: str) -> str:
    """Return the class of cells with words, which are set smaller than figures; for figures, an empty text."""
    return "" if cell[0].isdigit() or cell[0] == "<" else ' class="is-said"'
