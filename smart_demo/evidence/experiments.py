"""Every measurement of the evidence, in order: collections, binding, then one setting changed at a time.

Weights, reduction, query tokens and codec need no further encoding once a collection is encoded. The token filter and
the late layer make another encoder: it encodes the sample pages and the reports again.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from smart_demo.backbones import registry
from smart_demo.config import CODECS, TOKEN_FILTERS, Settings
from smart_demo.diagnostics import figure_commit, figure_versions
from smart_demo.engine import Engine
from smart_demo.evaluation.cranfield import DOCUMENTS_FILE, QRELS_FILE, QUERIES_FILE, read_cranfield
from smart_demo.evaluation.documents import open_temporary_engine
from smart_demo.evaluation.metrics import RESAMPLES
from smart_demo.evaluation.metrics import SEED as RESAMPLING_SEED
from smart_demo.evaluation.runner import ProgressCallback, ignore_progress
from smart_demo.evaluation.texts import TokenSpillFile
from smart_demo.evidence.binding import DEFAULT_PAIRS, SEED, BindingScores, ReportPair, encode_pairs, make_pairs
from smart_demo.evidence.marker_pages import draw_pair
from smart_demo.evidence.weight_curves import (
    HEADLINE_METRIC,
    LOSSLESS_CODEC,
    Json,
    WeightCurves,
    encode_page_collection,
    encode_text_collection,
)
from smart_demo.methods import LATE, SMART, Counted, Reduce, Weights
from smart_demo.types import LOCAL, Encoder, Page, QueryEncoding, TokenKind

PART_NAMES = ("text", "pages", "binding", "ablations")
MAX_DEPTH_ALL_LAYERS, LAYER_STEP = 8, 4
"""A model of up to 8 layers is measured at every layer, a deeper one at every fourth, as in the paper."""
FILTER_LABELS = {"code": "control tokens left out", "paper": "all but the pooling position"}
OWN_FILTER_LABELS = {
    "bert": {"code": "[CLS] and [SEP] left out", "paper": "[CLS] and [SEP] kept"},
    "neomme": {"code": "marks and masks left out", "paper": "marks and masks kept"},
    "embedding_gemma2": {"code": "marks left out", "paper": "marks kept"},
}
"""Labels of the filter by model family, for models that pool the mean of all tokens."""
CRANFIELD_URL = "http://ir.dcs.gla.ac.uk/resources/test_collections/cran/"
NO_CRANFIELD = (
    f"Left out: no text collection was given. Get Cranfield 1400 ({DOCUMENTS_FILE}, {QUERIES_FILE}, {QRELS_FILE}) from "
    f"{CRANFIELD_URL} and run: make evidence CRANFIELD=DIR"
)
NOT_REQUESTED = "Left out: only other parts were requested."


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    documents: Path
    queries: Path
    cranfield: Path | None = None
    only: frozenset[str] = frozenset(PART_NAMES)
    """The parts to measure, some of PART_NAMES."""
    pairs: int = DEFAULT_PAIRS
    """Number of pairs of reports."""
    command: str = ""
    """The command that was run, for the report."""

    @property
    def text(self) -> bool:
        """Whether to encode a text collection."""
        return self.cranfield is not None and bool(self.only & {"text", "ablations"})


def run_experiments(settings: Settings, plan: Plan, on_progress: ProgressCallback = ignore_progress) -> Json:
    """Return the evidence as plain data, the form of evidence.json.

    Libraries and token states are in temporary folders that are removed however the run ends. Raises InputRefused if a
    collection cannot be read, before any model is loaded; BackboneUnavailable as the backbone does.
    """
    begun = time.perf_counter()
    collection = read_cranfield(plan.cranfield) if plan.cranfield is not None and plan.text else None
    settings = replace(settings, backbone=registry.choose_backbone(settings).name)
    pairs = make_pairs(plan.pairs, SEED) if plan.only & {"binding", "ablations"} else ()
    inputs = _PageInputs(plan, pairs, [draw_pair(pair) for pair in pairs], settings.codec, on_progress)
    found: Json = {part: {"left_out": NOT_REQUESTED} for part in PART_NAMES}
    if plan.cranfield is None and "text" in plan.only:
        found["text"] = {"left_out": NO_CRANFIELD}
    with ExitStack() as stack:
        engine = stack.enter_context(_open_engine(settings))
        encoder = engine.backbone(LOCAL).encoder
        text = None
        if collection is not None:
            folder = stack.enter_context(TemporaryDirectory(prefix="smart-demo-evidence-"))
            spill_file = stack.enter_context(closing(TokenSpillFile(Path(folder) / "tokens")))
            encoded = encode_text_collection(collection, engine.backbone(LOCAL), spill_file, on_progress)
            text = WeightCurves(encoded, settings.codec)
        base = replace(inputs.encode(engine), text=text)
        if text is not None and "text" in plan.only:
            found["text"] = text.as_json() | {"sha256": _hash_files(plan.cranfield)}
        if base.pages is not None and "pages" in plan.only:
            found["pages"] = base.pages.as_json()
        if base.binding is not None and "binding" in plan.only:
            found["binding"] = base.binding.as_json(SEED)
        if "ablations" in plan.only:
            rows = [*make_reused_rows(base, settings.codec), *_make_variant_rows(settings, base, inputs)]
            found["ablations"] = {"rows": rows}
    return {
        "made": {
            "command": plan.command,
            "commit": figure_commit(),
            "date": datetime.now(UTC).date().isoformat(),
            "seconds": round(time.perf_counter() - begun),
            "versions": figure_versions(),
            "resamples": RESAMPLES,
            "seed": {"pairs": SEED, "resampling": RESAMPLING_SEED},
        },
        "encoder": {**asdict(encoder), "fingerprint": encoder.fingerprint, "codec": settings.codec},
        **found,
    }


@dataclass(frozen=True)
class EncodedCollections:
    """Everything one encoder encoded; None for a part that was not requested."""

    pages: WeightCurves | None = None
    text: WeightCurves | None = None
    binding: BindingScores | None = None

    def with_codec(self, codec: str) -> EncodedCollections:
        """Return the same token states through another codec."""
        return EncodedCollections(
            None if self.pages is None else WeightCurves(self.pages.collection, codec),
            None if self.text is None else WeightCurves(self.text.collection, codec),
            None if self.binding is None else self.binding.with_codec(codec),
        )

    @property
    def queries(self) -> Iterator[QueryEncoding]:
        """Every query and question."""
        for curves in (self.pages, self.text):
            if curves is not None:
                yield from curves.collection.queries
        if self.binding is not None:
            yield from self.binding.queries


@dataclass(frozen=True)
class _PageInputs:
    """The pages and reports that every encoder encodes again."""

    plan: Plan
    pairs: Sequence[ReportPair]
    sheets: Sequence[tuple[Page, Page]]
    """The two reports of each pair, drawn."""
    codec: str
    on_progress: ProgressCallback

    def encode(self, engine: Engine) -> EncodedCollections:
        """Encode what is requested by the engine's encoder."""
        pages = binding = None
        if self.plan.only & {"pages", "ablations"}:
            found = encode_page_collection(engine, self.plan.documents, self.plan.queries, self.on_progress)
            pages = WeightCurves(found, self.codec)
        if self.pairs:
            encoded = encode_pairs(engine.backbone(LOCAL), self.pairs, self.sheets, self.on_progress)
            binding = BindingScores(encoded, self.codec)
        return EncodedCollections(pages, None, binding)


