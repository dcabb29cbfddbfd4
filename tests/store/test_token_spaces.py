"""Pages with token states in several spaces: on disk, in memory, in a snapshot, in a search, and what they cost."""

from dataclasses import replace

import numpy as np
import pytest

from smart_demo import scoring
from smart_demo.errors import LibraryError
from smart_demo.methods import SMART, TRAINED, Method, Weights
from smart_demo.search.costs import token_states_bytes
from smart_demo.store import prepared_page, snapshot, token_file
from smart_demo.types import LOCAL, Encoder, PageTokens, Query, QueryEncoding, TokenGrid, TokenKind, TokenSpace
from tests.scoring.cases import unit
from tests.store.cases import ENCODER, POOLED, WIDTH, made, open_library, token_files

TRAINED_WIDTH = 5
EPSILON = {"float32": 0.0, "float16": 2.0**-10, "int8": 0.02}


def made_with_spaces(file: int, number: int = 1, encoder: str = ENCODER):
    """Return (page, encoding) with more, narrower tokens in the trained space, in another order of kinds."""
    page, encoding = made(file, number, encoder)
    rng, count = np.random.default_rng([file, number, 7]), len(encoding.tokens) + 3
    kinds = np.full(count, TokenKind.PATCH, np.uint8)
    kinds[:2] = TokenKind.TEMPLATE
    place = TokenGrid(2, 1, count - 2) if isinstance(encoding.place, TokenGrid) else encoding.place
    if not isinstance(place, TokenGrid):
        place = replace(place, boxes=np.concatenate([np.full((3, 4), np.nan, np.float32), place.boxes]))
    trained = PageTokens(unit(rng, count, TRAINED_WIDTH), kinds, place)
    return page, replace(encoding, spaces={TokenSpace.TRAINED: trained})


def query_of(pooled, tokens):
    kinds = np.full(len(tokens), TokenKind.CONTENT, np.uint8)
    return QueryEncoding(Query("tide"), ENCODER, pooled, tokens, kinds, ("tide",) * len(tokens))


def same(encoding, other, epsilon):
    for space in (TokenSpace.RAW, TokenSpace.TRAINED):
        ours, theirs = encoding.in_space(space), other.in_space(space)
        assert np.abs(ours.tokens - theirs.tokens).max() <= epsilon
        assert np.array_equal(ours.kinds, theirs.kinds)
        if isinstance(ours.place, TokenGrid):
            assert ours.place == theirs.place
        else:
            assert np.allclose(ours.place.boxes, theirs.place.boxes, atol=2.0**-16, equal_nan=True)


@pytest.mark.parametrize("file", [2, 3], ids=["boxes", "grid"])
@pytest.mark.parametrize("codec", EPSILON)
def test_every_space_comes_back_from_the_file(tmp_path, file, codec):
    page, encoding = made_with_spaces(file)
    prepared = prepared_page.prepare_page(LOCAL, page, encoding, codec)
    path = tmp_path / f"{page.id}.safetensors"
    path.write_bytes(prepared.tokens)
    head, pooled = token_file.read_header(path)
    assert head.page.space_tokens == prepared.page.space_tokens == ((TokenSpace.TRAINED, 9),)
    assert np.array_equal(pooled, encoding.pooled)
    bodies = {space: token_file.read_body(path, head, verified=False, space=space) for space in list(TokenSpace)[:2]}
    found = {space: PageTokens(body.codes.states(), body.kinds, body.place) for space, body in bodies.items()}
    raw = found.pop(TokenSpace.RAW)
    same(replace(encoding, tokens=raw.tokens, kinds=raw.kinds, place=raw.place, spaces=found), encoding, EPSILON[codec])
    for name in ("codes", "trained.codes"):  # multiplied in place
        assert (head.start + head.layout.spans()[name][0]) % 64 == 0
    with pytest.raises(KeyError):
        token_file.read_body(path, head, verified=False, space=TokenSpace.ADAPTER)


