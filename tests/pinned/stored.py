"""Files and answers that are pinned: a library, its snapshot, a journal, an archive, a token file, searches.

All of the program that is needed for them is imported here.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from smart_demo.cli import main as command
from smart_demo.config import Settings
from smart_demo.diagnostics import journal_versions
from smart_demo.engine import Engine, open_engine
from smart_demo.evaluation.documents import evaluate_documents
from smart_demo.judging.archive import build_archive, extract_journal
from smart_demo.judging.journal import Journal
from smart_demo.judging.query_list import read_queries
from smart_demo.judging.trials import judged_methods, record_trial, recorded_depth
from smart_demo.methods import LATE, POOLED, SMART, Counted, Method, Reduce, Weights
from smart_demo.search.retrieval import as_dict
from smart_demo.store.page_files import PageFiles
from smart_demo.store.snapshot import read_snapshot, write_snapshot
from smart_demo.store.token_file import read_body, read_header, serialise
from smart_demo.types import LOCAL, SAMPLES, PageEncoding, PageId, Query, Scope, StoredPage, TokenCodes, TokenGrid
from tests.documents import write_pdf

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
DATA, GOLDEN = HERE / "data", HERE / "golden"
LIBRARY = DATA / "library"
"""A data folder; its index folder holds the snapshot alone, Chroma is left out."""
DOCUMENTS = ("galley-menu-week-24.pdf", "site-map-and-floor-plan.pdf", "poster-ocean-day.jpg")
"""Of the sample documents, in the pinned library."""
CHANGED = 1_760_000_000_123_456_789
"""When the pinned token files were changed, in nanoseconds: a snapshot remembers it, a checkout does not."""
NOON = datetime(2026, 5, 24, 12, tzinfo=UTC)
SEED = "5e" * 16

PINNED_QUERIES = ("restricted area", "soup on wednesday", "evacuation route", "zzzz qqqq", "Ozean Tag für Kinder")
SAMPLE_QUERIES = (
    "part number of the lid O-ring for Petrel 3",
    "How heavy is the double battery pack BP-96?",
    "operating profit of the Service segment",
    "restricted area, no anchoring",
    "tightening torque of the bolts of the lid",
    "serial number P3-2309",
    "Wie wird die Wellenboje eingeschaltet?",
    "¿Dónde está fondeada la boya?",
    "xyzzy plugh qwrtp",
    "海 波 12",
    "the",
    "Petrel 3 Petrel 3 Petrel 3",
    "what is served in the galley on Friday evening, and is there something without fish?",
)
WEIGHTINGS = {
    "late 2": Weights(1.0, 2.0),
    "pooled 0": Weights(0.0, 1.0),
    "late 0": Weights(1.0, 0.0),
    "sum": Weights(1.0, 1.0, Reduce.SUM),
    "content": Weights(1.0, 1.0, Reduce.MEAN, Counted.CONTENT),
}
LISTS = {
    "lines.txt": "torque of the bolts\n\nsoup on wednesday\ntorque of the bolts\n" + "x" * 301 + "\n",
    "table.csv": 'qid,query\nq1,"restricted area, no anchoring"\nq2,\nq1,soup\nq3,größe 文書\n',
    "rows.jsonl": "".join(
        json.dumps(row) + "\n"
        for row in (
            {"query": "restricted area", "qid": "q1", "relevant": [{"document": DOCUMENTS[1], "page": 1, "grade": 3}]},
            {"query": "soup", "qid": 7},
            {"qid": "q3"},
            {"query": "bad", "relevant": [{"document": DOCUMENTS[1], "page": 0, "grade": 3}]},
        )
    ),
}


# -- a library and its snapshot


def copied_library(to: Path) -> Path:
    """A copy of the pinned library, with the times that its snapshot remembers."""
    shutil.copytree(LIBRARY, to)
    set_times(to)
    return to


def set_times(folder: Path) -> None:
    for path in (folder / "tokens").rglob("*.safetensors"):
        os.utime(path, ns=(CHANGED, CHANGED))


def settings_of(data: Path, **changes: object) -> Settings:
    return Settings(backbone="minilm", data_dir=data, index_dir=data / "index", **changes)


@contextmanager
def opened(data: Path) -> Iterator[Engine]:
    """An engine over a data folder as the shell opens it: before Chroma, from the snapshot if there is one."""
    with open_engine(settings_of(data), fall_back=False, background=True) as engine:
        yield engine


def write_library(to: Path) -> None:
    """The documents, encoded by minilm, and a snapshot of what was written."""
    with opened(to) as engine:
        paths = [ROOT / "sample_docs" / name for name in DOCUMENTS]
        ends = [step for step in engine.add(LOCAL, [(path, path.name) for path in paths]) if step.done == step.total]
        assert len(ends) >= len(DOCUMENTS)
        set_times(to)
        encoder = engine.backbone(LOCAL).encoder.fingerprint
        pages, pooled = engine.library.pooled([LOCAL], encoder)
        heads = {head.page.id: head for head in PageFiles(to).scan().headers}
        write_snapshot(to / "index", LOCAL, encoder, [heads[page.id] for page in pages], pooled)
    for path in sorted(to.rglob("*"), reverse=True):
        if path.name == "lock":
            path.unlink()


def listed(engine: Engine) -> list[dict[str, Any]]:
    """All facts of the pages of the local library, and of its documents."""
    encoder = engine.backbone(LOCAL).encoder.fingerprint
    pages = [_plain(page) for page in engine.library.pages([LOCAL], encoder)]
    return [*pages, *(_plain(document) for document in engine.documents(LOCAL))]


def _plain_grid(grid: TokenGrid) -> dict[str, int]:
    """Return a grid that the page covers, which the pinned pages have."""
    assert not grid.padded
    return {"start": grid.start, "rows": grid.rows, "cols": grid.cols}


def _plain(value: Any) -> dict[str, Any]:
    facts = asdict(value)
    if facts.get("source", "") is None:  # a fact of later pages alone
        del facts["source"]
    for later in ("space_tokens", "reencoded"):  # facts of some pages alone
        if not facts.get(later):
            facts.pop(later, None)
    return {
        name: f"{fact['file']}-{fact['number']:04d}"
        if name == "id"
        else str(fact.get("name"))
        if name == "scope"
        else fact
        for name, fact in facts.items()
    }


def snapshot_says(data: Path, encoder: str) -> dict[str, Any] | None:
    """What of the snapshot of the local library is believed; None if it is not accepted at all."""
    found = read_snapshot(data / "index", LOCAL, encoder)
    if found is None:
        return None
    believed = []
    for head in PageFiles(data).scan().headers:
        same = found.header(str(head.page.id), head.size, head.modified_ns, head.page.bytes - head.size)
        believed.append(same == head)
    return {"rows": len(found.headers), "believed": sum(believed), "shape": list(found.pooled.shape)}


def starts_from_snapshot(engine: Engine) -> bool:
    """Whether the vectors of the local library are mapped from the snapshot, and so no head was read for them."""
    encoder = engine.backbone(LOCAL).encoder.fingerprint
    return not engine.library.pooled([LOCAL], encoder)[1].flags.owndata


# -- searches


def answer(engine: Engine, text: str, scope: Scope, top: int = 5) -> dict[str, Any]:
    """`search --json` without times."""
    return _answered(engine.search(Query(text), [scope], top=top))


def weighed(engine: Engine, text: str, weights: Weights, scope: Scope = SAMPLES) -> dict[str, Any]:
    """The same with other weights, with late alone beside it, and a digest of the order of all pages by each method."""
    wanted = (POOLED, LATE, Method(SMART.name, SMART.label, weights))
    found = engine.search(Query(text), [scope], wanted, 8)
    places = {
        name: digest("\n".join(str(page) for _, page in sorted(result.ranks, key=result.ranks.__getitem__)))
        for name, result in found.results.items()
    }
    scores = {name: [round(hit.score, 6) for hit in result.hits] for name, result in found.results.items()}
    return _answered(found) | {"scores": scores, "places": places}


def _answered(found: Any) -> dict[str, Any]:
    said = as_dict(found)
    assert all(isinstance(value, float) for value in said.pop("milliseconds").values())
    return said


def sample_answers(engine: Engine) -> dict[str, Any]:
    texts = SAMPLE_QUERIES
    said = {text: answer(engine, text, SAMPLES, 20 if at == 0 else 5) for at, text in enumerate(texts)}
    heavy = {name: {t: weighed(engine, t, w) for t in texts[:4:3]} for name, w in WEIGHTINGS.items()}
    return {"machine": machine(), "answers": said, "weighed": heavy}


def pinned_answers(engine: Engine) -> dict[str, Any]:
    said = {text: answer(engine, text, LOCAL) for text in PINNED_QUERIES}
    heavy = {name: weighed(engine, PINNED_QUERIES[0], w, LOCAL) for name, w in WEIGHTINGS.items()}
    return {"machine": machine(), "listed": listed(engine), "answers": said, "weighed": heavy}


def from_the_shell(data: Path) -> dict[str, Any]:
    """What `search --json` prints, word for word but for the times; and its plain form."""
    before, env = signal.getsignal(signal.SIGTERM), {"SMART_BACKBONE": "minilm", "SMART_DATA_DIR": str(data)}
    printed = []
    try:
        for more in (["--json"], []):
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as notices:
                status = command(["search", PINNED_QUERIES[0], "--top", "3", *more], env)
            printed.append([status, without_times(out.getvalue()), notices.getvalue()])
    finally:
        signal.signal(signal.SIGTERM, before)
    return {"machine": machine(), "json": printed[0], "lines": printed[1]}


def machine() -> str:
    """On what kind of processor this was computed: sums of products differ in the seventh digit between them."""
    source = Path("/proc/cpuinfo")
    lines = source.read_text(errors="replace").split("\n\n")[0].splitlines() if source.exists() else []
    facts = dict(re.split(r"\s*:\s?", line, maxsplit=1) for line in lines if ":" in line)
    return " ".join(facts.get(name, "?") for name in ("model name", "cpu family", "model", "stepping"))


def digest(data: str | bytes) -> str:
    """16 hex digits of text or bytes."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:16]


