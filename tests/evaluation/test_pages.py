"""Collections of page images: their layouts, untrusted images, and a run in a temporary library."""

from dataclasses import replace

import datasets
import numpy as np
import pytest

from smart_demo.backbones import registry
from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.registry import Backbones
from smart_demo.config import Limits, Settings
from smart_demo.engine import Engine
from smart_demo.errors import InputRefused
from smart_demo.evaluation.collections import evaluate_dataset, read_dataset
from smart_demo.evaluation.pages import evaluate_pages
from smart_demo.evaluation.query_sets import CollectionOptions
from smart_demo.indexing import page_words
from smart_demo.page_text import Box, Word
from smart_demo.store.library import Library
from tests.evaluation.cases import colour, judged, picture, write_rows

LIMITS = Limits()


def pages(collection, limits=LIMITS):
    """By the collection's own names: the colour of a page, or why it has none."""
    return {
        collection.names[page]: str(found) if isinstance(found, InputRefused) else tuple(map(int, found[0, 0]))
        for page, found in collection.images(limits)
    }


def judged_by_text(collection):
    grades = judged(collection)
    return {one.query: grades[one.qid] for one in collection.judgements}


def rows_of_pages(folder, *rows):
    """Write the first edition's table, in two shards."""
    made = [
        {
            "query": query,
            "image": picture(data),
            "image_filename": file,
            "answer": None,
            "page": "7",
            "questionId": None,
        }
        for query, file, data in rows
    ]
    for shard in range(2):
        write_rows(folder / "data" / f"test-0000{shard}-of-00002.parquet", made[shard::2])
    return folder


def test_the_first_edition_is_one_table(tmp_path, monkeypatch):
    folder = rows_of_pages(
        tmp_path,
        ("what is red", "images/1.png", colour(200)),
        (None, "images/2.png", colour(100)),
        ("what is dark", "images/1.png", colour(200)),
        ("what is red", "images/3.png", colour(50)),
    )
    asked, load = [], datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **more: asked.append(more["columns"]) or load(*a, **more))
    collection = read_dataset(str(folder), CollectionOptions())
    assert not any("image" in columns for columns in asked if columns)  # pictures are read page by page
    assert judged_by_text(collection) == {
        "what is red": {"images/1.png": 1, "images/3.png": 1},
        "what is dark": {"images/1.png": 1},
    }
    assert [one.qid for one in collection.judgements] == ["q1", "q2"]
    assert collection.count == 3
    assert pages(collection) == {"images/1.png": (200, 0, 0), "images/2.png": (100, 0, 0), "images/3.png": (50, 0, 0)}
    assert collection.notices == (
        "Rows that repeat a query: 1; the query is run once, and the pages of all its rows answer it.",
    )


@pytest.mark.parametrize(("document", "query"), [("corpus-id", "query-id"), ("corpus_id", "query_id")])
def test_later_editions_have_three_parts(tmp_path, document, query):
    corpus = [{document: n, "image": picture(colour(n)), "doc_id": "same", "markdown": "text"} for n in (7, 3, 9)]
    queries = [
        {query: 0, "query": "seven", "language": "english", "answer": "x"},
        {query: 1, "query": "sept", "language": "french", "answer": "x"},
    ]
    qrels = [{query: q, document: d, "score": s, "bounding_boxes": []} for q, d, s in [(0, 7, 2), (0, 3, 1), (1, 9, 1)]]
    for part, rows in (("corpus", corpus), ("queries", queries), ("qrels", qrels)):
        write_rows(tmp_path / part / "test-00000-of-00001.parquet", rows)
    collection = read_dataset(str(tmp_path), CollectionOptions(language="english"))
    assert judged_by_text(collection) == {"seven": {"7": 2, "3": 1}}
    assert list(pages(collection).items()) == [("7", (7, 0, 0)), ("3", (3, 0, 0)), ("9", (9, 0, 0))]
    both = read_dataset(str(tmp_path), CollectionOptions())
    assert [one.kind for one in both.judgements] == ["english", "french"]


