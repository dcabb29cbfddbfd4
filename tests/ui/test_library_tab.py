"""The Library tab: documents, uploads and limits, without a browser."""

import threading
from dataclasses import replace

import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.config import read_settings
from smart_demo.indexing.progress import FileOutcome, Progress, ReencodingProgress, State
from smart_demo.indexing.samples import Samples
from smart_demo.types import LOCAL, SAMPLES, Document
from smart_demo.ui.format import strip_unprintable
from smart_demo.ui.library_tab import (
    SamplePreparation,
    render_documents,
    render_intro,
    render_sample_documents,
    render_uploads,
)
from smart_demo.ui.render import render
from tests.apps import open_words, settings_below
from tests.ui.cases import HOSTILE
from tests.ui.parsed_markup import ParsedMarkup


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_names_are_shown_as_text(name):
    document = Document(LOCAL, "a" * 16, name, 12, 9, 1000)
    uploads = [Progress(name, state, 1, 2, name) for state in State]
    for markup in (render_documents([document], 3, loading=False), render_uploads(uploads)):
        seen = ParsedMarkup(markup)
        assert strip_unprintable(name) in "".join(seen.words)
        assert not seen.find("img")
        assert "\u202e" not in markup


def test_a_partial_document_shows_how_many_of_its_pages_are_stored_and_can_be_deleted():
    partial = Document(LOCAL, "a" * 16, "x.pdf", 12, 9, 4_300_000)
    seen = ParsedMarkup(render_documents([partial], 0, loading=False))
    assert "1 document, 9 pages" in seen.text
    assert "9 of 12 pages · 4.3 MB" in seen.text
    assert [button["data-remove"] for button in seen.find("button") if "data-remove" in button] == ["a" * 16]


def test_samples_cannot_be_deleted():
    sample = Document(SAMPLES, "a" * 16, "x.pdf", 12, 12, 1)
    seen = ParsedMarkup(render_sample_documents([sample], Samples(12, 12, "minilm")))
    assert "x.pdf" in seen.text
    assert not seen.find("button")


def test_pages_of_another_encoder_are_announced_with_the_button_that_encodes_them_again():
    seen = ParsedMarkup(render_documents([], 3, loading=False))
    assert "3 pages were encoded by another model and are not searched. Encode them again" in seen.text
    done = ReencodingProgress(3, 1, 1, 1, ("Page 2 is damaged.",), seconds_left=12.0)
    seen = ParsedMarkup(render_documents([], 2, 0, done, loading=False))
    assert "again: 2 of 3 pages · about 20 seconds left Stop" in seen.text
    assert "damaged" not in seen.text
    seen = ParsedMarkup(render_documents([], 2, 0, replace(done, running=False), loading=False))
    assert "1 page keeps its old encoding. Page 2 is damaged." in seen.text
    assert [button["data-reencoding"] for button in seen.find("button")] == ["start"]


def test_documents_say_how_many_pages_are_encoded_from_stored_pictures():
    for pages, facts in ((4, "9 pages · 1 kB · 4 from stored pictures"), (9, "1 kB · from stored pictures")):
        document = Document(LOCAL, "a" * 16, "x.pdf", 9, 9, 1000, pages)
        assert facts in ParsedMarkup(render_documents([document], 0, loading=False)).text


def test_pages_that_an_earlier_version_read_are_announced():
    assert "older version" not in ParsedMarkup(render_documents([], 0, loading=False)).text
    seen = ParsedMarkup(render_documents([], 0, 12, loading=False))
    assert "12 pages were read by an older version. Add their documents again to read them better." in seen.text


def test_notices_that_are_left_out_are_counted():
    done = Progress("a.pdf", State.DONE, 9, 9, "Page 1: N1.", outcome=FileOutcome(notices_left_out=2))
    assert ParsedMarkup(render_uploads([done])).text.endswith("Page 1: N1. And 2 more.")


def test_limits_and_privacy_are_stated_before_an_upload():
    for settings, privacy in (({}, "kept on this machine"), ({"SMART_PUBLIC": "on"}, "Only this browser")):
        assert privacy in ParsedMarkup(render_intro(read_settings(settings))).text


def test_a_page_without_uploads_names_the_command_to_run_the_demo():
    assert "python app.py" in ParsedMarkup(render("no_uploads")).text


def test_what_follows_the_preparation_comes_after_it_and_cannot_break_the_rest(tmp_path):
    (tmp_path / "samples").mkdir()
    done, seen = threading.Event(), list[bool]()
    with open_words(settings_below(tmp_path), WordBackbone()) as engine:
        preparation = SamplePreparation(engine)
        preparation.add_listener(lambda: seen.append(preparation.running))
        preparation.add_listener(lambda: 1 / 0)
        preparation.add_listener(done.set)
        preparation.start()
        assert done.wait(20)
    assert seen == [False]
    assert not preparation.error