def without_times(text: str) -> str:
    """What the shell prints, with every duration made 0."""
    text = re.sub(r'("(?:encode|candidates|score|rank)": )\d+\.\d+(?=,?\n)', r"\g<1>0.0", text)
    return re.sub(r"[\d.]+ s to (index|search)", r"0.0 s to \1", text)


# -- judgements


class Clock:
    """A clock that goes on by a second a look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> datetime:
        self.looks += 1
        return NOON + timedelta(seconds=self.looks)


def write_journal(engine: Engine, folder: Path) -> Path:
    """Every kind of event, several queries, two sets of weights, an undone vote, all choices; the journal's path."""
    journal = Journal(folder, LOCAL, Clock())
    trials = {
        (text, weights): _trial(engine, text, weights, journal.session.seed)
        for text in PINNED_QUERIES
        for weights in (SMART.weights, WEIGHTINGS["late 2"])
    }
    choices = iter(("a", "b", "tie", "bad", "a", "b", "b", "a", "a", "tie"))
    for at, trial in enumerate(trials.values()):
        if at == 4:
            journal.reveal_sides(trial)
        reasons, note = (("figure", "other"), 'größe "quoted", = + \u2028 line') if at == 1 else ((), "")
        journal.vote(trial, next(choices), reasons, note)
        if at == 2:
            journal.undo()
            journal.vote(trial, "a", ("table",))
        if at < 8:
            for grade, row in enumerate(trial.ranking("smart")[:3]):
                journal.grade(trial, row.page, (3 - grade + at) % 4)
    journal.skip(_trial(engine, "never voted on", SMART.weights, journal.session.seed).query)
    last = trials[PINNED_QUERIES[3], SMART.weights]
    journal.grade(last, last.ranking("pooled")[0].page, 2)
    journal.undo()
    return folder / "judgements" / f"{LOCAL}.jsonl"


