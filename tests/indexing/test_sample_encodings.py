"""Encodings files of the samples: the shipped one is up to date and equal to encoding, and no damaged one is used."""

import hashlib
import json
import shutil
from dataclasses import replace

import huggingface_hub
import numpy as np
import pytest

from smart_demo import cli
from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.minilm import WEIGHTS, describe_encoder
from smart_demo.config import SAMPLE_DOCUMENTS, SHIPPED_ENCODINGS, Settings
from smart_demo.errors import LibraryError
from smart_demo.indexing.progress import State
from smart_demo.indexing.samples import SampleDocuments
from smart_demo.page_text import Box
from smart_demo.server.picture_addresses import PagePicture, PictureAddresses, PictureKind
from smart_demo.store.encodings_file import EncodingsFile, write_encodings
from smart_demo.store.library import Library
from smart_demo.store.page_files import PageFiles
from smart_demo.store.prepared_page import encode_pictures, prepare_encoded, read_encoded_page
from smart_demo.types import SAMPLES, Query, TokenSpace
from tests.apps import Counting, open_words, settings_below
from tests.broken_disk import dies_after
from tests.documents import write_pdf
from tests.hub_server import COMMIT, serve_hub
from tests.indexing.test_samples import PAGES

MINILM = describe_encoder(WEIGHTS)
WORDS = WordBackbone().encoder
AGAIN = "run `make sample-encodings`"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the settings of two documents, and the bytes of the encodings file that the command wrote of them."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "samples").mkdir()
    write_pdf(folder / "samples" / "tides.pdf", "tide table harbour", "tide gauge")
    write_pdf(folder / "samples" / "winds.pdf", "wind rose")
    settings, path = settings_below(folder, backbone="words"), folder / "three.encodings"
    env = {"SMART_SAMPLE_DOCS": str(settings.samples), "SMART_DATA_DIR": str(settings.data_dir)}
    assert cli.main(["samples", "--backbone", "words", "--out", str(path)], env) == 0
    return settings, path.read_bytes()


@pytest.fixture
def settings(made, tmp_path):
    """Return settings over a copy of the documents."""
    shutil.copytree(made[0].samples, tmp_path / "samples")
    return settings_below(tmp_path, backbone="words")


@pytest.fixture
def exported(made, tmp_path):
    """Return an encodings file of the three pages by the backbone that counts words."""
    path = tmp_path / "three.encodings"
    path.write_bytes(made[1])
    return path


@pytest.fixture(scope="module")
def empty_library(tmp_path_factory):
    """Return a library that no refused file adds a page to."""
    folder = tmp_path_factory.mktemp("empty")
    with Library.open(folder / "data", folder / "index") as library:
        yield library
        assert library.totals(SAMPLES) == (0, 0)


def refusals(settings, library, encodings, encoder=WORDS):
    """Return the notices about a file or folder, no page of which is taken."""
    notices = []
    documents = SampleDocuments(replace(settings, sample_encodings=str(encodings)))
    assert list(documents.import_encodings(library, encoder, notices)) == []
    return notices


def open_fresh(settings, encodings, name="fresh", bundled=None):
    """Return an engine over an empty data folder that may take encodings from a file, a folder or a dataset."""
    folder = settings.samples.parent / name
    fresh = replace(settings, data_dir=folder, index_dir=folder / "index", sample_encodings=str(encodings))
    return open_words(fresh, Counting(WordBackbone()), bundled)


def prepare(engine):
    """Prepare the samples; return how many of their pages were encoded, and the notices."""
    ends = [step for step in engine.prepare_samples(engine.backbones.main()) if step.state is not State.WORKING]
    assert {step.state for step in ends} == {State.DONE}
    assert (engine.samples().ready, engine.samples().total) == (3, 3)
    return engine.backbones.main().pages, engine.sample_notices


# -- the shipped file


def test_the_shipped_file_has_every_page_of_the_samples_by_the_encoder_of_today():
    file = EncodingsFile.open(SHIPPED_ENCODINGS)
    assert file.encoder == MINILM.fingerprint, AGAIN
    expected = {
        (hashlib.sha256((SAMPLE_DOCUMENTS / name).read_bytes()).hexdigest()[:16], number)
        for name, pages in PAGES.items()
        for number in range(1, pages + 1)
    }
    assert {(page.file, page.number) for page in file.pages} == expected, AGAIN
    assert file.codec == Settings().codec
    assert SHIPPED_ENCODINGS.stat().st_size <= 9_000_000
    file.verify()


