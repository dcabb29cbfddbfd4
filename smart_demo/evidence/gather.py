"""One setting moved at a time, everything else as it is by default: what each choice of the method is worth.

Weights, reduction, query tokens and codec cost nothing once a collection is encoded. The token filter and the late
layer are other encoders: the sample pages and the reports are encoded again for each.

All of the evidence in its order: one encoder after the other, and for each whatever is asked of it.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from smart_demo.backbones import registry
from smart_demo.config import CODECS, TOKEN_FILTERS, Settings
from smart_demo.diagnostics import figure_commit, figure_versions
from smart_demo.engine import Engine
from smart_demo.evaluation.cranfield import DOCUMENTS, JUDGEMENTS, QUERIES, read_cranfield
from smart_demo.evaluation.documents import open_throwaway
from smart_demo.evaluation.metrics import RESAMPLES
from smart_demo.evaluation.metrics import SEED as RESAMPLING_SEED
from smart_demo.evaluation.runner import Tell, silent
from smart_demo.evaluation.texts import TokenSpillFile
from smart_demo.evidence.binding import PAIRS, SEED, Duels, ReportPair, ask, make_pairs
from smart_demo.evidence.marker_pages import draw_pair
from smart_demo.evidence.weight_curves import HEADLINE, WHOLE, Json, WeightCurves, page_bench, text_bench
from smart_demo.types import LATE, LOCAL, SMART, Counted, Encoder, Page, QueryEncoding, Reduce, TokenKind, Weights

FEW_LAYERS, EVERY = 8, 4
"""A model of up to so many layers is asked about each of them, a deeper one about every fourth, as the paper's."""
FILTERS = {"code": "control tokens left out", "paper": "all but the pooling position"}
BERT_FILTERS = {"code": "[CLS] and [SEP] left out", "paper": "[CLS] and [SEP] kept"}


@dataclass(frozen=True)
class EncodedCollections:
    """What was encoded by one encoder; None where it was not wanted."""

    pages: WeightCurves | None = None
    text: WeightCurves | None = None
    binding: Duels | None = None

    def recoded(self, codec: str) -> EncodedCollections:
        """The same token states through another codec."""
        return EncodedCollections(
            None if self.pages is None else WeightCurves(self.pages.bench, codec),
            None if self.text is None else WeightCurves(self.text.bench, codec),
            None if self.binding is None else self.binding.recoded(codec),
        )

    @property
    def queries(self) -> Iterator[QueryEncoding]:
        for standing in (self.pages, self.text):
            if standing is not None:
                yield from standing.bench.queries
        if self.binding is not None:
            yield from self.binding.queries


def free_rows(base: EncodedCollections, codec: str) -> list[Json]:
    """The default, and what needs no further encoding."""
    content = Weights(counted=Counted.CONTENT)
    rows = [_row("default", "λ 1, mean, all query tokens, last layer", base, base, default=True)]
    rows += [_row("λ late", f"{late:g}", base, base, Weights(1.0, late), late=None) for late in (0.5, 2.0, 4.0)]
    # The late ranking alone cannot change: every page's mean is multiplied by the same number of query tokens.
    rows.append(_row("reduction", "sum", base, base, Weights(reduce=Reduce.SUM), late=None))
    if all((query.kinds == TokenKind.CONTENT).all() for query in base.queries):
        rows.append(_nothing("query tokens", "own words only", "this encoder keeps no other query tokens"))
    else:
        rows.append(_row("query tokens", "own words only", base, base, content, late=replace(content, pooled=0.0)))
    for other in (name for name in CODECS if name != codec):
        rows.append(_row("codec", other, base.recoded(other), base))
    return rows


def variants(settings: Settings, encoder: Encoder) -> list[tuple[str, str, Settings]]:
    """(factor, setting, settings) of every other encoder that is asked about."""
    words = BERT_FILTERS if encoder.model.startswith("bert") else FILTERS
    filters = [
        ("token filter", f"{name}: {words[name]}", replace(settings, token_filter=name))
        for name in TOKEN_FILTERS
        if name != settings.token_filter
    ]
    layers = [
        ("late layer", f"{layer} of {deep}", replace(settings, late_layer=layer))
        for deep in _depth(encoder)
        for layer in (range(1, deep) if deep <= FEW_LAYERS else range(EVERY, deep, EVERY))
        if layer != settings.late_layer
    ]
    return filters + layers


def variant_row(factor: str, setting: str, own: EncodedCollections, base: EncodedCollections) -> Json:
    """One of the variants, encoded."""
    return _row(factor, setting, own, base)


def same_encoder(factor: str, setting: str) -> Json:
    """A variant that turned out to be the default: this backbone has no such choice."""
    return _nothing(factor, setting, "this encoder has no such choice")


def _depth(encoder: Encoder) -> list[int]:
    """[layers] as the model's name says it (`bert-384x6`), [] where it has none."""
    return [int(found) for found in re.findall(r"-\d+x(\d+)$", encoder.model)]


def _row(
    factor: str,
    setting: str,
    own: EncodedCollections,
    base: EncodedCollections,
    smart: Weights = SMART.weights,
    late: Weights | None = LATE.weights,
    *,
    default: bool = False,
) -> Json:
    """No late weights where the late-only ranking is the same by construction and not told again."""
    row: Json = {"factor": factor, "setting": setting, "default": default, "note": ""}
    for name in ("pages", "text"):
        mine, plain = getattr(own, name), getattr(base, name)
        row[name] = None if mine is None or plain is None else _of_collection(mine, plain, smart, late)
    row["binding"] = None
    if own.binding is not None and base.binding is not None:
        row["binding"] = {
            "late": None if late is None else own.binding.accuracy(late),
            "smart": own.binding.accuracy(smart),
            "change": own.binding.difference(smart, base.binding, SMART.weights),
        }
    return row


