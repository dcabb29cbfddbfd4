"""The engine end to end on real files, with a backbone whose scores can be computed by hand."""

import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.errors import LibraryError, QueryRefused
from smart_demo.indexing.progress import State
from smart_demo.methods import LATE, POOLED, SMART, Counted, Method, Weights
from smart_demo.types import LOCAL, SAMPLES, PageId, Query
from tests.apps import Counting, open_words, settings_below
from tests.documents import write_pdf


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "samples").mkdir()
    write_pdf(tmp_path / "samples" / "tides.pdf", "tide table harbour", "tide gauge")
    return settings_below(tmp_path, backbone="words")


@pytest.fixture
def open_engine(settings):
    """Return a function that opens an engine on one folder and closes the one before, as a restart would."""
    opened = []

    def start(backbone=None, **changes):
        for engine in opened:
            engine.close()
        main, bundled = backbone or Counting(WordBackbone()), Counting(WordBackbone(width=64))
        opened.append(open_words(replace(settings, **changes), main, bundled, fall_back=False))
        return opened[-1]

    yield start
    for engine in opened:
        engine.close()


def add(engine, *paths, scope=LOCAL):
    return [step for step in engine.add(scope, [(p, p.name) for p in paths]) if step.state is not State.WORKING]


def pages_of(result):
    return [(hit.page.document, hit.page.number) for hit in result.hits]


def test_scores_computed_by_hand(open_engine, tmp_path):
    """Two pages: `red red red star` and `red star blue moon`; the query is `red star`.

    pooled: (3·1 + 1·1)/(√10·√2) = 0.8944 and (1 + 1)/(√4·√2) = 0.7071. late: 1 and 1, both words stand on both."""
    engine = open_engine(Counting(WordBackbone(vocabulary=["red", "star", "blue", "moon"])), codec="float32")
    add(engine, write_pdf(tmp_path / "a.pdf", "red red red star", "red star blue moon"))
    found = engine.search(Query("Red star"), methods=(POOLED, LATE, SMART))
    smart = found.results["smart"].hits
    assert [round(h.pooled, 4) for h in smart] == [0.8944, 0.7071]
    assert [round(h.late, 4) for h in smart] == [1.0, 1.0]
    assert [round(h.score, 4) for h in smart] == [1.8944, 1.7071]
    assert found.results["late"].candidates == found.results["late"].pages == 2


def test_late_interaction_lifts_the_page_that_has_the_detail(open_engine, tmp_path):
    engine = open_engine()
    long = " ".join(["moon"] * 6 + ["red", "star"])
    add(engine, write_pdf(tmp_path / "a.pdf", "red red red blue", long))
    found = engine.search(Query("red star"))
    assert pages_of(found.results["pooled"])[0] == ("a.pdf", 1)
    assert pages_of(found.results["smart"])[0] == ("a.pdf", 2)


def test_one_bad_file_does_not_sink_the_batch(open_engine, tmp_path):
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (tmp_path / "note.txt").write_text("hello")
    good = write_pdf(tmp_path / "good.pdf", "red star")
    engine = open_engine()
    ends = add(engine, tmp_path / "broken.pdf", tmp_path / "note.txt", tmp_path / "none.pdf", good)
    assert [end.state for end in ends] == [State.REFUSED] * 3 + [State.DONE]
    assert all(end.message.endswith(".") for end in ends[:3])
    assert [d.name for d in engine.documents(LOCAL)] == ["good.pdf"]


def test_many_refused_pages_are_reported_in_a_few_sentences(open_engine, tmp_path):
    (few,) = add(open_engine(), write_pdf(tmp_path / "few.pdf", "", "", "red"))
    assert few.message.count("no words") == 2
    (many,) = add(open_engine(), write_pdf(tmp_path / "many.pdf", "red", *[""] * 40))
    assert (many.done, many.total) == (1, 41)
    assert "38 more pages" in many.message
    assert len(many.message) < 300


def test_the_same_file_again_costs_nothing(open_engine, tmp_path):
    backbone = Counting(WordBackbone())
    engine = open_engine(backbone)
    path = write_pdf(tmp_path / "a.pdf", "red", "star")
    add(engine, path)
    (end,) = add(engine, path.rename(tmp_path / "other name.pdf"))
    assert (end.state, backbone.pages) == (State.KNOWN, 2)
    assert "a.pdf" in end.message
    assert len(engine.documents(LOCAL)) == 1


def test_cancelling_keeps_the_reported_pages_and_the_next_add_continues(open_engine, tmp_path):
    backbone = Counting(WordBackbone())
    engine = open_engine(backbone)
    path = write_pdf(tmp_path / "a.pdf", *[f"page {n}" for n in range(12)])
    steps = engine.add(LOCAL, [(path, path.name)])
    told = next(step.done for step in steps if step.done >= 2)
    steps.close()
    (document,) = engine.documents(LOCAL)
    assert told <= document.stored < document.pages == 12
    encoded_before, stored_before = backbone.pages, document.stored
    add(engine, path)
    assert engine.documents(LOCAL)[0].stored == 12
    assert backbone.pages - encoded_before == 12 - stored_before


