"""The token file: what was written comes back, anyone can read it, and no altered byte goes unnoticed."""

import json
import os
import random
import zlib
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from smart_demo.errors import TokenFileDamaged
from smart_demo.store import prepared_page, token_file
from smart_demo.types import LOCAL, TokenBoxes
from tests.store.cases import made, unit

CODECS = ("int8", "float16", "float32")


@pytest.fixture(params=CODECS)
def codec(request):
    return request.param


@pytest.fixture(params=[1, 2], ids=["grid", "boxes"])
def written(request, codec, tmp_path):
    """(path, page, encoding) of one token file."""
    page, encoding = made(request.param, tokens=9)
    path = tmp_path / f"{page.id}.safetensors"
    path.write_bytes(prepared_page.prepare_page(LOCAL, page, encoding, codec).tokens)
    return path, page, encoding


def read(path):
    head, pooled = token_file.read_header(path)
    return head, pooled, token_file.read_body(path, head, verified=False)


def test_what_was_written_comes_back(written, codec):
    path, page, encoding = written
    head, pooled, body = read(path)
    facts = head.page
    assert (facts.scope, facts.encoder, facts.id, facts.codec) == (LOCAL, encoding.encoder, page.id, codec)
    assert (facts.document, facts.pages, facts.width, facts.height) == (page.document, page.pages, 40, 60)
    assert (facts.tokens, facts.bytes) == (9, path.stat().st_size)
    assert np.array_equal(pooled, encoding.pooled)
    assert np.array_equal(body.codes.states(), token_file.encode(encoding.tokens, codec).states())
    assert np.array_equal(body.kinds, encoding.kinds)
    if isinstance(encoding.place, TokenBoxes):
        assert np.allclose(body.place.boxes, encoding.place.boxes, atol=2.0**-17, equal_nan=True)
    else:
        assert body.place == encoding.place


def words_apart(words, others):
    """Return the largest distance of two boxes' coordinates; the words must otherwise be equal."""
    assert [(word.text, [start for start, _ in word.parts]) for word in words] == [
        (word.text, [start for start, _ in word.parts]) for word in others
    ]
    boxes = [
        [astuple(box) for word in some for box in (word.box, *(part for _, part in word.parts))]
        for some in (words, others)
    ]
    return np.abs(np.subtract(*boxes)).max(initial=0)


def test_a_page_s_words_and_their_source_come_back(written):
    path, page, _ = written
    head, _, body = read(path)
    kept = token_file.read_words(path, head, verified=False)
    assert kept.source is head.page.source is page.source
    assert words_apart(kept.words, page.words) < 2.0**-16
    assert head.size == path.stat().st_size
    assert token_file.encode(body.codes.states(), "float32").codes.shape == (9, 8)


def test_a_file_without_words_is_what_it_was_before_there_were_any(written, codec):
    """Earlier versions wrote these bytes: tests.pinned holds one of their files."""
    path, page, encoding = written
    head, _, body = read(path)
    bare = token_file.serialise(replace(head.page, source=None), encoding, body.codes, (b"", b""), page.words)
    path.write_bytes(bare)
    head, _, _ = read(path)
    assert head.page.source is None
    assert head.layout.words == 0
    assert b"source" not in bare
    assert token_file.read_words(path, head, verified=False) is None


def resealed(content: bytes, start: int, words: bytes) -> bytes:
    """Return a token file with other bytes in place of its words, and digests that fit them."""
    content = content[: len(content) - len(words)] + words
    end = 8 + int.from_bytes(content[:8], "little")
    facts = json.loads(content[8:end])["__metadata__"]
    header = content[:end].replace(facts["rest_digest"].encode(), token_file.digest(content[start:]).encode())
    blank = header.replace(facts["seal"].encode(), b"0" * 32)
    return blank.replace(b"0" * 32, token_file.digest(blank).encode(), 1) + content[end:]