def make_reused_rows(base: EncodedCollections, codec: str) -> list[Json]:
    """Return the rows that need no further encoding: the default, and other weights, tokens and codecs."""
    content = Weights(counted=Counted.CONTENT)
    rows = [_make_row("default", "λ 1, mean, all query tokens, last layer", base, base, default=True)]
    rows += [_make_row("λ late", f"{late:g}", base, base, Weights(1.0, late), late=None) for late in (0.5, 2.0, 4.0)]
    # The late-only ranking cannot change: a sum is every page's mean times the same number of query tokens.
    rows.append(_make_row("reduction", "sum", base, base, Weights(reduce=Reduce.SUM), late=None))
    if all((query.kinds == TokenKind.CONTENT).all() for query in base.queries):
        rows.append(_make_empty_row("query tokens", "own words only", "this encoder keeps no other query tokens"))
    else:
        rows.append(_make_row("query tokens", "own words only", base, base, content, late=replace(content, pooled=0.0)))
    for other in (name for name in CODECS if name != codec):
        rows.append(_make_row("codec", other, base.with_codec(other), base))
    return rows


def _make_variant_rows(settings: Settings, base: EncodedCollections, inputs: _PageInputs) -> Iterator[Json]:
    """Yield a row for each other encoder, loaded one after the other."""
    assert base.pages is not None  # ablations always include the pages
    encoder = base.pages.collection.encoder
    for factor, setting, changed in list_variants(settings, encoder):
        inputs.on_progress(f"Encoding again: {factor}, {setting}.")
        with _open_engine(changed) as engine:
            if engine.backbone(LOCAL).encoder.fingerprint == encoder.fingerprint:
                yield _make_empty_row(factor, setting, "this encoder has no such choice")
            else:
                yield _make_row(factor, setting, inputs.encode(engine), base)


