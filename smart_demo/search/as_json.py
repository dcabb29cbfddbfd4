"""The JSON form of search results, as `search --json` and the API return it."""

from __future__ import annotations

import math
from typing import Any

from smart_demo.types import Found, Hit


def as_dict(found: Found) -> dict[str, Any]:
    """Return the results of one query as plain data: per method the hits with both parts of their scores.

    `smart` is pooled + late, whatever weights the method used. `late` and `smart` are None if the page's tokens were
    not scored.
    """
    return {
        "query": found.query.text,
        "pages": len(found.parts.pages),
        "candidates": len(found.parts.candidates),
        "milliseconds": {stage: round(value, 3) for stage, value in found.milliseconds.items()},
        "results": {name: [_hit_as_dict(hit) for hit in result.hits] for name, result in found.results.items()},
    }


def _hit_as_dict(hit: Hit) -> dict[str, Any]:
    late = None if math.isnan(hit.late) else round(hit.late, 6)
    return {
        "rank": hit.rank,
        "document": hit.page.document,
        "page": hit.page.number,
        "pooled": round(hit.pooled, 6),
        "late": late,
        "smart": None if late is None else round(hit.pooled + hit.late, 6),
    }
