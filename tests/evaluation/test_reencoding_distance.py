"""The distance of pages encoded from their stored pictures, with words that are kept and words that are read again."""

import json
from math import log2

import pytest

from smart_demo import cli
from smart_demo.backbones import ocr
from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.ocr import Reading
from smart_demo.evaluation.reencoding_distance import KEPT, LAYER
from smart_demo.page_text import Box, Word
from tests.documents import write_pdf
from tests.evaluation.cases import write_judged


@pytest.fixture
def measure(tmp_path, scratch, capsys):
    """Measure three pages, of which the last has no text layer, by the command; return its output."""
    documents = tmp_path / "harbour"
    documents.mkdir()
    write_pdf(documents / "tides.pdf", "tide table of the old harbour", "tide", "bolts", "")
    queries = [("q1", "tide table", [("tides.pdf", 1, 1)]), ("q2", "bolts", [("tides.pdf", 3, 1)])]
    write_judged(documents, *queries, ("q3", "gauge", [("tides.pdf", 4, 1)]))

    def run(*options):
        arguments = ["reencode", "--measure", "--documents", str(documents), *options]
        assert cli.main(arguments, {"SMART_BACKBONE": "words", "SMART_DATA_DIR": str(tmp_path / "own")}) == 0
        assert list(scratch.iterdir()) == []
        return capsys.readouterr().out

    return run


def test_stored_words_give_the_same_encoding(measure):
    found = json.loads(measure("--json"))
    assert list(found["forms"]) == [KEPT]
    form = found["forms"][KEPT]
    assert (form["pages"], form["refused"], form["same_tokens"], found["queries"]) == (3, 0, 3, 3)
    assert [form[name] for name in ("cosine_min", "cosine_mean", "states_mean")] == pytest.approx([1, 1, 1])
    assert {row["moved"] for row in form["methods"].values()} == {0}
    assert "cosine 1.000000 on average, 1.000000 at least" in measure()


def test_words_that_ocr_reads_from_the_stored_picture_are_measured_too(measure, monkeypatch):
    """OCR reads the page right, and later, from the picture of a model that sees, as another word."""
    readings = iter(["gauge", "tide"])

    def read_pages(pictures, *, turn):
        return [Reading((Word(next(readings), Box(0.1, 0.1, 0.2, 0.2)),)) for _ in pictures]

    monkeypatch.setattr(WordBackbone, "needs_words", True)
    monkeypatch.setattr(ocr, "read_pages", read_pages)
    forms = json.loads(measure("--json"))["forms"]
    kept, layer = forms[KEPT], forms[LAYER]
    assert (kept["pages"], kept["cosine_min"]) == (4, pytest.approx(1))
    assert (layer["pages"], layer["cosine_min"], layer["cosine_mean"]) == (4, 0, pytest.approx(0.75))
    assert layer["methods"]["late"] == {"documents": 1.0, "stored": pytest.approx((2 + 1 / log2(5)) / 3), "moved": 1}