def _of_collection(own: WeightCurves, base: WeightCurves, smart: Weights, late: Weights | None) -> Json:
    return {
        "late": None if late is None else own.outcome(late).means[HEADLINE],
        "smart": own.outcome(smart).means[HEADLINE],
        "change": own.against(smart, base, SMART.weights),
    }


def _nothing(factor: str, setting: str, why: str) -> Json:
    note = f"no effect by construction: {why}"
    return {"factor": factor, "setting": setting, "default": False, "note": note} | dict.fromkeys(
        ("pages", "text", "binding")
    )


PARTS = ("text", "pages", "binding", "ablations")
WHERE = "http://ir.dcs.gla.ac.uk/resources/test_collections/cran/"
NO_CRANFIELD = (
    f"Left out: no text collection was given. Get Cranfield 1400 ({DOCUMENTS}, {QUERIES}, {JUDGEMENTS}) from {WHERE} "
    "and run: make evidence CRANFIELD=DIR"
)
NOT_ASKED = "Left out: another part was asked for."


@dataclass(frozen=True)
class Plan:
    """What is wanted."""

    documents: Path
    queries: Path
    cranfield: Path | None = None
    only: frozenset[str] = frozenset(PARTS)
    """Some of PARTS."""
    pairs: int = PAIRS
    command: str = ""
    """What was typed, for whoever wants to run it again."""

    @property
    def text(self) -> bool:
        """Whether a text collection is to be encoded."""
        return self.cranfield is not None and bool(self.only & {"text", "ablations"})


def gather(settings: Settings, plan: Plan, tell: Tell = silent) -> Json:
    """The evidence as plain data, the form of evidence.json.

    Libraries and token states lie in temporary folders that are removed however the run ends. InputRefused where a
    collection cannot be read, before any model is loaded; BackboneUnavailable as the backbone raises it.
    """
    begun = time.perf_counter()
    collection = read_cranfield(plan.cranfield) if plan.cranfield is not None and plan.text else None
    settings = replace(settings, backbone=registry.choose(settings).name)
    pairs = make_pairs(plan.pairs, SEED) if plan.only & {"binding", "ablations"} else ()
    sheets = [draw_pair(pair) for pair in pairs]
    found: Json = {part: {"left_out": NOT_ASKED} for part in PARTS}
    if plan.cranfield is None and "text" in plan.only:
        found["text"] = {"left_out": NO_CRANFIELD}
    with ExitStack() as stack:
        engine = stack.enter_context(_engine(settings))
        encoder = engine.backbone(LOCAL).encoder
        text = None
        if collection is not None:
            spool = stack.enter_context(_spool())
            text = WeightCurves(text_bench(collection, engine.backbone(LOCAL), spool, tell), settings.codec)
        base = replace(_encoded(engine, settings.codec, plan, pairs, sheets, tell), text=text)
        if text is not None and "text" in plan.only:
            found["text"] = text.describe() | {"sha256": _hashes(plan.cranfield)}
        if base.pages is not None and "pages" in plan.only:
            found["pages"] = base.pages.describe()
        if base.binding is not None and "binding" in plan.only:
            found["binding"] = base.binding.describe(SEED)
        if "ablations" in plan.only:
            rows = free_rows(base, settings.codec)
            rows += _variant_rows(settings, base, plan, pairs, sheets, tell)
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


def _variant_rows(
    settings: Settings,
    base: EncodedCollections,
    plan: Plan,
    pairs: Sequence[ReportPair],
    sheets: Sequence[tuple[Page, Page]],
    tell: Tell,
) -> Iterator[Json]:
    """A row for each other encoder, loaded one after the other."""
    assert base.pages is not None  # ablations are always of the pages
    encoder = base.pages.bench.encoder
    for factor, setting, changed in variants(settings, encoder):
        tell(f"Encoding again: {factor}, {setting}.")
        with _engine(changed) as engine:
            if engine.backbone(LOCAL).encoder.fingerprint == encoder.fingerprint:
                yield same_encoder(factor, setting)
            else:
                own = _encoded(engine, settings.codec, plan, pairs, sheets, tell)
                yield variant_row(factor, setting, own, base)


def _encoded(
    engine: Engine, codec: str, plan: Plan, pairs: Sequence[ReportPair], sheets: Sequence[tuple[Page, Page]], tell: Tell
) -> EncodedCollections:
    """The pages and the pairs of reports, as far as they are wanted."""
    pages = binding = None
    if plan.only & {"pages", "ablations"}:
        pages = WeightCurves(page_bench(engine, plan.documents, plan.queries, tell), codec)
    if pairs:
        binding = Duels(ask(engine.backbone(LOCAL), pairs, sheets, tell), codec)
    return EncodedCollections(pages, None, binding)


@contextmanager
def _engine(settings: Settings) -> Iterator[Engine]:
    """An engine whose throw-away library keeps token states whole."""
    with open_throwaway(replace(settings, codec=WHOLE)) as engine:
        yield engine


@contextmanager
def _spool() -> Iterator[TokenSpillFile]:
    with (
        TemporaryDirectory(prefix="smart-demo-evidence-") as name,
        closing(TokenSpillFile(Path(name) / "tokens")) as spool,
    ):
        yield spool


def _hashes(folder: Path | None) -> dict[str, str]:
    """The files that were read: collections go by one name in several editions."""
    assert folder is not None
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (DOCUMENTS, QUERIES, JUDGEMENTS)}