def test_a_document_deleted_while_it_is_added_stays_deleted(open_engine, tmp_path):
    engine = open_engine()
    path = write_pdf(tmp_path / "a.pdf", *[f"page {n}" for n in range(12)])
    states = []
    for step in engine.add(LOCAL, [(path, path.name)]):
        states.append(step.state)
        if step.done == 4:
            engine.delete_document(LOCAL, engine.documents(LOCAL)[0].file)
    assert (states[-1], engine.documents(LOCAL)) == (State.REFUSED, ())
    assert add(engine, path)[0].state is State.DONE  # and it may be added again


def test_a_page_without_words_is_reported_and_the_rest_is_stored(open_engine, tmp_path):
    engine = open_engine()
    (end,) = add(engine, write_pdf(tmp_path / "a.pdf", "red", "", "star"))
    assert (end.state, end.done, end.total) == (State.DONE, 2, 3)
    assert "age 2" in end.message
    (end,) = add(engine, write_pdf(tmp_path / "empty.pdf", ""))
    assert end.state is State.REFUSED


def test_a_restart_keeps_everything(open_engine, tmp_path):
    path = write_pdf(tmp_path / "a.pdf", "red star", "blue moon")
    before_engine = open_engine()
    add(before_engine, path)
    before = before_engine.search(Query("red moon"))
    after = open_engine().search(Query("red moon"))
    for method in ("pooled", "smart"):
        assert [(h.page.id, h.score) for h in after.results[method].hits] == [
            (h.page.id, h.score) for h in before.results[method].hits
        ]


def test_weights_change_without_encoding_again(open_engine, tmp_path):
    backbone = Counting(WordBackbone())
    engine = open_engine(backbone)
    add(engine, write_pdf(tmp_path / "a.pdf", "red star", "star"))
    reads = []
    read = engine.library.tokens
    engine.library.tokens = lambda page, space: reads.append(page.id) or read(page, space)
    first = engine.search(Query("red"))
    turned = engine.search(Query("red"), methods=(Method("turned", "Turned", Weights(0.5, 2.0)),))
    assert (backbone.queries, len(reads)) == (1, 2)
    assert turned.milliseconds["score"] == 0.0
    hit, same = turned.results["turned"].hits[0], first.results["smart"].hits[0]
    assert hit.score == pytest.approx(0.5 * same.pooled + 2.0 * same.late)


def test_a_new_page_is_found_by_a_repeated_query(open_engine, tmp_path):
    engine = open_engine()
    assert engine.search(Query("red")).results["smart"].hits == ()
    add(engine, write_pdf(tmp_path / "a.pdf", "red"))
    assert pages_of(engine.search(Query("red")).results["smart"]) == [("a.pdf", 1)]


def test_a_removed_document_is_never_found_again_and_its_bytes_are_gone(open_engine, tmp_path, settings):
    engine = open_engine()
    kept, gone = write_pdf(tmp_path / "kept.pdf", "red"), write_pdf(tmp_path / "gone.pdf", "red star")
    add(engine, kept)
    before = sum(p.stat().st_size for p in (settings.data_dir / "tokens").rglob("*") if p.is_file())
    add(engine, gone)
    file = next(d.file for d in engine.documents(LOCAL) if d.name == "gone.pdf")
    freed = engine.delete_document(LOCAL, file)
    after = sum(p.stat().st_size for p in (settings.data_dir / "tokens").rglob("*") if p.is_file())
    assert (freed > 0, after) == (True, before)
    assert pages_of(engine.search(Query("star")).results["smart"]) == [("kept.pdf", 1)]
    with pytest.raises(LibraryError):
        engine.page(LOCAL, PageId(file, 1))


def test_beyond_the_exhaustive_limit_the_pooled_column_stays_exact(open_engine, tmp_path):
    rng = np.random.default_rng(5)
    words = [f"w{n}" for n in range(40)]
    texts = [" ".join(rng.choice(words, 6)) for _ in range(30)]
    path = write_pdf(tmp_path / "a.pdf", *texts)
    exact = open_engine()
    add(exact, path)
    everything = exact.search(Query("w1 w2 w3"), top=10)
    few = open_engine(exhaustive=5, candidates=7).search(Query("w1 w2 w3"), top=10)
    assert pages_of(few.results["pooled"]) == pages_of(everything.results["pooled"])
    smart = few.results["smart"]
    assert (smart.candidates, smart.pages, len(smart.hits)) == (7, 30, 7)
    nearest = sorted((round(hit.pooled, 5) for hit in everything.results["pooled"].hits), reverse=True)[:7]
    assert sorted((round(hit.pooled, 5) for hit in smart.hits), reverse=True) == nearest  # ties may go either way


