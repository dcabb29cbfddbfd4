"""The judge of OCR: pages whose words and boxes are known, and scores of what a reader finds. Checks no time."""

from dataclasses import replace

import numpy as np
import pytest

from smart_demo.page_text import Box, Word
from tests.bench import ocr_pages
from tests.bench.ocr_pages import KnownPage, Print, draw_page, score_reader


@pytest.mark.parametrize("scanned", [False, True])
def test_the_boxes_of_a_drawn_page_hold_its_ink(scanned):
    page = draw_page(Print(12, 2, "Lato", "petrel-3-manual.md", scanned, 3))
    assert len(page.words) == len(page.boxes) > 300
    dark = page.pixels.min(axis=2) < 150
    inside = np.zeros(dark.shape, bool)
    height, width = dark.shape
    for box in page.boxes:
        rows = slice(int(box.top * height) - 3, int(box.bottom * height) + 4)
        inside[rows, int(box.left * width) - 3 : int(box.right * width) + 4] = True
    assert (dark & ~inside).sum() < 0.002 * dark.sum()
    assert inside.mean() < 0.6


def test_a_perfect_reader_scores_one_and_faults_cost_what_they_should():
    boxes = tuple(Box(n / 4, 0, (n + 1) / 4, 1) for n in range(4))
    page = KnownPage("", np.zeros((1, 1, 3), np.uint8), ("tide", "of", "tide", "buoy"), boxes)
    words = [Word(text, box) for text, box in zip(page.words, boxes, strict=True)]
    assert score_reader([page], [words]) == ocr_pages.Score(1, 1, 1)
    one_less = score_reader([page], [words[:3]])
    assert (one_less.recall, one_less.precision) == (0.75, 1)
    invented = score_reader([page], [[*words, Word("tide", boxes[0])]])
    assert (invented.recall, invented.precision) == (1, 0.8)
    moved = [replace(word, box=Box(word.box.left + 0.125, 0, word.box.right + 0.125, 1)) for word in words]
    assert score_reader([page], [moved]).overlap == pytest.approx(1 / 3)


def test_the_scanned_samples_are_whole_and_every_goal_is_reported(monkeypatch):
    scans = list(ocr_pages.scanned_samples())
    assert [len(page.words) for page in scans] == [150, 104, 119]
    monkeypatch.setattr(ocr_pages, "measured_pages", lambda: scans[1:2])
    monkeypatch.setattr(ocr_pages, "ROUNDS", 1)
    perfect = [Word(text, Box(0, 0, 1, 1)) for text in scans[1].words]
    monkeypatch.setattr(ocr_pages, "load_rapidocr", lambda: lambda pixels: perfect)
    found = {result.name: result for result in ocr_pages.measure_ocr()}
    assert list(found) == ["ocr.speed", "ocr.recall", "ocr.precision", "ocr.overlap", "ocr.pages"]
    assert -0.1 < found["ocr.recall"].measured <= 0
    assert found["ocr.speed"].bound == 3
