"""The token file: what was written comes back, anyone can read it, and no altered byte goes unnoticed."""

import os
import random

import numpy as np
import pytest
from safetensors import safe_open

from smart_demo.errors import TokenFileDamaged
from smart_demo.store import sidecar, token_file
from smart_demo.types import LOCAL, TokenBoxes
from tests.store.cases import made


@pytest.fixture(params=["int8", "float16", "float32"])
def codec(request):
    return request.param


@pytest.fixture(params=[1, 2], ids=["grid", "boxes"])
def written(request, codec, tmp_path):
    """(path, page, encoding) of one token file."""
    page, encoding = made(request.param, tokens=9)
    path = tmp_path / f"{page.id}.safetensors"
    path.write_bytes(sidecar.prepare_page(LOCAL, page, encoding, codec).tokens)
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


def test_what_a_page_took_is_kept_where_it_was_measured(written, codec):
    path, page, encoding = written
    plain = path.read_bytes()
    assert read(path)[0].page.seconds == 0.0  # as in every file of earlier versions
    with safe_open(path, "numpy") as file:
        assert "seconds" not in file.metadata()
    path.write_bytes(sidecar.prepare_page(LOCAL, page, encoding, codec, 0.1 + 0.2).tokens)
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