def test_taking_the_shipped_pages_equals_encoding_them(sample_engine, tmp_path):
    """All that is read of a page; states may differ by the arithmetic of a processor."""
    documents, notices = SampleDocuments(Settings()), []
    with Library.open(tmp_path / "data", tmp_path / "index") as library:
        list(documents.import_encodings(library, MINILM, notices))
        taken = library.pages([SAMPLES], MINILM.fingerprint)
        encoded = sample_engine.library.pages([SAMPLES], MINILM.fingerprint)
        assert notices == []
        assert [page.key for page in taken] == [page.key for page in encoded]
        for own, real in zip(taken, encoded, strict=True):
            same = ("document", "pages", "width", "height", "tokens", "codec", "source", "few_known_words")
            assert [getattr(own, name) for name in same] == [getattr(real, name) for name in same], AGAIN
            assert library.page_words(own) == sample_engine.library.page_words(real), AGAIN
            ours, theirs = library.encoding(own), sample_engine.library.encoding(real)
            np.testing.assert_array_equal(ours.kinds, theirs.kinds, AGAIN)
            np.testing.assert_array_equal(ours.place.boxes, theirs.place.boxes, AGAIN)
            np.testing.assert_allclose(ours.pooled, theirs.pooled, atol=1e-4, err_msg=AGAIN)
            step = sample_engine.library.tokens(real).scale
            np.testing.assert_allclose(ours.tokens, theirs.tokens, atol=2 * step, err_msg=AGAIN)
        for number in (0, -1):
            drawn = documents.draw(library, taken[number])
            assert library.picture(drawn) == sample_engine.library.picture(encoded[number])
            assert library.thumbnail(drawn) == sample_engine.library.thumbnail(encoded[number])
            assert drawn.bytes == pytest.approx(encoded[number].bytes, rel=0.01)


# -- files of the setting


def test_a_file_written_by_the_command_is_taken_instead_of_encoding(settings, exported, monkeypatch):
    """As a file, as a folder, and as a dataset on the hub with its commit."""
    folder = exported.parent / "folder"
    folder.mkdir()
    exported.rename(folder / exported.name)
    with serve_hub({"me/samples": folder}) as (address, _):
        constants = huggingface_hub.constants
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        places = (folder / exported.name, folder, f"me/samples@{COMMIT}")
        for number, place in enumerate(places):
            with open_fresh(settings, place, f"fresh-{number}") as engine:
                assert prepare(engine) == (0, [])
                found = engine.search(Query("wind"), (SAMPLES,)).results["smart"].hits
                assert found[0].page.document == "winds.pdf"


def test_pictures_are_drawn_when_they_are_first_requested_at_an_address_that_stays(settings, exported):
    with open_fresh(settings, exported) as engine:
        prepare(engine)
        addresses, documents = PictureAddresses(engine), engine.sample_documents
        page, other, _ = engine.library.pages([SAMPLES], engine.backbones.main().encoder.fingerprint)
        before = addresses.thumbnail(page)
        thumbnail = PagePicture(page, PictureKind.THUMBNAIL)
        assert not addresses.is_quick(thumbnail)  # readers of pictures that are there do not wait for it
        assert addresses.read(thumbnail)[8:12] == b"WEBP"
        assert addresses.is_quick(thumbnail)
        assert len(documents.undrawn(engine.library, page.encoder)) == 2
        drawn = engine.with_pictures(page)
        assert addresses.thumbnail(drawn) == before
        assert addresses.read(thumbnail) == engine.library.thumbnail(drawn)
        assert addresses.read_crop(other, Box(0.1, 0.1, 0.9, 0.4), 100)[8:12] == b"WEBP"
    with open_fresh(settings, exported) as engine:  # a restart before the last picture was drawn
        assert [step.state for step in engine.prepare_samples(engine.backbones.main())] == [State.KNOWN] * 2
        assert list(engine.draw_samples()) == []
        for stored in engine.library.pages([SAMPLES], page.encoder):
            assert engine.library.picture(stored)[8:12] == b"WEBP"
        assert engine.backbones.main().pages == 0


def test_the_chosen_backbone_takes_its_file_once_it_is_loaded(settings, exported):
    """Until then the bundled one serves the samples."""
    with open_fresh(settings, exported, bundled=WordBackbone(width=64)) as engine:
        list(engine.prepare_samples())
        assert (engine.samples().encoder, engine.sample_notices) == ("words", [])
        assert engine.backbone(SAMPLES) is engine.backbones.bundled()
        list(engine.import_samples())
        assert engine.backbone(SAMPLES) is engine.backbones.main()
        assert engine.backbones.main().pages == 0


def test_a_changed_and_an_added_document_are_encoded(settings, exported):
    write_pdf(settings.samples / "winds.pdf", "another wind rose")
    with open_fresh(settings, exported) as engine:
        pages, notices = prepare(engine)
        assert pages == 1
        assert notices == ["three.encodings has 1 page of other documents, which are left out."]


def test_a_page_that_cannot_be_drawn_as_it_was_encoded_is_encoded_here(settings, exported):
    file = EncodingsFile.open(exported)
    own = [file.read(page, WORDS) for page in file.pages]
    wide = [replace(one, page=replace(one.page, width=one.page.width + 50)) for one in own]
    write_encodings(exported, WORDS, "int8", wide)
    with open_fresh(settings, exported) as engine:
        prepare(engine)
        assert [step.state for step in engine.draw_samples() if step.state is not State.WORKING] == [State.DONE] * 2
        assert engine.backbones.main().pages == 3
        assert "was encoded in another size" in engine.sample_notices[0]


