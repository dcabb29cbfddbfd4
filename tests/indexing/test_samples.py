"""The sample library is what its README promises: real files that search can read, and honest judgements of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SAMPLES = Path(__file__).resolve().parents[2] / "sample_docs"
PAGES = {
    "annual-report-2024.pdf": 10,
    "boya-aviso-es.pdf": 1,
    "galley-menu-week-24.pdf": 2,
    "heron-600-datasheet.pdf": 2,
    "investor-update-q3-2024.pdf": 8,
    "invoices-march-2024.pdf": 4,
    "minutes-vesterrev-2024-10-17.pdf": 3,
    "paper-fouling-spectra.pdf": 3,
    "petrel-3-datasheet.pdf": 6,
    "petrel-3-manual.pdf": 10,
    "poster-ocean-day.jpg": 1,
    "price-list-2023.pdf": 3,
    "price-list-2024.pdf": 3,
    "scanned-letter-harbour-master.pdf": 2,
    "scanned-service-form.pdf": 1,
    "site-map-and-floor-plan.pdf": 2,
    "skarhavn-gazette-june.pdf": 2,
    "station-log-sk2-january-2024.pdf": 5,
    "wellenboje-kurzanleitung-de.pdf": 3,
}
SCANS = {"scanned-letter-harbour-master.pdf", "scanned-service-form.pdf"}
TEXTS = sorted(name for name in PAGES if name.endswith(".pdf") and name not in SCANS)
QUERIES = [json.loads(line) for line in (SAMPLES / "queries.jsonl").read_text(encoding="utf-8").splitlines()]


def poppler(tool: str, *arguments: str | Path) -> str:
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=True)
    return done.stdout


def page_count(path: Path) -> int:
    lines = poppler("pdfinfo", path).splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Pages:")))


def page_texts(path: Path) -> list[str]:
    return poppler("pdftotext", path, "-").split("\f")[:-1]


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """The documents made again by their script."""
    out = tmp_path_factory.mktemp("printed")
    subprocess.run([sys.executable, SAMPLES / "make.py", "--out", out], check=True, capture_output=True)
    return out


def test_exactly_the_listed_documents_are_there():
    there = {path.name for path in SAMPLES.iterdir() if path.suffix in (".pdf", ".jpg", ".png")}
    assert there == set(PAGES)
    assert len(PAGES) >= 12
    assert sum(PAGES.values()) >= 60


def test_the_readme_names_every_document():
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in PAGES if f"`{name}`" not in readme] == []


def test_they_are_small_enough_to_keep_in_a_repository():
    assert sum((SAMPLES / name).stat().st_size for name in PAGES) < 6_000_000


@pytest.mark.parametrize("name", [name for name in PAGES if name.endswith(".pdf")])
def test_page_counts(name):
    assert page_count(SAMPLES / name) == PAGES[name]


@pytest.mark.parametrize("name", TEXTS)
def test_every_typeset_page_has_words_to_read(name):
    assert [n for n, text in enumerate(page_texts(SAMPLES / name), start=1) if len(text.split()) < 20] == []


@pytest.mark.parametrize("name", sorted(SCANS))
def test_scans_hold_one_picture_a_page_and_no_text(name):
    assert "".join(page_texts(SAMPLES / name)).strip() == ""
    pictures = poppler("pdfimages", "-list", SAMPLES / name).splitlines()[2:]
    assert [line.split()[8] for line in pictures] == ["jpeg"] * PAGES[name]


def test_the_poster_is_a_large_enough_picture():
    with Image.open(SAMPLES / "poster-ocean-day.jpg") as poster:
        assert poster.format == "JPEG"
        assert min(poster.size) >= 1000


@pytest.mark.parametrize("name", TEXTS)
def test_every_font_is_embedded(name):
    """Base fonts are substituted by whatever the machine has: pages would look different everywhere."""
    fonts = poppler("pdffonts", SAMPLES / name).splitlines()[2:]
    assert fonts
    assert [line for line in fonts if line.split()[-5] != "yes"] == []


@pytest.mark.parametrize("name", [name for name in PAGES if name.endswith(".pdf")])
def test_nothing_leads_out_of_a_document(name):
    content = (SAMPLES / name).read_bytes()
    assert not [mark for mark in (b"/URI", b"/JavaScript", b"/Launch", b"/EmbeddedFile") if mark in content]


@pytest.mark.parametrize("name", TEXTS)
def test_the_script_makes_the_same_pages_again(printed, name):
    assert page_texts(printed / name) == page_texts(SAMPLES / name)


@pytest.mark.parametrize("name", sorted(SCANS))
def test_the_script_makes_the_same_scans_again(printed, name):
    assert page_count(printed / name) == PAGES[name]
    assert (printed / name).stat().st_size == pytest.approx((SAMPLES / name).stat().st_size, rel=0.05)


def test_there_are_enough_queries_of_every_kind():
    kinds = [query["kind"] for query in QUERIES]
    assert len(QUERIES) >= 36
    assert {"lookup", "table", "figure", "layout", "near-duplicate", "cross-page", "paraphrase", "language", "scan",
            "distractor"} <= set(kinds)  # fmt: skip
    assert min(kinds.count(kind) for kind in set(kinds)) >= 3


def test_query_ids_and_texts_are_unique():
    assert len({query["qid"] for query in QUERIES}) == len(QUERIES)
    assert len({query["query"].casefold() for query in QUERIES}) == len(QUERIES)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query["qid"])
def test_judgements_point_at_pages_that_exist(query):
    assert set(query) == {"qid", "query", "kind", "relevant"}
    assert query["query"].strip() == query["query"] != ""
    places = [(judged["document"], judged["page"]) for judged in query["relevant"]]
    assert places
    assert len(set(places)) == len(places)
    for judged in query["relevant"]:
        assert set(judged) == {"document", "page", "grade"}
        assert 1 <= judged["page"] <= PAGES[judged["document"]]
        assert judged["grade"] in (1, 2, 3)
    assert max(judged["grade"] for judged in query["relevant"]) == 3


def test_every_document_answers_some_query():
    assert {judged["document"] for query in QUERIES for judged in query["relevant"]} == set(PAGES)