@pytest.mark.parametrize(("suffix", "below"), [(".csv", ""), (".jsonl", "corpus/"), (".tsv", "")])
def test_exported_folders_name_their_pictures(tmp_path, suffix, below):
    """Search an image beside the table, then below the collection's folder; without ids its name is the id."""
    names = ["a.png", "b c.png"]
    for n, name in enumerate(names):
        (tmp_path / "corpus").mkdir(exist_ok=True)
        (tmp_path / "corpus" / name).write_bytes(colour(n))
    tables = {
        f"corpus/corpus{suffix}": [{"image_filename": below + name} for name in names],
        f"queries{suffix}": [{"query-id": "1", "query": "one"}],
        f"qrels{suffix}": [{"query-id": "1", "corpus-id": below + names[1], "score": "1"}],
    }
    for path, rows in tables.items():
        write_rows(tmp_path / path, rows)
    collection = read_dataset(str(tmp_path), CollectionOptions())
    assert judged_by_text(collection) == {"one": {below + "b c.png": 1}}
    assert pages(collection) == {below + "a.png": (0, 0, 0), below + "b c.png": (1, 0, 0)}


def exported(folder, *files):
    """Write one exported table with the names of its images."""
    write_rows(folder / "metadata.jsonl", [{"file_name": file, "query": f"query {n}"} for n, file in enumerate(files)])
    return str(folder)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("../secret.png", "is not inside the collection"),
        ("deep/../../secret.png", "is not inside the collection"),
        ("{outside}/secret.png", "is not inside the collection"),
        ("..\\secret.png", "is not inside the collection"),
        ("good.png\n", "is not inside the collection"),
        ("good.png\0", "is not inside the collection"),
        ("link.png", "is a link that leads out of the collection"),
        ("linked/secret.png", "is a link that leads out of the collection"),
        ("loop.png", "is not there"),
        ("folder.png", "is not there"),
        ("gone.png", "is not there"),
        ("", "there is no picture"),
    ],
)
def test_names_outside_the_collection_are_refused_with_their_line(tmp_path, file, said):
    folder, outside = tmp_path / "set", tmp_path / "outside"
    (folder / "folder.png").mkdir(parents=True)
    outside.mkdir()
    for path in (folder / "good.png", outside / "secret.png", tmp_path / "secret.png"):
        path.write_bytes(colour(1))
    (folder / "link.png").symlink_to(outside / "secret.png")
    (folder / "linked").symlink_to(outside)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    with pytest.raises(InputRefused) as caught:
        read_dataset(exported(folder, "good.png", file.replace("{outside}", str(outside))), CollectionOptions())
    assert said in caught.value.sentence
    assert caught.value.sentence.startswith("metadata.jsonl, line 2: ")


def test_images_that_cannot_be_decoded_are_reported_one_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.Image, "decode_example", None)  # only the decoding process opens a picture
    noise = np.random.default_rng(1).bytes(500)
    collection = read_dataset(
        str(
            rows_of_pages(
                tmp_path,
                ("a", "good.png", colour(9)),
                ("b", "torn.png", colour(9)[:45]),
                ("c", "noise.png", noise),
                ("d", "missing.png", None),
                ("e", "large.png", colour(9, size=(60, 50))),
                ("f", "script.svg", b"<svg onload=alert(1)>"),
            )
        ),
        CollectionOptions(),
    )
    found = pages(collection, Limits(pixels=2_000))
    assert found["good.png"] == (9, 0, 0)
    assert "damaged" in found["torn.png"]
    assert "is not a picture" in found["noise.png"]
    assert "has no picture of missing.png" in found["missing.png"]
    assert "the limit is 0 megapixels" in found["large.png"]
    assert "is not a picture" in found["script.svg"]


def test_slips_in_tables_of_pages_are_refused_by_their_row(tmp_path):
    twice = [{"corpus-id": 1, "image": picture(colour(1))}] * 2
    write_rows(tmp_path / "corpus" / "test-0.parquet", twice)
    write_rows(tmp_path / "queries" / "test-0.parquet", [{"query-id": 1, "query": "one"}])
    write_rows(tmp_path / "qrels" / "test-0.parquet", [{"query-id": 1, "corpus-id": 1, "score": 1}])
    with pytest.raises(InputRefused, match=r'corpus/test-0\.parquet, row 2: the page "1" appears twice'):
        read_dataset(str(tmp_path), CollectionOptions())
    nameless = [{"query": "one", "image": picture(colour(1)), "image_filename": None}]
    write_rows(tmp_path / "first" / "data" / "test-00000-of-00001.parquet", nameless)
    with pytest.raises(InputRefused, match=r"row 1: there is no page id"):
        read_dataset(str(tmp_path / "first"), CollectionOptions())
    write_rows(tmp_path / "first" / "data" / "test-00000-of-00001.parquet", [])
    with pytest.raises(InputRefused):
        read_dataset(str(tmp_path / "first"), CollectionOptions())