# -- files that are not used


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "is cut off"),
        (lambda data: data[:100], "is damaged"),
        (lambda data: b"", "is not a file of encodings"),
        (lambda data: b"\x80\x04" + data, "is not a file of encodings"),
        (lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], "its seal does not fit"),
        (lambda data: data.replace(b'"int8"', b'"int9"'), "stored as int9"),
        (lambda data: data.replace(b'"pages":[', b'"pages":[9,', 1), "is damaged"),
    ],
)
def test_a_damaged_file_is_named_and_nothing_of_it_is_taken(settings, exported, empty_library, damage, message):
    exported.write_bytes(damage(exported.read_bytes()))
    notices = refusals(settings, empty_library, exported)
    assert [message in notice and exported.name in notice for notice in notices] == [True]


def test_with_a_damaged_file_every_page_is_encoded_and_doctor_names_it(settings, exported):
    exported.write_bytes(exported.read_bytes()[:-1])
    with open_fresh(settings, exported) as engine:
        pages, notices = prepare(engine)
        assert (pages, len(notices)) == (3, 1)
        assert any("three.encodings is cut off" in line for line in engine.sample_documents.describe_encodings(WORDS))


def nan_pooled(one):
    return replace(one, pooled=np.full_like(one.pooled, np.nan))


def with_body(one, **changes):
    return replace(one, bodies={TokenSpace.RAW: one.bodies[TokenSpace.RAW]._replace(**changes)})


@pytest.mark.parametrize(
    "alter",
    [
        nan_pooled,
        lambda one: replace(one, pooled=one.pooled[:4]),
        lambda one: with_body(one, kinds=one.bodies[TokenSpace.RAW].kinds + 90),
        lambda one: with_body(
            one, codes=replace(one.bodies[TokenSpace.RAW].codes, scale=1e9, mean=one.pooled * np.float32(7))
        ),
        lambda one: replace(one, page=replace(one.page, source=None), words=None),
        lambda one: replace(one, page=replace(one.page, encoder="ab" * 8)),
        lambda one: replace(one, page=replace(one.page, pages=9)),
        lambda one: replace(one, page=replace(one.page, width=0)),
    ],
)
def test_a_sealed_file_with_impossible_pages_is_refused(settings, exported, empty_library, alter):
    """Anyone can seal a file: the pages must be what the encoder would make."""
    file = EncodingsFile.open(exported)
    write_encodings(exported, WORDS, "int8", [alter(file.read(page, WORDS)) for page in file.pages])
    assert "is not valid" in refusals(settings, empty_library, exported)[0]


def test_the_file_of_another_backbone_is_refused(settings, exported, empty_library):
    (notice,) = refusals(settings, empty_library, exported, WordBackbone(width=64).encoder)
    assert "another encoder made it" in notice


@pytest.mark.parametrize("place", ["nothing.encodings", "samples"])
def test_a_place_without_a_file_is_named(settings, empty_library, place):
    (notice,) = refusals(settings, empty_library, settings.samples.parent / place)
    assert place in notice


def test_a_list_may_not_point_out_of_its_file(settings, exported):
    data = exported.read_bytes()
    head = data.index(b"{")
    length = int.from_bytes(data[head - 8 : head], "little")
    listed = json.loads(data[head : head + length])
    listed["pages"] = [[listed["pages"][0][0], 2**40]]
    text = json.dumps(listed).encode()
    body = len(text).to_bytes(8, "little") + text + data[head + length :]
    exported.write_bytes(data[: head - 8 - 65] + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    with pytest.raises(LibraryError, match="is damaged"):
        EncodingsFile.open(exported)


# -- crashes


def test_a_kill_leaves_pages_whole_or_absent_and_with_both_pictures_or_none(exported, tmp_path):
    file = EncodingsFile.open(exported)
    encoded = file.read(next(iter(file.pages)), WORDS)
    undrawn = prepare_encoded(encoded, encoded.page)
    drawn = prepare_encoded(encoded, encoded.page, encode_pictures(np.zeros((60, 40, 3), np.uint8)))
    seen = set()
    for step in range(1, 80, 2):
        files = PageFiles(tmp_path / f"killed-{step}")

        def act(files=files):
            files.commit(undrawn)
            files.replace(undrawn.page, drawn)

        if not dies_after(step, act, torn_writes=True):
            break
        found = files.scan()
        assert found.damaged == []
        pictures = [files.has_pictures(header) for header in found.headers]
        seen.add(tuple(pictures))
        for header in found.headers:
            assert read_encoded_page(files.path(header.page)).words == encoded.words
            if files.has_pictures(header):
                assert (files.picture(header), files.thumbnail(header)) == tuple(drawn.pictures)
        leftovers = [path.suffix for path in files.data_dir.rglob("*") if path.suffix in {".tmp", ".next"}]
        assert leftovers == []
    assert seen == {(), (False,), (True,)}
