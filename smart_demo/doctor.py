"""What runs here, why, and how the library is: everything one wants to know before a presentation."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from typing import Any

from smart_demo import scoring
from smart_demo.backbones import registry
from smart_demo.config import Settings
from smart_demo.engine import Engine, open_engine
from smart_demo.environment import commit, environment, versions
from smart_demo.errors import SmartError
from smart_demo.store.usage import size_in_words
from smart_demo.types import LOCAL


def examine(settings: Settings) -> dict[str, dict[str, Any]]:
    """Facts by part: machine, settings, backbone, library. A part that cannot be looked at says why instead."""
    facts: dict[str, dict[str, Any]] = {"machine": _machine(), "settings": _settings(settings)}
    try:
        with open_engine(settings) as engine:
            facts |= {"backbone": _backbone(engine), "library": _library(engine)}
    except SmartError as error:
        facts["library"] = {"trouble": error.sentence}
        facts.setdefault("backbone", _choice(settings))
    return facts


def _machine() -> dict[str, Any]:
    return {"commit": commit(), "poppler": shutil.which("pdftoppm") or "missing"} | versions()


def _settings(settings: Settings) -> dict[str, Any]:
    shown = ("data_dir", "index_dir", "public", "uploads", "codec", "dtype", "visual_tokens", "token_filter")
    return {name: getattr(settings, name) for name in shown} | {
        "data_dir": str(settings.data_dir),
        "index_dir": str(settings.index_dir),
    }


def _backbone(engine: Engine) -> dict[str, Any]:
    card = asdict(environment(engine.backbones.main(), engine.settings))
    told_elsewhere = {"versions", "commit", "codec"}
    serving = engine.serving()
    told = {name: value for name, value in card.items() if name not in told_elsewhere}
    scored = scoring.reason(engine.backbones.main().encoder.token_width)
    return {"wanted": serving.wanted, "reason": serving.reason} | told | {"scoring": scored}


def _choice(settings: Settings) -> dict[str, Any]:
    """What would be loaded, for when the library cannot be opened: another process has it."""
    try:
        choice = registry.choose(settings)
    except SmartError as error:
        return {"trouble": error.sentence}
    return {"wanted": choice.name, "reason": choice.reason}


def _library(engine: Engine) -> dict[str, Any]:
    report, samples = engine.library.report, engine.samples()
    documents = engine.documents(LOCAL)
    return {
        "documents": len(documents),
        "pages": sum(document.stored for document in documents),
        "bytes": sum(document.bytes for document in documents),
        "room": _room(engine),
        "visitors": _visitors(engine),
        "other_encoders": engine.of_other_encoders(LOCAL),
        "samples": f"{samples.ready} of {samples.total} pages by {samples.encoder}",
        "index": report.index,
        "memory": f"up to {size_in_words(engine.settings.resident)} of token states stay in memory (SMART_RESIDENT_MB)",
        "damaged": list(report.damaged),
    }


def _room(engine: Engine) -> str:
    usage = engine.usage(LOCAL)
    return (
        f"{usage.pages:,} of {usage.pages_limit:,} pages, "
        f"{size_in_words(usage.bytes)} of {size_in_words(usage.bytes_limit)} of your own documents"
    )


def _visitors(engine: Engine) -> str:
    visitors, quotas = engine.library.visitors(), engine.settings.quotas
    return (
        f"{len(visitors):,} on the disk, {size_in_words(sum(one.bytes for one in visitors))} of "
        f"{size_in_words(quotas.total_bytes)}; each may have {quotas.library_pages:,} pages and "
        f"{size_in_words(quotas.library_bytes)}, kept for {quotas.keep_hours} hours after the last change"
    )