def _trial(engine: Engine, text: str, weights: Weights, seed: str) -> Any:
    found = engine.search(Query(text), [LOCAL], judged_methods(weights), recorded_depth(3))
    return record_trial(found, 3, seed, journal_versions())


def journal_in(folder: Path) -> Journal:
    return Journal(folder, LOCAL, Clock())


def archive_of(journal: Journal) -> bytes:
    return build_archive(journal.judgements)


def journal_lines_of(archive: bytes) -> bytes:
    return extract_journal(archive)


def go_on(journal: Journal) -> None:
    """Skip a query and undo that, as a judge who continues the journal today."""
    votes = list(journal.judgements.votes.values())
    journal.vote(votes[0].trial, "tie")
    journal.skip(votes[1].trial.query)
    journal.undo()


def read_list(given: str | bytes) -> dict[str, Any]:
    found = read_queries(given)
    return {"queries": [asdict(one) | {"key": one.key} for one in found.queries], "notices": list(found.notices)}


# -- a token file, and an evaluation of a folder of documents


def token_file() -> bytes:
    """A page with a grid of patches, kept as float16."""
    rng = np.random.default_rng(5)
    tokens = rng.normal(size=(14, 32)).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    pooled = tokens[0] / np.linalg.norm(tokens[0])
    kinds = np.array([2, 1, *[0] * 10, 4, 4], np.uint8)
    page = StoredPage(
        SAMPLES, "ab" * 8, PageId("00ff" * 4, 7), "größe.pdf", 9, 800, 1000, 14, 0, "float16", 1760000000.5, 2.25
    )
    encoding = PageEncoding(page.id, page.encoder, pooled, tokens, kinds, TokenGrid(2, 2, 5))
    return serialise(page, encoding, TokenCodes(tokens.astype(np.float16)), (b"picture", b"thumbnail"))