def list_variants(settings: Settings, encoder: Encoder) -> list[tuple[str, str, Settings]]:
    """Return (factor, setting, settings) of every other encoder to measure."""
    words = OWN_FILTER_LABELS.get(encoder.model.partition("-")[0], FILTER_LABELS)
    filters = [
        ("token filter", f"{name}: {words[name]}", replace(settings, token_filter=name))
        for name in TOKEN_FILTERS
        if name != settings.token_filter
    ]
    layers = [
        ("late layer", f"{layer} of {deep}", replace(settings, late_layer=layer))
        for deep in _read_depth(encoder)
        for layer in (range(1, deep) if deep <= MAX_DEPTH_ALL_LAYERS else range(LAYER_STEP, deep, LAYER_STEP))
        if layer != settings.late_layer
    ]
    return filters + layers


def _read_depth(encoder: Encoder) -> list[int]:
    """Return [number of layers] from a model's name such as `bert-384x6`, or [] if it has none."""
    return [int(found) for found in re.findall(r"-\d+x(\d+)$", encoder.model)]


def _make_row(
    factor: str,
    setting: str,
    own: EncodedCollections,
    base: EncodedCollections,
    smart: Weights = SMART.weights,
    late: Weights | None = LATE.weights,
    *,
    default: bool = False,
) -> Json:
    """Return one row of the table. late: None if the late-only ranking cannot differ from the default's."""
    row: Json = {"factor": factor, "setting": setting, "default": default, "note": ""}
    for name in ("pages", "text"):
        own_part, base_part = getattr(own, name), getattr(base, name)
        missing = own_part is None or base_part is None
        row[name] = None if missing else _compare_collections(own_part, base_part, smart, late)
    row["binding"] = None
    if own.binding is not None and base.binding is not None:
        row["binding"] = {
            "late": None if late is None else own.binding.accuracy(late),
            "smart": own.binding.accuracy(smart),
            "change": own.binding.difference(smart, base.binding, SMART.weights),
        }
    return row


def _compare_collections(own: WeightCurves, base: WeightCurves, smart: Weights, late: Weights | None) -> Json:
    return {
        "late": None if late is None else own.evaluate(late).means[HEADLINE_METRIC],
        "smart": own.evaluate(smart).means[HEADLINE_METRIC],
        "change": own.compare_with(smart, base, SMART.weights),
    }


def _make_empty_row(factor: str, setting: str, reason: str) -> Json:
    note = f"no effect by construction: {reason}"
    return {"factor": factor, "setting": setting, "default": False, "note": note} | dict.fromkeys(
        ("pages", "text", "binding")
    )


def _open_engine(settings: Settings) -> AbstractContextManager[Engine]:
    """Open an engine whose temporary library stores token states losslessly."""
    return open_temporary_engine(replace(settings, codec=LOSSLESS_CODEC))


def _hash_files(folder: Path | None) -> dict[str, str]:
    """Return the SHA-256 of each collection file: several editions share one name."""
    assert folder is not None
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in (DOCUMENTS_FILE, QUERIES_FILE, QRELS_FILE)
    }