class ColourBackbone(WordBackbone):
    """Maps a page's colour to its words instead of OCR, which takes a minute on a busy machine."""

    TEXTS = ("", "tide table of the old harbour", "torque of the flange bolts")

    def encode_pages(self, pages):
        assert all(page.words == () and page.pages == page.number == 1 for page in pages)
        texts = [self.TEXTS[page.pixels[0, 0, 0]] for page in pages]
        box = Box(0, 0, 1, 1)
        return super().encode_pages(
            [
                replace(page, words=tuple(Word(word, box) for word in text.split()))
                for page, text in zip(pages, texts, strict=True)
            ]
        )


def open_with_colours(settings):
    choice = registry.BackboneChoice("colours", "A test asks for it.", explicit=True)
    library = Library.open(settings.data_dir, settings.index_dir, settings.codec)
    return Engine(library, Backbones(choice, lambda _: ColourBackbone(), fall_back=False), settings)


def test_images_are_ranked_as_pages_and_no_file_remains(tmp_path, scratch):
    """The blank page is refused and the torn one cannot be decoded; q2 asks for the first and is answered by none."""
    folder, own = tmp_path / "harbour", tmp_path / "own"
    folder.mkdir()
    for number, name in enumerate(["blank.png", "tides.png", "bolts.png"]):
        (folder / name).write_bytes(colour(number))
    (folder / "torn.png").write_bytes(colour(1)[:45])
    rows = [
        {"image": "tides.png", "query": "tide table of the harbour"},
        {"image": "blank.png", "query": "an empty page"},
        {"image": "bolts.png", "query": "torque of bolts"},
        {"image": "torn.png", "query": ""},
    ]
    write_rows(folder / "metadata.csv", rows)
    told, settings, runs = [], Settings(data_dir=own, index_dir=own, exhaustive=0, candidates=1), tmp_path / "runs"
    collection = read_dataset(str(folder), CollectionOptions())
    report = evaluate_pages(settings, collection, told.append, runs, open_with_colours).as_json()
    assert (report["collection"], report["pages"], report["queries"]) == ("harbour", 2, 3)
    for method in ("pooled", "late", "smart"):
        assert report["methods"][method]["mrr@10"] == pytest.approx(2 / 3)
    first, second = report["notices"]
    assert first.startswith("2 of 4 pages could not be encoded and count as never found. ")
    assert "blank.png" in first
    assert "torn.png is damaged" in first
    assert second == "Queries answered by pages that could not be encoded: q2."
    assert told[0] == "Encoding 4 page images by words, which reads their words by OCR: about 1 minute on two cores."
    assert told[-1] == "Ran 3 of 3 queries."
    assert (runs / "smart.run").read_text().startswith("q1 Q0 tides.png 1 ")
    assert "q2 0 blank.png 1" in (runs / "qrels.txt").read_text().splitlines()
    assert list(scratch.iterdir()) == []
    assert not own.exists()


def test_pages_are_read_in_batches_and_what_was_read_badly_is_counted(tmp_path, monkeypatch):
    batches = []

    def noticing(pages, *, use_ocr):
        batches.append(len(pages))
        return [replace(page, notices=("It is blurred.",) if page.pixels[0, 0, 0] == 1 else ()) for page in pages]

    monkeypatch.setattr(page_words, "read_pages", noticing)
    folder, own = tmp_path / "harbour", tmp_path / "own"
    folder.mkdir()
    for number, name in enumerate([1, 2, 1, 2, 1]):
        (folder / f"{number}.png").write_bytes(colour(name))
    write_rows(folder / "metadata.csv", [{"image": f"{n}.png", "query": "tide table"} for n in range(5)])
    collection = read_dataset(str(folder), CollectionOptions())
    report = evaluate_pages(Settings(data_dir=own, index_dir=own), collection, open_library=open_with_colours)
    assert batches == [4, 1]
    assert "3 of 5 pages: It is blurred." in report.as_json()["notices"]


def test_a_collection_with_no_readable_page_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(colour(1))
    with pytest.raises(InputRefused, match="None of the pages could be encoded") as caught:
        evaluate_dataset(Settings(backbone="words"), exported(tmp_path, "a.png"), CollectionOptions())
    assert "no words" in caught.value.hint
