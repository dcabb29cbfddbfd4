"""The tab "Under the hood": costs of late interaction, code for the query on the screen, raw scores, environment.

Every figure states its source, and a figure without a measurement says so. `compare.js` fills the panel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from smart_demo.backbones.base import Backbone
from smart_demo.config import CODECS
from smart_demo.diagnostics import describe_environment
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.search.costs import STAGES, Costs, StageCost, compute_costs
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, SearchRequest, parse_request_fields
from smart_demo.search.retrieval import as_dict
from smart_demo.types import SAMPLES, Scope, TokenSpace
from smart_demo.ui import api
from smart_demo.ui.api import SearchEndpoint
from smart_demo.ui.events import answer_errors
from smart_demo.ui.format import count_of, format_bytes, format_digits, format_duration
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.render import render
from smart_demo.wording import count, count_queries

SCOPE_NAMES = {ON_SAMPLES: "the samples", ON_MINE: "your documents", ON_BOTH: "the samples and your documents"}
NO_ANSWER = "There is no answer on the screen yet. Ask something under Compare."
PICTURE_ONLY = "This query is a picture without words. Programs can only send words, so there is no code for it."
PROJECTED_PAGES = ((10_000, "10 thousand"), (1_000_000, "1 million"), (1_000_000_000, "1 billion"))
"""Numbers of pages with their column heads."""
UNMEASURED, UNKNOWN, DASH = "not measured yet", "not extrapolated", "–"
SPACE_NAMES = {TokenSpace.TRAINED: "Trained states", TokenSpace.ADAPTER: "States of the adapter"}
STAGE_NAMES = {
    "encode": "Encoding the query",
    "candidates": "Finding the candidates",
    "score": "Scoring token by token",
    "rank": "Ranking",
}


class CostsTab:
    """Answers of one app for the tab. Every argument is validated, because any client can call `inspect`."""

    def __init__(self, handlers: Handlers, endpoint: SearchEndpoint) -> None:
        self._handlers, self._endpoint = handlers, endpoint

    @answer_errors("a look under the hood failed")
    def inspect(self, request: object) -> dict[str, object]:
        """Return markup of costs and environment, with code and scores as plain text, or `{"sentence": …}`."""
        search = parse_request_fields(request)
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
            "environment": render("environment", environment=environment, warnings=self._warnings(scopes, backbone)),
            "program": program,
        }

    def _program(self, search: SearchRequest, scopes: tuple[Scope, ...]) -> dict[str, object]:
        """Return code that sends the same query, and its raw scores; what is missing is replaced by a sentence."""
        handlers = self._handlers
        query = handlers.build_query(search)
        if (not query.text.strip() and query.image is None) or handlers.pending_samples(scopes):
            return {"sentence": NO_ANSWER}
        found = handlers.engine.search(query, scopes, search.compared, search.top)
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
        "no figure here includes them. Encode them again in the Library."
    )


def warn_of_sample_encoder(samples: str, documents: str) -> str:
    """Return a warning that the samples are searched with another model than the visitor's documents."""
    return (
        f"The samples were encoded by {samples} and are searched with {samples}. Your documents are searched with "
        f"{documents}. Scores of the two cannot be compared."
    )


def render_costs(costs: Costs | None, scope_name: str, encoder: str) -> Markup:
    """Return the section of costs."""
    return render(
        "costs",
        costs=costs,
        scope_name=scope_name,
        encoder=encoder,
        sizes=_size_rows(costs) if costs else (),
        times=_time_rows(costs) if costs else (),
        projections=_projection_rows(costs) if costs else (),
        projected_pages=[head for _, head in PROJECTED_PAGES],
    )


@dataclass(frozen=True, slots=True)
class CostRow:
    """One row of a table: its label, one figure for each column, and the source of the figures."""

    label: str
    cells: Sequence[str]
    source: str = ""
    fill: float | None = None
    """Length of the bar below the label, 0 to 1; None for no bar."""


def _size_rows(costs: Costs) -> list[CostRow]:
    largest = max(costs.states.values())
    rows = [CostRow("Pooled vector, float32", ["1", format_bytes(costs.pooled), "1"], fill=costs.pooled / largest)]
    for codec in CODECS:
        stored, size = costs.stored.get(codec, 0), costs.states[codec]
        use = "" if not stored else "used here" if stored == costs.pages else f"used here for {count(stored, 'page')}"
        cells = [f"{costs.mean_tokens:,.0f}", format_bytes(size), format_digits(size / costs.pooled)]
        rows.append(CostRow(f"Token states, {codec}", cells, use, size / largest))
    for space in costs.spaces:
        for codec in costs.stored:
            size = space.states[codec]
            cells = [f"{space.mean_tokens:,.0f}", format_bytes(size), format_digits(size / costs.pooled)]
            source = f"{space.width:,} numbers each, from the same pass"
            rows.append(CostRow(f"{SPACE_NAMES[space.space]}, {codec}", cells, source, min(1.0, size / largest)))
    return rows


def _time_rows(costs: Costs) -> list[CostRow]:
    return [_indexing_row(costs), *(_stage_row(stage, costs.stages.get(stage)) for stage in STAGES)]


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


def _projection_rows(costs: Costs) -> list[CostRow]:
    projections, depth = [costs.at_scale(pages) for pages, _ in PROJECTED_PAGES], f"{costs.depth:,}"
    return [
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
            _format_durations((p.every_page for p in projections), 1_000),
            "median time of a scored page × pages",
        ),
        CostRow(
            f"Scoring {depth} candidates, a query",
            _format_durations((p.candidates for p in projections), 1_000),
            f"median time of a scored page × {depth}, whatever the size",
        ),
        CostRow("Finding those candidates", [UNKNOWN] * len(PROJECTED_PAGES), "not measured at such a size"),
    ]


def _format_durations(times: Iterable[float | None], per_second: int = 1) -> list[str]:
    """Return times as text. per_second: 1 if they are in seconds, 1,000 in milliseconds."""
    return [UNMEASURED if time is None else format_duration(time / per_second) for time in times]
