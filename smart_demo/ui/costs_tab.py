"""Markup of what answers here: the facts that one notes down beside a result.

Markup of what late interaction costs. Every figure says where it comes from; one that nobody measured says that.

Markup of the tab under the hood before anything is known: sections, and places that `hood.js` fills.

What the tab under the hood asks for: costs, code, scores and surroundings of the answer on the screen.

Every argument is doubted, as in `handlers`.
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
from smart_demo.ui.format import esc, format_bytes, format_digits, format_duration
from smart_demo.ui.handlers import Handlers
from smart_demo.wording import count


def environment_card(found: Environment, warnings: Sequence[str]) -> str:
    """Warnings first, then the facts, then the versions."""
    told = "".join(f'<p class="notice" role="status">{esc(warning)}</p>' for warning in warnings)
    budget = f"{found.visual_tokens:,} a page" if found.visual_tokens else "none: this model reads words"
    facts = {
        "Model": found.name,
        "Form": found.model,
        "Revision": found.revision,
        "Held to": found.held_to,
        "Fingerprint": found.fingerprint,
        "Number format": found.dtype,
        "Device": found.device,
        "Visual tokens": budget,
        "Token filter": found.token_filter if found.visual_tokens else "none",
        "New pages are kept as": found.codec,
        "Commit": found.commit,
    }
    return f"{told}{_list(facts, 'hood-facts')}{_list(found.versions, 'hood-facts is-versions')}"


def by_another_encoder(pages: int) -> str:
    """A warning about pages that cannot be searched."""
    return (
        f"{count(pages, 'page')} of your documents were made by another encoder than this one. They are kept but not "
        "searched, and no figure here counts them: add their files again."
    )


def served_by_another(samples: str, documents: str) -> str:
    """A warning about a sample library that the model in use did not make."""
    return (
        f"The samples were made by {samples}, so {samples} answers for them; {documents}, which is in use for your "
        "documents, did not. Scores of the two cannot be compared."
    )


def _list(facts: Mapping[str, str], classes: str) -> str:
    rows = "".join(f"<div><dt>{esc(name)}</dt><dd>{esc(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="{classes}">{rows}</dl>'


SIZES = ((10_000, "10 thousand"), (1_000_000, "1 million"), (1_000_000_000, "1 billion"))
UNMEASURED, UNKNOWN, NOTHING = "not measured yet", "not extrapolated", "–"
CALLED = {
    "encode": "Encoding the query",
    "candidates": "Finding the candidates",
    "score": "Scoring token by token",
    "rank": "Ranking",
}


@dataclass(frozen=True, slots=True)
class CostRow:
    """One line of a table: what is told, its figures, and where they come from."""

    label: str
    cells: Sequence[str]
    source: str = ""
    share: float | None = None
    """0..1 of a bar below the label; None for no bar."""


def costs_panel(costs: Costs | None, whose: str, encoder: str) -> str:
    """The whole section. `whose` and `encoder` are plain text: whose pages these are and what made them."""
    if costs is None:
        return '<p class="quiet">There are no pages here yet, so there is nothing to measure.</p>'
    return (
        f'<p class="price">{esc(price(costs))}</p>'
        f'<p class="hood-said">{esc(_counted(costs, whose, encoder))}</p>'
        f'<div class="hood-pair">{_per_page(costs)}{_times(costs)}</div>{_at_scale(costs)}'
    )


def price(costs: Costs) -> str:
    """The price of late interaction in one plain sentence."""
    return (
        f"Keeping the token states takes {format_digits(costs.size_ratio)} times the room of the pooled vectors alone: "
        f"{format_bytes(costs.stored_bytes)} a page instead of {format_bytes(costs.pooled)}. That is the price of late interaction."
    )


def _counted(costs: Costs, whose: str, encoder: str) -> str:
    span = f", from {costs.min_tokens:,} to {costs.max_tokens:,}" if costs.min_tokens < costs.max_tokens else ""
    return (
        f"{count(costs.pages, 'page')} of {whose}, encoded by {encoder}: {costs.mean_tokens:,.0f} token states "
        f"a page{span}, of {costs.width:,} numbers each. On this disk all of it takes {format_bytes(costs.disk)}, page images "
        "included."
    )


def _per_page(costs: Costs) -> str:
    largest = max(costs.states.values())
    rows = [CostRow("Pooled vector, float32", ["1", format_bytes(costs.pooled), "1"], share=costs.pooled / largest)]
    for codec in CODECS:
        kept, size = costs.stored.get(codec, 0), costs.states[codec]
        said = "" if not kept else "kept so here" if kept == costs.pages else f"{count(kept, 'page')} kept so here"
        cells = [f"{costs.mean_tokens:,.0f}", format_bytes(size), format_digits(size / costs.pooled)]
        rows.append(CostRow(f"Token states, {codec}", cells, said, size / largest))
    return _table(
        "Room of a page",
        ["vectors", "bytes", "× pooled"],
        rows,
        "Means over these pages, from the layout of a token file: codes, and each token's kind and place. The file's "
        "header and the page image come on top.",
    )


def _times(costs: Costs) -> str:
    rows = [_indexing(costs), *(_stage(stage, costs.stages.get(stage)) for stage in STAGES)]
    return _table(
        "Time, on this machine",
        ["takes", "from"],
        rows,
        "Wall time. A page: drawing it, encoding it and writing it to the disk. A query: the last ones since the start "
        "that really ran the stage; what was answered from memory does not count.",
    )


def _indexing(costs: Costs) -> CostRow:
    label, found = "Taking a page in", costs.indexing
    if found is None:
        return CostRow(label, [UNMEASURED, NOTHING])
    pages = count(found.pages, "page") if found.pages == costs.pages else f"{found.pages:,} of {costs.pages:,} pages"
    return CostRow(label, [format_duration(found.mean), f"mean of {pages}, median {format_duration(found.median)}"])


def _stage(stage: str, found: StageCost | None) -> CostRow:
    if found is None:
        return CostRow(CALLED[stage], [UNMEASURED, NOTHING])
    queries = "1 query" if found.queries == 1 else f"{found.queries:,} queries"
    return CostRow(CALLED[stage], [format_duration(found.milliseconds / 1_000), f"median of {queries}"])


def _at_scale(costs: Costs) -> str:
    scaled, depth = [costs.at_scale(pages) for pages, _ in SIZES], f"{costs.depth:,}"
    rows = [
        CostRow("Pooled vectors, float32", [format_bytes(one.pooled) for one in scaled], "bytes of a page × pages"),
        *(
            CostRow(
                f"Token states, {codec}",
                [format_bytes(one.states[codec]) for one in scaled],
                "mean bytes of a page × pages",
            )
            for codec in CODECS
        ),
        CostRow(
            "Taking them in", _spans(one.indexing for one in scaled), "mean time of a page × pages, one such machine"
        ),
        CostRow(
            "Scoring every page, a query",
            _spans(_seconds(one.every_page) for one in scaled),
            "median time of a scored page × pages",
        ),
        CostRow(
            f"Scoring {depth} candidates, a query",
            _spans(_seconds(one.candidates) for one in scaled),
            f"median time of a scored page × {depth}, whatever the size",
        ),
        CostRow("Finding those candidates", [UNKNOWN] * len(SIZES), "never measured at such a size"),
    ]
    return _table(
        "What more pages would need",
        [said for _, said in SIZES],
        rows,
        "Extrapolated in a straight line from the figures above, without page images and file headers. "
        f"Up to {count(costs.exhaustive, 'page')} this program "
        f"scores every page; beyond that the {depth} whose pooled vectors are nearest.",
        wide=True,
    )


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1_000


def _spans(seconds: Iterable[float | None]) -> list[str]:
    return [UNMEASURED if value is None else format_duration(value) for value in seconds]


def _table(title: str, heads: Sequence[str], rows: Sequence[CostRow], note: str, *, wide: bool = False) -> str:
    """A table with its source below; narrow screens show each head above its figure."""
    columns = "".join(f'<th scope="col">{esc(head)}</th>' for head in heads)
    return (
        f'<figure class="hood-table{" is-wide" if wide else ""}"><table><caption>{esc(title)}</caption>'
        f"<thead><tr><td></td>{columns}</tr></thead><tbody>{''.join(_markup(row, heads) for row in rows)}</tbody>"
        f"</table><figcaption>{esc(note)}</figcaption></figure>"
    )


def _markup(row: CostRow, heads: Sequence[str]) -> str:
    source = f"<small>{esc(row.source)}</small>" if row.source else ""
    bar = (
        ""
        if row.share is None
        else f'<span class="bar"><i class="fill" style="width:{row.share * 100:.2f}%"></i></span>'
    )
    cells = "".join(
        f'<td data-head="{esc(head)}"{_quiet(cell)}>{esc(cell)}</td>'
        for head, cell in zip(heads, row.cells, strict=True)
    )
    return f'<tr><th scope="row">{esc(row.label)}{source}{bar}</th>{cells}</tr>'


def _quiet(cell: str) -> str:
    """Words are set smaller than figures."""
    return "" if cell[0].isdigit() or cell[0] == "<" else ' class="is-said"'


CODE = (
    ("python", "Python", "with gradio_client, which comes with Gradio"),
    ("curl", "curl", "one request asks, one fetches the answer"),
    ("shell", "Shell", "the same engine without the page"),
)
"""Key of the code, what it is called and what it needs."""
_UNASKED = '<p class="hood-unasked quiet"></p>'
"""Says why there is no answer to show code of."""


def hood_panel(*, mcp: bool) -> str:
    """The whole tab. `mcp` says whether there is a tool for assistants, too."""
    return (
        '<div class="hood" aria-busy="true"><p class="hood-trouble notice" role="status" hidden></p>'
        + _section("costs", "What it costs", "Measured by this library itself.", '<div data-fill="costs"></div>')
        + _section("code", "Show as code", "The query on the screen, for a program to ask.", _code(mcp=mcp))
        + _section(
            "scores",
            "Raw scores",
            "The answer on the screen as search --json gives it, asked once more: a stage answered from memory says 0.",
            _scores(),
        )
        + _section("environment", "Environment", "What answers here.", '<div data-fill="environment"></div>')
        + "</div>"
    )


def _section(key: str, title: str, said: str, body: str) -> str:
    return (
        f'<section class="hood-part" aria-labelledby="hood-{key}"><header><h2 id="hood-{key}">{esc(title)}</h2>'
        f'<p>{esc(said)}</p></header><div class="hood-body is-{key}">{body}</div></section>'
    )


def _code(*, mcp: bool) -> str:
    blocks = "".join(
        f'<figure class="hood-code"><figcaption><b>{esc(title)}</b><span>{esc(said)}</span>{_copy(title, key)}'
        f'</figcaption><pre tabindex="0" aria-label="{esc(title)}"><code data-code="{key}"></code></pre></figure>'
        for key, title, said in CODE
    )
    tool = (
        '<p class="hood-tool">For assistants: the tool <b>search</b> of the MCP server at '
        '<code data-code="mcp"></code></p>'
    )
    return (
        f'{_UNASKED}<ul class="hood-notes" data-notes="differences"></ul>{blocks}'
        f'<ul class="hood-notes is-quiet" data-notes="shell_differences"></ul>{tool if mcp else ""}'
    )


def _scores() -> str:
    return (
        f'{_UNASKED}<figure class="hood-code is-tall"><figcaption><b>JSON</b>'
        f"<span>smart is pooled + late, whatever the weights</span>{_copy('JSON', 'scores')}"
        '<button type="button" class="share-button" data-download="scores">Download</button></figcaption>'
        '<pre tabindex="0" aria-label="JSON"><code data-code="scores"></code></pre></figure>'
    )


def _copy(title: str, key: str) -> str:
    return f'<button type="button" class="share-button" data-copy="{key}" aria-label="Copy {esc(title)}">Copy</button>'


WHOSE = {ON_SAMPLES: "the samples", ON_MINE: "your documents", ON_BOTH: "the samples and your documents"}
NOTHING_ASKED = "There is no answer on the screen yet. Ask something under Compare."
PICTURE_ALONE = "This was asked with a picture alone, and programs ask with words: there is no code for it."


class CostsTab:
    """Looks under the hood of one app."""

    def __init__(self, handlers: Handlers, endpoint: SearchEndpoint) -> None:
        self._handlers, self._endpoint = handlers, endpoint

    def look(self, wanted: object) -> dict[str, object]:
        """Markup of costs and surroundings, code and scores as plain text; or a sentence why not."""
        return answer_or_error(lambda: self._look(parse_request_fields(wanted)), "a look under the hood failed")

    def _look(self, search: SearchRequest) -> dict[str, object]:
        scopes, engine = self._handlers.resolve_scopes(search.scope), self._handlers.engine
        if self._handlers.is_model_loading(scopes):
            raise LibraryError(f"{self._handlers.serving().name} is still loading.", "Look again in a moment.")
        try:
            program = self._program(search, scopes)
        except InputRefused as error:  # of the query, or of a picture that is gone
            program = {"sentence": error.sentence}
        laps, backbone = engine.stage_timings(scopes), engine.backbone(scopes[0])
        pages = engine.library.pages(scopes, backbone.encoder.fingerprint)
        counted = compute_costs(pages, backbone.encoder, laps, engine.settings)
        whose = WHOSE[search.scope]
        card = describe_environment(backbone, engine.settings)
        return {
            "costs": costs_panel(counted, whose, backbone.encoder.name),
            "environment": environment_card(card, self._warnings(scopes, backbone)),
            "program": program,
        }

    def _program(self, search: SearchRequest, scopes: tuple[Scope, ...]) -> dict[str, object]:
        """Code that asks the same, and the raw scores; a sentence in the place of what there is none of."""
        handlers = self._handlers
        query = handlers.build_query(search)
        if (not query.text.strip() and query.image is None) or handlers.pending_samples(scopes):
            return {"sentence": NOTHING_ASKED}
        smart = Method(SMART.name, SMART.label, search.weights)
        found = handlers.engine.search(query, scopes, (POOLED, smart), search.top)
        # The code does not carry what a visitor is known by: on a public page it is answered from the samples.
        answers = self._endpoint.scope if handlers.is_private else SAMPLES
        own = answers != SAMPLES
        shown = api.ShownQuery(scopes, search.weights, query.image is not None, answers, own)
        text, scores = found.query.text, api.readable_json(as_dict(found), indent=1)
        if not text:
            return {"sentence": PICTURE_ALONE, "scores": scores}
        return {
            "python": api.python_code(text, search.top),
            "curl": api.curl_code(text, search.top),
            "shell": (api.shell_command(text, search.top, samples=SAMPLES in scopes),),
            "differences": api.list_differences(shown),
            "shell_differences": api.list_shell_differences(shown),
            "scores": scores,
        }

    def _warnings(self, scopes: Sequence[Scope], backbone: Backbone) -> list[str]:
        """Where pages of these scopes were made by another encoder than the one in use."""
        engine, told = self._handlers.engine, []
        own = next((scope for scope in scopes if scope != SAMPLES), None)
        if own and (others := engine.pages_of_other_encoders(own)):
            told.append(by_another_encoder(others))
        if SAMPLES in scopes and engine.backbones.ready:
            main = engine.backbones.main().encoder
            if main.fingerprint != backbone.encoder.fingerprint:
                told.append(served_by_another(backbone.encoder.name, main.name))
        return told
