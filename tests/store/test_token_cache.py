"""Token states that stay in memory: within the budget, side by side, right, and gone with their pages."""

import gc
import threading

import numpy as np
import pytest

from smart_demo import scoring
from smart_demo.config import read_settings
from smart_demo.errors import LibraryError
from smart_demo.scoring import kernel
from smart_demo.store import catalogue, token_cache, token_file
from smart_demo.types import LOCAL, SAMPLES, Query, QueryEncoding, TokenKind
from tests.store.cases import (
    ENCODER,
    OTHER_ENCODER,
    POOLED,
    WIDTH,
    count_mapped,
    made,
    open_library,
    page_id,
    path_of,
    put,
    unit,
)

PAGE = 6 * WIDTH
"""Bytes of a page's codes."""


def codes_of(library, pages):
    return [library.tokens(page) for page in pages]


def held(library):
    return library._catalogue.cached


@pytest.fixture
def blocks():
    """Asks for every block that is alive and was not before: other tests' libraries may be open in this process."""
    before = set(map(id, alive()))
    return lambda: [one for one in alive() if id(one) not in before]


def alive():
    gc.collect()
    return [one for one in gc.get_objects() if type(one) is token_cache._Block]


def test_pages_lie_side_by_side_and_say_what_their_files_say(tmp_path):
    with open_library(tmp_path, cache_bytes=0) as library:
        pages = put(library, *range(1, 8))
        expected = [(one.codes.tolist(), one.mean.tolist(), one.scale) for one in codes_of(library, pages)]
        assert held(library) == (0, 0)
    with open_library(tmp_path) as library:
        found = codes_of(library, pages)
        assert [(one.codes.tolist(), one.mean.tolist(), one.scale) for one in found] == expected
        assert held(library) == (7, 7 * PAGE)
        assert len({id(one.codes.base) for one in found}) == 1
        (run,) = kernel._adjacent_pages(found, 2**20)
        assert run.codes.shape == (7 * 6, WIDTH)
        assert np.shares_memory(run.codes, found[3].codes)
        assert [one.codes.tolist() for one in codes_of(library, pages)] == [codes for codes, _, _ in expected]
        assert count_mapped(tmp_path) == 0  # no map, so no open file, is held for what is in memory


def test_the_budget_holds_and_the_rest_is_read_from_the_map(tmp_path):
    with open_library(tmp_path, cache_bytes=3 * PAGE + 1) as library:
        pages = put(library, *range(1, 6))
        for _ in range(2):
            codes_of(library, pages)
            assert held(library) == (3, 3 * PAGE)
            assert count_mapped(tmp_path) == 2


def test_scopes_encoders_and_codecs_never_share_a_block(tmp_path):
    with open_library(tmp_path) as library:
        pages = put(library, 1, 2) + put(library, 1, 2, scope=SAMPLES) + put(library, 1, 2, encoder=OTHER_ENCODER)
        found = codes_of(library, pages)
    with open_library(tmp_path, codec="float16") as library:
        pages += put(library, 3, 4)
        found = codes_of(library, pages)
        assert len({id(one.codes.base) for one in found}) == 4


def test_a_block_that_is_full_is_followed_by_another(tmp_path, monkeypatch):
    monkeypatch.setattr(token_cache, "MAX_BLOCK_BYTES", 2 * PAGE)
    with open_library(tmp_path) as library:
        pages = put(library, *range(1, 6))
        assert len({id(one.codes.base) for one in codes_of(library, pages)}) == 3
        library.add(LOCAL, *made(9, tokens=40))  # larger than a block
        (large,) = (page for page in library.pages([LOCAL], ENCODER) if page.tokens == 40)
        assert library.tokens(large).codes.base.shape == (40, WIDTH)


@pytest.mark.parametrize("going", ["remove", "forget", "damaged", "lost"])
def test_nothing_of_a_page_that_goes_stays_in_memory(tmp_path, going, blocks):
    with open_library(tmp_path) as library:
        pages, kept = put(library, 1, 2, 3), put(library, 1, scope=SAMPLES)
        states = codes_of(library, pages + kept)[0].codes.tobytes()
        path = path_of(tmp_path, pages[0])
        if going == "remove":
            library.delete_document(LOCAL, page_id(1).file)
        elif going == "forget":
            library.delete_scope(LOCAL)
        else:
            path.write_bytes(b"rubbish") if going == "damaged" else path.unlink()
            with pytest.raises(LibraryError):
                library.encoding(pages[0])
        (block,) = blocks()  # the samples'; that of the page is gone, with its neighbours' copies
        assert [key for key, _ in block.keys] == [token_file.stored_key(kept[0])]
        assert held(library) == (1, PAGE)
        with pytest.raises(LibraryError):
            library.tokens(pages[0])
        if going != "forget":
            again = codes_of(library, pages[1:])
            assert held(library) == (3, 3 * PAGE)
            assert all(states not in one.codes.base[: 2 * 6].tobytes() for one in again)