def read_token_file(path: Path) -> dict[str, Any]:
    """All that the file says, proven."""
    head, pooled = read_header(path)
    body = read_body(path, head, verified=False)
    place = body.place
    return {
        "page": _plain(head.page),
        "layout": {
            name: fact
            for name, fact in asdict(head.layout).items()
            if fact or name not in {"words", "spaces", "padded"}
        },
        "start": head.start,
        "rest": head.rest_digest,
        "pictures": list(head.picture_digests),
        "size": head.size,
        "pooled": pooled.tolist(),
        "kinds": body.kinds.tolist(),
        "place": _plain_grid(place) if isinstance(place, TokenGrid) else place.boxes.tolist(),
        "codes": str(body.codes.codes.dtype),
        "first": body.codes.states()[0].tolist(),
    }


def evaluated(folder: Path) -> dict[str, Any]:
    """`eval` of a small folder by the backbone of words: the report in both forms, and its TREC files."""
    documents, runs = folder / "documents", folder / "runs"
    documents.mkdir(parents=True)
    write_pdf(documents / "tides.pdf", "tide table harbour moon sun spring neap", "tide gauge", "tide tide harbour")
    write_pdf(documents / "bolts.pdf", "bolt torque table flange", "harbour bolt of the tide gate and other parts")
    judged = {"tide harbour": {"tides.pdf": (3, 3)}, "gate": {"bolts.pdf": (2, 1)}}
    judged["torque table"] = {"bolts.pdf": (1, 2), "tides.pdf": (1, 1)}
    rows = [
        {
            "qid": f"q{number}",
            "kind": "table" if "table" in query else "lookup",
            "query": query,
            "relevant": [{"document": name, "page": page, "grade": grade} for name, (page, grade) in pages.items()],
        }
        for number, (query, pages) in enumerate(judged.items(), start=1)
    ]
    queries = documents / "queries.jsonl"
    queries.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = Settings(backbone="words", data_dir=folder / "data", index_dir=folder / "index")
    report = evaluate_documents(settings, documents, queries, run_dir=runs)
    files = {str(path.relative_to(runs)): path.read_text() for path in sorted(runs.rglob("*")) if path.is_file()}
    said = report.as_json() | {"seconds": sorted(report.as_json()["seconds"])}
    return {"json": said, "text": without_times(report.as_text()), "files": files}