def test_scopes_do_not_mix(open_engine, tmp_path):
    engine = open_engine()
    list(engine.prepare_samples(engine.backbones.main()))
    add(engine, write_pdf(tmp_path / "mine.pdf", "tide"))
    names = {
        scopes: {hit.page.document for hit in engine.search(Query("tide"), scopes).results["smart"].hits}
        for scopes in ((LOCAL,), (SAMPLES,), (LOCAL, SAMPLES))
    }
    assert list(names.values()) == [{"mine.pdf"}, {"tides.pdf"}, {"mine.pdf", "tides.pdf"}]


def test_samples_are_served_by_the_bundled_backbone_until_the_chosen_one_has_encoded_them(open_engine, tmp_path):
    engine = open_engine()
    bundled, main = engine.backbones.bundled(), engine.backbones.main()
    assert not engine.samples().complete
    list(engine.prepare_samples())
    assert (engine.samples().ready, engine.samples().total) == (2, 2)
    assert engine.search(Query("tide"), (SAMPLES,)).encoder == bundled.encoder
    with pytest.raises(QueryRefused, match="different models"):
        engine.search(Query("tide"), (LOCAL, SAMPLES))
    list(engine.prepare_samples(main))
    assert engine.search(Query("tide"), (SAMPLES,)).encoder == main.encoder
    assert engine.search(Query("tide"), (LOCAL, SAMPLES)).parts.pages


def test_samples_that_cannot_be_read_are_not_waited_for(open_engine, settings):
    write_pdf(settings.samples / "blank.pdf", "", "tide")
    (settings.samples / "broken.pdf").write_bytes(b"%PDF-1.4 no")
    engine = open_engine()
    list(engine.prepare_samples())
    assert (engine.samples().ready, engine.samples().total, engine.samples().complete) == (3, 3, True)


def test_a_sample_that_is_no_longer_shipped_leaves_the_library(open_engine, settings):
    list(open_engine().prepare_samples())
    write_pdf(settings.samples / "tides.pdf", "another edition")
    engine = open_engine()
    list(engine.prepare_samples())
    (document,) = engine.documents(SAMPLES)
    assert (document.pages, engine.samples().complete) == (1, True)


@pytest.mark.parametrize("text", ["", "   ", "\0", "\n\t"])
def test_an_empty_query_is_refused(open_engine, text):
    with pytest.raises(QueryRefused, match="empty"):
        open_engine().search(Query(text))


def test_a_query_over_the_limit_is_refused_with_the_limit(open_engine):
    with pytest.raises(QueryRefused, match="399,999 characters; at most 20,000"):
        open_engine().search(Query("red " * 100_000))


@pytest.mark.parametrize("text", ["red \udcff star", "red\0star", "red " * 4_000, "<b>red</b>", "${red}"])
def test_strange_queries_are_answered(open_engine, tmp_path, text):
    engine = open_engine()
    add(engine, write_pdf(tmp_path / "a.pdf", "red star"))
    assert len(engine.search(Query(text)).results["smart"].hits) == 1


def test_top_is_held_within_bounds(open_engine, tmp_path):
    engine = open_engine()
    add(engine, write_pdf(tmp_path / "a.pdf", "red", "red star"))
    assert len(engine.search(Query("red"), top=-1).results["smart"].hits) == 1
    assert len(engine.search(Query("red"), top=10**9).results["smart"].hits) == 2


def test_content_only_is_a_choice_of_weights(open_engine, tmp_path):
    engine = open_engine()
    add(engine, write_pdf(tmp_path / "a.pdf", "red"))
    content = Method("content", "Content", Weights(counted=Counted.CONTENT))
    found = engine.search(Query("red star"), methods=(SMART, content))
    assert found.results["content"].hits[0].late == pytest.approx(0.5, abs=0.01)


def test_a_damaged_page_is_left_out_and_the_others_answer(open_engine, tmp_path, settings):
    add(open_engine(), write_pdf(tmp_path / "a.pdf", "red", "red star"))
    engine = open_engine()
    file = next((settings.data_dir / "tokens").rglob("*-0002.safetensors"))
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 0xFF
    file.write_bytes(bytes(raw))
    assert pages_of(engine.search(Query("red")).results["smart"]) == [("a.pdf", 1)]
    assert engine.library.report.damaged


@pytest.fixture
def quick_turns():
    """Make threads switch fifty times as often: more interleavings, and no thread waits long for a busy one."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(before / 50)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_turns")
def test_searching_while_adding_and_removing_never_shows_a_half_page(open_engine, tmp_path):
    engine, errors = open_engine(), []
    paths = [write_pdf(tmp_path / f"{n}.pdf", *[f"red w{n} x{p}" for p in range(4)]) for n in range(3)]
    done = threading.Event()

    def ask():
        while not done.is_set():
            try:
                for hit in engine.search(Query("red x1"), top=50).results["smart"].hits:
                    assert hit.late == hit.late
            except (AssertionError, LibraryError) as error:
                errors.append(error)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    for path in paths:
        add(engine, path)
        for document in engine.documents(LOCAL)[:1]:
            engine.delete_document(LOCAL, document.file)
    done.set()
    for thread in asking:
        thread.join()
    assert errors == []