def test_who_still_multiplies_a_page_that_goes_is_not_disturbed(tmp_path):
    with open_library(tmp_path) as library:
        pages = put(library, 1, 2)
        found = codes_of(library, pages)
        before = [one.codes.tolist() for one in found]
        library.delete_scope(LOCAL)
        put(library, 5, 6)
        codes_of(library, library.pages([LOCAL], ENCODER))
        assert [one.codes.tolist() for one in found] == before


def test_a_page_that_goes_while_it_is_copied_is_not_kept(tmp_path, monkeypatch, blocks):
    with open_library(tmp_path) as library:
        pages, copy = put(library, 1, 2), token_cache.copy_body

        def copying(body, rows):
            inside = copy(body, rows)
            library.delete_document(LOCAL, page_id(1).file)
            return inside

        monkeypatch.setattr(catalogue, "copy_body", copying)
        assert len(library.tokens(pages[0]).codes) == 6  # it was there when it was asked for
        monkeypatch.undo()
        assert held(library) == (0, 0)
        assert blocks() == []
        assert count_mapped(tmp_path) == 0


def test_two_who_read_a_page_first_get_the_same_states(tmp_path, monkeypatch):
    with open_library(tmp_path) as library:
        (page,), copy, second = put(library, 1), token_cache.copy_body, []

        def copying(body, rows):
            if not second:
                second.append(library.tokens(page))
            return copy(body, rows)

        monkeypatch.setattr(catalogue, "copy_body", copying)
        first = library.tokens(page)
        assert first.codes.tolist() == second[0].codes.tolist()
        assert held(library) == (1, PAGE)


def test_readers_and_deletions_at_once_agree_with_the_files(tmp_path):
    """Scores of the pages that stay are those of exact states, whatever is dropped and read again beside them."""
    with open_library(tmp_path) as library:
        put(library, *range(1, 31))
        stays, query, errors = range(1, 11), unit(np.random.default_rng(0), 3, WIDTH), []
        exact = {file: (query @ made(file)[1].tokens.T).max(axis=1) for file in stays}
        encoding = QueryEncoding(
            Query("q"),
            ENCODER,
            unit(np.random.default_rng(1), POOLED),
            query,
            np.full(3, TokenKind.CONTENT),
            ("a",) * 3,
        )

        def read():
            for _ in range(30):
                pages, pooled = library.pooled([LOCAL], ENCODER)
                wanted = np.array([n for n, page in enumerate(pages) if int(page.id.file, 16) in exact])
                parts = scoring.compute_parts(encoding, pages, pooled @ encoding.pooled, wanted, library.tokens)
                for row, at in enumerate(wanted.tolist()):
                    off = np.abs(parts.maxima[row] - exact[int(pages[at].id.file, 16)]).max()
                    errors.extend([off] if off > 0.05 else [])

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for file in range(11, 31):
            codes_of(library, library.pages([LOCAL], ENCODER))
            library.delete_document(LOCAL, page_id(file).file)
        for thread in threads:
            thread.join()
        assert errors == []
        codes_of(library, library.pages([LOCAL], ENCODER))
        assert held(library) == (10, 10 * PAGE)


def test_asking_ahead_for_what_is_gone_or_never_was_is_fine(tmp_path):
    with open_library(tmp_path, cache_bytes=PAGE) as library:
        pages = put(library, 1, 2, 3)
        codes_of(library, pages[:2])  # one in memory, one mapped, one neither
        path_of(tmp_path, pages[2]).unlink()
        library.prefetch(pages)
        library.delete_document(LOCAL, page_id(3).file)
        library.prefetch(pages)


def test_the_budget_is_a_setting(tmp_path):
    env = {"HOME": str(tmp_path)}
    assert read_settings(env | {"SMART_RESIDENT_MB": "0"}).resident_bytes == 0
    assert read_settings(env | {"SMART_RESIDENT_MB": "300"}).resident_bytes == 300_000_000
    assert 64 * 10**6 <= read_settings(env).resident_bytes <= 4_096 * 10**6