@pytest.mark.parametrize("words", [b"", zlib.compress(b"[]"), zlib.compress(b"{}"), zlib.compress(bytes(10**6))])
def test_sealed_bytes_that_are_no_words_are_damage_and_no_crash(tmp_path, words):
    page, encoding = made(2)
    path = tmp_path / f"{page.id}.safetensors"
    whole = prepared_page.prepare_page(LOCAL, page, encoding, "int8").tokens
    path.write_bytes(whole)
    head, _ = token_file.read_header(path)
    size = head.layout.words
    path.write_bytes(resealed(whole, head.start + 4 * head.layout.pooled, words[:size].ljust(size, b"x")))
    head, _, _ = read(path)
    with pytest.raises(TokenFileDamaged, match="words of an unknown form"):
        token_file.read_words(path, head, verified=True)


def test_a_page_of_few_known_words_stays_marked(written, codec):
    path, page, encoding = written
    assert not read(path)[0].page.few_known_words  # as in every file of earlier versions
    assert b"few_known_words" not in path.read_bytes()
    few = replace(encoding, few_known_words=True)
    path.write_bytes(prepared_page.prepare_page(LOCAL, page, few, codec).tokens)
    assert read(path)[0].page.few_known_words


def test_what_a_page_took_is_kept_where_it_was_measured(written, codec):
    path, page, encoding = written
    plain = path.read_bytes()
    assert read(path)[0].page.seconds == 0.0  # as in every file of earlier versions
    with safe_open(path, "numpy") as file:
        assert "seconds" not in file.metadata()
    path.write_bytes(prepared_page.prepare_page(LOCAL, page, encoding, codec, 0.1 + 0.2).tokens)
    head, pooled, body = read(path)
    assert head.page.seconds == 0.1 + 0.2
    assert np.array_equal(pooled, encoding.pooled)
    assert np.array_equal(body.kinds, encoding.kinds)
    assert path.read_bytes()[-64:] == plain[-64:]


def test_any_safetensors_reader_can_open_it(written):
    path, _, encoding = written
    with safe_open(path, "numpy") as file:
        assert np.array_equal(file.get_tensor("pooled"), encoding.pooled)
        assert file.get_tensor("codes").shape == encoding.tokens.shape
        assert file.metadata()["format"] == token_file.FORMAT


def test_token_states_are_mapped_where_a_product_can_use_them(written):
    head, _, body = read(written[0])
    assert not body.codes.codes.flags.owndata
    assert (head.start + head.layout.spans()["codes"][0]) % 64 == 0
    body.codes.codes[0, 0] = 1  # copy-on-write: torch takes it without a warning, the file does not change
    read(written[0])


def alter(content: bytes, rng: random.Random) -> bytes:
    """One random fault of a disk: bits flipped, a block zeroed, the end cut off or rubbish behind it."""
    at = rng.choice([rng.randrange(len(content)), rng.randrange(min(1200, len(content))), rng.randrange(8)])
    kind = rng.choice(["flip", "flip", "zero", "cut", "longer"])
    if kind == "flip":
        return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
    if kind == "zero":
        end = min(len(content), at + rng.choice([16, 512, 4096]))
        return content[:at] + bytes(end - at) + content[end:]
    return content[:at] if kind == "cut" else content + rng.randbytes(rng.randrange(1, 99))


def test_no_altered_byte_goes_unnoticed(written):
    path = written[0]
    whole, rng = path.read_bytes(), random.Random(7)
    tried = 0
    while tried < 60:  # times six forms of file
        altered = alter(whole, rng)
        if altered == whole:  # zeros over zeros
            continue
        tried += 1
        path.write_bytes(altered)
        with pytest.raises(TokenFileDamaged, match=path.stem):
            read(path)
        with pytest.raises(TokenFileDamaged, match=path.stem):
            token_file.read_words(path, token_file.read_header(path)[0], verified=False)


def test_every_single_byte_of_the_words_counts(written):
    path = written[0]
    whole, head = path.read_bytes(), read(path)[0]
    start, end = (head.start + at for at in head.layout.spans()["words"])
    assert end == len(whole)
    with path.open("r+b", buffering=0) as file:
        for at in range(start, end):
            os.pwrite(file.fileno(), bytes([whole[at] ^ 1]), at)
            with pytest.raises(TokenFileDamaged):
                token_file.read_words(path, head, verified=False)
            os.pwrite(file.fileno(), whole[at : at + 1], at)
    token_file.read_words(path, head, verified=False)


