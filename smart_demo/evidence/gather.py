"""All of the evidence in its order: one encoder after the other, and for each whatever is asked of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from smart_demo.backbones import registry
from smart_demo.config import Settings
from smart_demo.diagnostics import figure_commit, figure_versions
from smart_demo.engine import Engine
from smart_demo.evaluation.cranfield import DOCUMENTS, JUDGEMENTS, QUERIES, read_cranfield
from smart_demo.evaluation.documents import open_throwaway
from smart_demo.evaluation.metrics import RESAMPLES
from smart_demo.evaluation.metrics import SEED as RESAMPLING_SEED
from smart_demo.evaluation.runner import Tell, silent
from smart_demo.evaluation.texts import Spool
from smart_demo.evidence.ablations import Encoded, free_rows, same_encoder, variant_row, variants
from smart_demo.evidence.bench import WHOLE, page_bench, text_bench
from smart_demo.evidence.binding import Duels, ask
from smart_demo.evidence.markers import PAIRS, SEED, Pair, make_pairs
from smart_demo.evidence.sheets import draw_pair
from smart_demo.evidence.standing import Json, Standing
from smart_demo.types import LOCAL, Page

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
            text = Standing(text_bench(collection, engine.backbone(LOCAL), spool, tell), settings.codec)
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
    base: Encoded,
    plan: Plan,
    pairs: Sequence[Pair],
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
    engine: Engine, codec: str, plan: Plan, pairs: Sequence[Pair], sheets: Sequence[tuple[Page, Page]], tell: Tell
) -> Encoded:
    """The pages and the pairs of reports, as far as they are wanted."""
    pages = binding = None
    if plan.only & {"pages", "ablations"}:
        pages = Standing(page_bench(engine, plan.documents, plan.queries, tell), codec)
    if pairs:
        binding = Duels(ask(engine.backbone(LOCAL), pairs, sheets, tell), codec)
    return Encoded(pages, None, binding)


@contextmanager
def _engine(settings: Settings) -> Iterator[Engine]:
    """An engine whose throw-away library keeps token states whole."""
    with open_throwaway(replace(settings, codec=WHOLE)) as engine:
        yield engine


@contextmanager
def _spool() -> Iterator[Spool]:
    with TemporaryDirectory(prefix="smart-demo-evidence-") as name, closing(Spool(Path(name) / "tokens")) as spool:
        yield spool


def _hashes(folder: Path | None) -> dict[str, str]:
    """The files that were read: collections go by one name in several editions."""
    assert folder is not None
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (DOCUMENTS, QUERIES, JUDGEMENTS)}
