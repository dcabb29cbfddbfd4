"""What a script of the page gets for a question: the answer, or one sentence why there is none. Never a trace."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from smart_demo.errors import SmartError

log = logging.getLogger(__name__)
CALM = "Something went wrong. The page is as it was; the log of the demo says what happened."


def answered(answer: Callable[[], Mapping[str, object]], failure: str) -> dict[str, object]:
    """The answer, or `sentence` alone. `failure` is what the log says of what nobody foresaw."""
    try:
        return dict(answer())
    except SmartError as error:
        return {"sentence": error.sentence}
    except Exception:
        log.exception(failure)
        return {"sentence": CALM}
