"""What stands in a row: ids, grades, texts, under the column names that benchmarks use. Slips are refused by the row.

Names of columns: `_id`, `title`, `text` and `query-id`, `corpus-id`, `score` are BEIR's (beir/datasets/data_loader.py);
`corpus-id`, `query-id`, `query`, `image`, `image_filename` ViDoRe's of the first two editions (vidore-benchmark,
vidore_evaluators/vidore_evaluator_beir.py and _qa.py); `corpus_id` and `query_id` those of the third
(pipeline_evaluation/dataset_loader.py); `id` MTEB's; `file_name` that of a hub's folder of pictures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from smart_demo.evaluation.judgements import HIGHEST_GRADE
from smart_demo.evaluation.tables import Row
from smart_demo.evaluation.texts import page_id
from smart_demo.types import PageId

DOCUMENT = ("corpus-id", "corpus_id", "_id", "id")
QUERY = ("query-id", "query_id", "_id", "id")
WORDS = ("query", "text")
FILE = ("image_filename", "image_path", "file_name")
LONGEST_ID = 500
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


def value(row: Row, names: Sequence[str]) -> object:
    """What stands under the first of the names that the row has; None where it has none of them."""
    return next((row.values[name] for name in names if name in row.values), None)


def identity(row: Row, names: Sequence[str], what: str) -> str:
    """An id: text, or a whole number as benchmarks have them in Parquet, `7` then.

    InputRefused where it is missing, empty, not of one line or of another kind.
    """
    given = value(row, names)
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 2**63:
        return str(given)
    if not isinstance(given, str) or not given.strip() or not given.isprintable():
        raise row.refusal(f"there is no id of a {what} of one line.", f"It stands under {' or '.join(names)}.")
    if len(given) > LONGEST_ID:
        raise row.refusal(f"the id of a {what} has {len(given):,} characters; the limit is {LONGEST_ID}.")
    return given


def words(row: Row, names: Sequence[str]) -> str:
    """A text, without white space around it; empty where there is none. InputRefused for what is no text."""
    given = value(row, names)
    if given is not None and not isinstance(given, str):
        raise row.refusal(f'"{next(name for name in names if name in row.values)}" is not a text.')
    return (given or "").strip()


def grade(row: Row) -> float:
    """How relevant a document is, 0 to HIGHEST_GRADE. InputRefused for anything else."""
    given = row.values.get("score")
    if isinstance(given, str) and _NUMBER.fullmatch(given.strip()):
        given = float(given)
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise row.refusal('there is no number under "score".', "The columns are query-id, corpus-id and score.")
    if given < 0:
        raise row.refusal("the score is negative.", "Write 0 for what is not relevant.")
    if not given <= HIGHEST_GRADE:
        raise row.refusal(f'"score" must be a number from 0 to {HIGHEST_GRADE}.')
    return float(given)


class Ids:
    """Numbers for the ids of a collection in the order in which they come, which is the order in which ties fall."""

    def __init__(self) -> None:
        self._pages: dict[str, PageId] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._pages

    def __getitem__(self, name: str) -> PageId:
        return self._pages[name]

    def __len__(self) -> int:
        return len(self._pages)

    def number(self, name: str) -> PageId:
        """The page of an id, a new one where it was not there."""
        if name not in self._pages:
            self._pages[name] = page_id(len(self._pages))
        return self._pages[name]

    @property
    def names(self) -> dict[PageId, str]:
        """Ids by page."""
        return {page: name for name, page in self._pages.items()}