def test_every_single_byte_of_the_header_counts(written):
    path = written[0]
    whole = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for at in range(8 + int.from_bytes(whole[:8], "little")):
            os.pwrite(file.fileno(), bytes([whole[at] ^ 1]), at)
            with pytest.raises(TokenFileDamaged):
                token_file.read_header(path)
            os.pwrite(file.fileno(), whole[at : at + 1], at)
    read(path)


@pytest.mark.parametrize("disguise", ["link", "folder", "pipe"])
def test_only_plain_files_are_opened(written, disguise):
    path = written[0]
    other = path.with_name("moved")
    path.rename(other)
    {"link": lambda: path.symlink_to(other), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[disguise]()
    with pytest.raises(TokenFileDamaged, match="not a"):
        token_file.read_header(path)


# -- how far a stored token state can be off, against exact float64 arithmetic


@st.composite
def page_states(draw):
    """Unit rows as encoders make them: plain, all alike, with a common direction and a few outlier dimensions."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    tokens, width = draw(st.integers(1, 40)), draw(st.sampled_from([1, 2, 8, 33, 384]))
    rows = rng.normal(size=(1 if draw(st.booleans()) else tokens, width)).repeat(tokens, axis=0)[:tokens]
    rows = rows + draw(st.sampled_from([0, 1e-6, 1])) * rng.normal(size=(tokens, width))
    rows += draw(st.sampled_from([0, 3, 30])) * rng.normal(size=width)
    rows[:, : draw(st.integers(0, 3))] *= draw(st.sampled_from([1, 50]))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def coordinate_error(codec, stored, states):
    """The worst error of a coordinate, as the table in `store/token_file.py` states it."""
    if codec == "int8":
        return np.full(states.shape, stored.scale / 2 + 2.0**-21)
    return 0 * states if codec == "float32" else 2.0**-11 * np.abs(states) + 2.0**-25


def cosine_error(codec, stored):
    """The worst error of a cosine with a unit query, as the table in `store/token_file.py` states it."""
    width = stored.codes.shape[1]
    if codec == "int8":
        return width**0.5 * (stored.scale / 2 + 2.0**-21)
    return 0.0 if codec == "float32" else 2.0**-11 + width**0.5 * 2.0**-25


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=120, deadline=None, derandomize=True)
@given(states=page_states())
def test_no_coordinate_and_no_cosine_is_further_off_than_promised(codec, states):
    stored = token_file.encode(states, codec)
    off = stored.states().astype(np.float64) - states
    assert (np.abs(off) <= coordinate_error(codec, stored, states)).all()
    # The unit query that a page hurts most points along its largest error; no other query is further off.
    assert np.linalg.norm(off, axis=1).max() <= cosine_error(codec, stored)


@pytest.mark.parametrize("codec", CODECS)
def test_a_page_is_as_small_as_promised(codec):
    states = unit(np.random.default_rng(0), 700, 2048)
    stored = token_file.encode(states, codec)
    size = stored.codes.nbytes + (0 if stored.mean is None else stored.mean.nbytes + 4)
    assert size <= {"float32": 4, "float16": 2, "int8": 1}[codec] * states.size + 4 * 2048 + 64
    assert np.abs(stored.states() - states).max() < 0.003


def test_the_mean_and_the_largest_distance_set_the_scale():
    stored = token_file.encode(np.array([[1, 0], [0, 1], [0, -1]], np.float32), "int8")
    assert stored.mean == pytest.approx([1 / 3, 0])
    assert stored.scale == pytest.approx(1 / 127)
    assert stored.codes.tolist() == [[85, 0], [-42, 127], [-42, -127]]


def test_tokens_that_are_all_alike_come_back_exactly():
    states = np.repeat(unit(np.random.default_rng(1), 1, 5), 4, axis=0)
    assert token_file.encode(states, "int8").states() == pytest.approx(states, abs=2.0**-23)


@pytest.mark.parametrize(
    "states",
    [np.zeros((0, 4)), np.zeros(4), np.array([[np.nan]]), np.array([[np.inf]])],
    ids=["no token", "one axis", "nan", "infinite"],
)
def test_what_is_no_page_is_refused(states):
    with pytest.raises(ValueError, match="token states"):
        token_file.encode(states.astype(np.float32), "int8")
    with pytest.raises(ValueError, match="not a codec"):
        token_file.encode(np.ones((1, 1), np.float32), "int4")
