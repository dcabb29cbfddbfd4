"""A folder measured in a temporary library, with a backbone whose rankings can be computed by hand."""

from dataclasses import replace
from math import log2

import pytest

from smart_demo.config import Settings
from smart_demo.errors import BackboneUnavailable, InputRefused, LibraryError, StorageFull
from smart_demo.evaluation.documents import evaluate_documents
from smart_demo.store.library import Library
from tests.documents import write_pdf
from tests.evaluation.cases import write_judged

SETTINGS = Settings(backbone="words")
UNLOADABLE = Settings(backbone="loading this would be refused")


@pytest.fixture
def harbour(tmp_path):
    documents = tmp_path / "harbour"
    documents.mkdir()
    # Asked for "tide table": the first page has both words among many, the second is nothing but one of them.
    write_pdf(documents / "tides.pdf", "tide table of the old harbour and its two long piers", "tide", "bolts")
    return documents


def test_a_folder_is_measured_and_no_file_remains(harbour, scratch, tmp_path):
    (harbour / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing follows")
    (harbour / "again.pdf").write_bytes((harbour / "tides.pdf").read_bytes())
    path = write_judged(
        harbour,
        ("q1", "tide table", [("tides.pdf", 1, 2), ("tides.pdf", 2, 1)]),
        ("q2", "bolts", [("again.pdf", 3, 1)]),  # the same file by its other name
        ("q3", "bolts", [("tides.pdf", 3, 1), ("broken.pdf", 1, 1)]),
        kinds=["plain", "exact", "exact"],
    )
    told, own = [], tmp_path / "own"
    settings = replace(SETTINGS, data_dir=own, index_dir=own)
    report = evaluate_documents(settings, harbour, path, told.append).as_json()
    # Pooled cosines: page 2 has 1/√2, page 1 has 2/(√2·√11). Late parts: page 1 has 1, page 2 has 1/2.
    by_hand = {"pooled": (1 + 2 / log2(3)) / (2 + 1 / log2(3)), "late": 1.0, "smart": 1.0}
    for method, value in by_hand.items():
        assert report["kinds"]["plain"]["methods"][method]["ndcg@5"] == pytest.approx(value)
    found_and_lost = (1.0 + 1 / (1 + 1 / log2(3))) / 2  # q2 is found first; so is q3, but not its broken page
    assert report["kinds"]["exact"]["methods"]["late"]["ndcg@10"] == pytest.approx(found_and_lost)
    assert (report["pages"], report["queries"], report["collection"]) == (3, 3, "harbour")
    assert any(notice.startswith("broken.pdf: ") for notice in report["notices"])
    assert any(n.startswith("Page 1 of broken.pdf is relevant") and "(q3)" in n for n in report["notices"])
    assert any("tides.pdf" in line for line in told)
    assert list(scratch.iterdir()) == []
    assert not own.exists()


def test_every_page_is_ranked_however_few_candidates_the_settings_allow(harbour, scratch):
    path = write_judged(harbour, ("q1", "tide table", [("tides.pdf", 3, 1)]))
    few = Settings(backbone="words", exhaustive=0, candidates=1)
    report = evaluate_documents(few, harbour, path).as_json()
    assert report["methods"]["late"]["recall@5"] == 1.0


def test_a_page_without_words_counts_as_never_found(harbour, scratch):
    write_pdf(harbour / "blank.pdf", "cover", "")
    path = write_judged(harbour, ("q1", "cover", [("blank.pdf", 1, 1), ("blank.pdf", 2, 1)]))
    report = evaluate_documents(SETTINGS, harbour, path).as_json()
    assert report["methods"]["smart"]["recall@5"] == 0.5
    assert any(notice.startswith("Page 2 of blank.pdf is relevant") for notice in report["notices"])


def test_the_library_goes_away_when_the_run_fails_too(harbour, scratch, tmp_path):
    path = write_judged(harbour, ("q1", "tide", [("tides.pdf", 1, 1)]))
    empty = tmp_path / "checkpoint"
    empty.mkdir()
    with pytest.raises(BackboneUnavailable):
        evaluate_documents(Settings(backbone=str(empty)), harbour, path)
    with pytest.raises(InputRefused, match="None of the queries"):
        evaluate_documents(SETTINGS, harbour, write_judged(harbour, ("q1", "???", [("tides.pdf", 1, 1)])))
    assert list(scratch.iterdir()) == []


def test_a_collection_with_no_indexed_page_is_refused(tmp_path, scratch):
    write_pdf(tmp_path / "blank.pdf", "")
    path = write_judged(tmp_path, ("q1", "tide", [("blank.pdf", 1, 1)]))
    with pytest.raises(InputRefused, match=r"None of the pages could be indexed") as caught:
        evaluate_documents(SETTINGS, tmp_path, path)
    assert "blank.pdf" in caught.value.hint
    assert list(scratch.iterdir()) == []


def test_a_disk_that_fills_up_ends_the_run(harbour, scratch, monkeypatch):
    def full(*_):
        raise StorageFull("There is no space left.", "Free some.")

    monkeypatch.setattr(Library, "add", full)
    write_pdf(harbour / "bolts.pdf", "bolts")
    path = write_judged(harbour, ("q1", "tide", [("tides.pdf", 1, 1)]))
    with pytest.raises(LibraryError, match="nothing was measured") as caught:
        evaluate_documents(SETTINGS, harbour, path)
    assert "no space left" in caught.value.hint
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("relevant", "said"),
    [
        (("tide.pdf", 1), 'line 2: there is no document "tide.pdf"'),
        (("tides.pdf", 4), '"tides.pdf" has no page 4; it ends at 3'),
        (("twin.pdf", 1), '2 different files named "twin.pdf"'),
    ],
)
def test_a_missing_judged_page_is_refused_before_a_model_loads(harbour, relevant, said):
    (harbour / "deeper").mkdir()
    write_pdf(harbour / "deeper" / "twin.pdf", "one")
    write_pdf(harbour / "twin.pdf", "two")
    path = write_judged(harbour, ("q0", "tide", [("tides.pdf", 1, 1)]), ("q1", "tide", [(*relevant, 1)]))
    with pytest.raises(InputRefused, match=said):
        evaluate_documents(UNLOADABLE, harbour, path)


def test_missing_folders_and_files_are_refused(harbour, tmp_path):
    path = write_judged(harbour, ("q0", "tide", [("tides.pdf", 1, 1)]))
    (tmp_path / "empty").mkdir()
    for documents, judged, said in [
        (tmp_path / "gone", path, "gone is not a folder"),
        (path, path, "queries.jsonl is not a folder"),
        (tmp_path / "empty", path, "There is no document in"),
        (harbour, tmp_path / "gone.jsonl", "gone.jsonl is not there"),
    ]:
        with pytest.raises(InputRefused, match=said):
            evaluate_documents(UNLOADABLE, documents, judged)
