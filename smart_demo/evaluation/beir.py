"""Text collections in BEIR's form: corpus, queries and qrels (beir-cellar/beir, beir/datasets/data_loader.py).

    corpus   {"_id": "d1", "title": "Tides", "text": "High water is ..."}
    queries  {"_id": "q1", "text": "when is high water"}
    qrels    query-id <tab> corpus-id <tab> score

A document is its title and its text with a space between, as BEIR's own encoders join them
(beir/retrieval/models/sentence_bert.py). Texts that tie fall in the order of the corpus. A score is the gain as it
stands.
"""

from __future__ import annotations

from smart_demo.errors import InputRefused
from smart_demo.evaluation import row_fields as fields
from smart_demo.evaluation.layout import Layout
from smart_demo.evaluation.relevance import Choice, judge, read_grades, read_queries, read_rows
from smart_demo.evaluation.row_fields import Ids
from smart_demo.evaluation.texts import TextCollection

MOST_TEXTS = 1_000_000
"""Their pooled vectors stay in memory: 1.5 GB of minilm's."""


def read_beir(layout: Layout, name: str, choice: Choice) -> TextCollection:
    """A text collection. InputRefused, with the file and the line, for anything that is not as it should be."""
    asked = read_queries(read_rows(layout.queries), choice.language)
    ids, documents, empty = Ids(), {}, 0
    for row in read_rows(layout.corpus, (*fields.DOCUMENT, "title", "text")):
        document = fields.identity(row, fields.DOCUMENT, "document")
        if document in ids:
            raise row.refusal(f'the document "{document}" is there twice.')
        if len(ids) >= MOST_TEXTS:
            raise row.refusal(f"there are more than {MOST_TEXTS:,} documents, which are not held here.")
        page = ids.number(document)
        text = f"{fields.words(row, ['title'])} {fields.words(row, ['text'])}".strip()
        if text:
            documents[page] = text
        else:
            empty += 1
    if not documents:
        raise InputRefused(f"There are no texts in the corpus of {name}.")
    notices = [f"Documents without a text: {empty:,}; they were left out and count as never found."] if empty else []
    grades = read_grades(read_rows(layout.qrels), asked, ids, notices)
    judged = judge(asked, grades, choice, notices)
    return TextCollection(name, documents, ids.names, judged, tuple(notices))