def test_a_library_gives_every_space_from_the_disk_from_memory_and_from_a_snapshot(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "MIN_SNAPSHOT_PAGES", 3)
    files = (2, 3, 4, 5)
    encodings = {}
    for memory in (0, 2**20):
        with open_library(tmp_path, codec="float32", cache_bytes=memory) as library:
            for file in files:
                page, encodings[page.id] = made_with_spaces(file)
                library.add(LOCAL, page, encodings[page.id])
            for _ in range(2):  # the second time from maps or from memory
                for stored in library.pages([LOCAL], ENCODER):
                    same(library.encoding(stored), encodings[stored.id], 0.0)
            library.start_background_tasks()
    with open_library(tmp_path, codec="float32") as library:
        assert [page.space_tokens for page in library.pages([LOCAL], ENCODER)] == [((TokenSpace.TRAINED, 9),)] * 4
        for stored in library.pages([LOCAL], ENCODER):
            same(library.encoding(stored), encodings[stored.id], 0.0)
            library.delete_document(LOCAL, stored.id.file)
            with pytest.raises(LibraryError):  # in no space is anything left
                library.tokens(stored, TokenSpace.TRAINED)


def test_a_change_to_any_space_is_found(tmp_path):
    with open_library(tmp_path) as library:
        library.add(LOCAL, *made_with_spaces(3))
    (path,) = token_files(tmp_path)
    head, _ = token_file.read_header(path)
    data = bytearray(path.read_bytes())
    data[head.start + head.layout.spans()["trained.codes"][0]] ^= 1
    path.write_bytes(data)
    with open_library(tmp_path) as library:
        (stored,) = library.pages([LOCAL], ENCODER)
        with pytest.raises(LibraryError):
            library.tokens(stored)
        assert not library.pages([LOCAL], ENCODER)


def test_a_method_scores_in_its_space():
    rng = np.random.default_rng(5)
    page_tokens = {number: unit(rng, 4, TRAINED_WIDTH) for number in (1, 2, 3)}
    raw, trained = unit(rng, 2, WIDTH), unit(rng, 3, TRAINED_WIDTH)
    query = query_of(unit(rng, POOLED), raw)
    query = replace(query, spaces={TokenSpace.TRAINED: query_of(query.pooled, trained)})
    pages = [prepared_page.prepare_page(LOCAL, *made(1, number), "float32").page for number in (1, 2, 3)]
    cosines = np.array([0.5, 0.1, 0.3], np.float32)

    def tokens(page, space):
        states = page_tokens[page.number] if space is TokenSpace.TRAINED else unit(rng, 5, WIDTH)
        return token_file.encode(states, "float32")

    parts = scoring.compute_parts(query, pages, cosines, np.arange(3), tokens, {TokenSpace.TRAINED})
    slow = [np.mean([max(q @ t for t in page_tokens[number]) for q in trained]) for number in (1, 2, 3)]
    mixed = Method("mixed", "", Weights(1.0, 2.0, space=TokenSpace.TRAINED))
    for method, scores in ((TRAINED, slow), (mixed, cosines + 2 * np.array(slow))):
        hits = scoring.rank(parts, method, 3).hits
        assert [hit.page.number for hit in hits] == (np.argsort(-np.array(scores)) + 1).tolist()
        assert [hit.score for hit in hits] == pytest.approx(sorted(scores, reverse=True))
    assert scoring.late_scores(parts, SMART.weights) == pytest.approx(parts.maxima.mean(axis=1))
    with pytest.raises(KeyError):
        scoring.rank(replace(parts, spaces={}), TRAINED, 3)


def test_costs_of_a_space_are_the_bytes_of_its_tensors():
    encoder = Encoder(
        "tiny", "tiny", "", "", visual_tokens=9, pooled_width=POOLED, token_width=WIDTH,
        space_widths=((TokenSpace.TRAINED, TRAINED_WIDTH),),
    )  # fmt: skip
    page, encoding = made_with_spaces(3)
    for codec in EPSILON:
        prepared = prepared_page.prepare_page(LOCAL, page, encoding, codec)
        head_bytes = len(prepared.tokens)
        alone = len(prepared_page.prepare_page(LOCAL, page, replace(encoding, spaces={}), codec).tokens)
        size = token_states_bytes(9, codec, encoder, TokenSpace.TRAINED)
        assert size <= head_bytes - alone < size + 64 * 16  # the rest is the longer header


def test_an_encoder_without_other_spaces_keeps_its_fingerprint():
    encoder = Encoder("a", "m", "r", "w", pooled_width=3, token_width=3)
    assert encoder.fingerprint == Encoder("b", "m", "other", "w", pooled_width=3, token_width=3).fingerprint
    more = replace(encoder, space_widths=((TokenSpace.TRAINED, 2),))
    assert more.fingerprint != encoder.fingerprint
    assert more.widths == {TokenSpace.RAW: 3, TokenSpace.TRAINED: 2}
