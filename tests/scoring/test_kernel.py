"""One contract for every product, every device of this machine, and every layout of pages in memory.

The oracle decodes in float64, without blocks, runs or 8-bit queries.
"""

import gc
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo import config
from smart_demo.scoring import cosines, gpu, int8, kernel, maxima, thread_pool, token_maxima
from smart_demo.scoring.int8 import Product, ProductChoice, measure_products, pick_product, quantise
from smart_demo.store import token_file
from smart_demo.types import TokenCodes
from tests.bench.cases import make_contiguous
from tests.scoring.cases import error_bound, unit

D = 64
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
"""The GPU code runs on every device of this machine, `cpu` included."""


def realistic(rng, tokens, width=D):
    """Return states like an encoder's: a strong common direction, a few outlier coordinates, the page's own subject."""
    common, page = unit(np.random.default_rng(7), width), unit(rng, width)
    outliers = np.zeros(width, np.float32)
    outliers[[3, width // 2]] = 0.5
    rows = 0.6 * common + 0.4 * page + outliers + unit(rng, tokens, width)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def oracle(query, pages):
    """Return (M, Q) exact maxima of the stored states."""
    found = []
    for page in pages:
        states = page.codes.astype(np.float64) * page.scale + (0 if page.mean is None else page.mean)
        found.append((query.astype(np.float64) @ states.T).max(axis=1))
    return np.array(found)


def pages_of(rng, lengths, codec, width=D):
    return [token_file.encode(realistic(rng, length, width), codec) for length in lengths]


@pytest.fixture
def by_torch(monkeypatch):
    """Multiply with torch even if there is little work."""
    monkeypatch.setattr(kernel, "MAX_NUMPY_BYTES", 0)
    monkeypatch.setattr(gpu, "local_gpu", lambda: None)
    return monkeypatch


LENGTHS = (1, 9, 300, 2, 2, 77, 1, 640)


def is_exact_here(product):
    """Return whether a product of the largest codes is right: processors without VNNI may saturate at 16 bits."""
    codes, query = torch.full((8, D), 127, dtype=torch.int8), np.full((2, D), -127, np.int8)
    found = int8.prepare_query(product, query).maxima(codes, np.array([0]))
    return bool((found == -(127**2) * D).all())


@pytest.mark.parametrize("codec", ["int8", "float16", "float32"])
@pytest.mark.parametrize("product", Product)
@pytest.mark.parametrize("share", [1, 5_000, 2**30])
@pytest.mark.parametrize("place", [list, make_contiguous])
def test_every_product_finds_the_maxima(by_torch, codec, product, share, place):
    if not is_exact_here(product):
        assert measure_products(D).product is not product  # it is never used on this processor
        return
    by_torch.setattr(kernel, "MAX_PRODUCT_BYTES", share)
    by_torch.setattr(int8, "CONVERT_TOKENS", 50)
    by_torch.setattr(int8, "product_for", lambda width: ProductChoice(product, ""))
    rng = np.random.default_rng(0)
    pages, query = pages_of(rng, LENGTHS, codec), unit(rng, 5, D)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of arrays that it may not write into
        found = maxima(query, place(pages))
    off = 1e-5 if codec != "int8" else error_bound(query).max()
    np.testing.assert_allclose(found, oracle(query, pages), atol=off)
    np.testing.assert_allclose(found, [token_maxima(query, page) for page in pages], atol=1e-6)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("codec", ["int8", "float16", "float32"])
@pytest.mark.parametrize("budget", [0, 40_000, 2**30])
def test_a_device_finds_the_same_maxima_within_its_budget(by_torch, name, codec, budget):
    device = gpu.DeviceCodes(name, budget)
    rng = np.random.default_rng(0)
    pages, query = make_contiguous(pages_of(rng, LENGTHS, codec)), unit(rng, 5, D)
    by_torch.setattr(gpu, "MAX_PRODUCT_TOKENS", 90)
    here = maxima(query, pages)
    by_torch.setattr(gpu, "local_gpu", lambda: device)
    by_torch.setattr(gpu, "MIN_BYTES", 0)
    for _ in range(2):
        np.testing.assert_allclose(maxima(query, pages), here, atol=1e-5)
        assert device.bytes <= budget
    assert (device.bytes == sum(page.codes.nbytes for page in pages)) is (budget == 2**30)
    del pages
    gc.collect()
    assert (device.bytes, device._copies) == (0, {})  # no copy outlives the codes it was made of


def test_the_cpu_multiplies_if_the_device_is_out_of_memory(by_torch):
    rng = np.random.default_rng(0)
    pages, query = pages_of(rng, LENGTHS, "int8"), unit(rng, 5, D)
    here = maxima(query, pages)

    class Full:
        def maxima(self, *_):
            raise torch.OutOfMemoryError("CUDA out of memory")

    by_torch.setattr(gpu, "local_gpu", Full)
    by_torch.setattr(gpu, "MIN_BYTES", 0)
    assert maxima(query, pages).tolist() == here.tolist()


def test_the_result_of_a_product_is_bounded_for_many_queries(by_torch):
    """However many query tokens are asked together, no product's result is larger than MAX_RESULT_BYTES."""
    results = []
    by_torch.setattr(kernel, "MAX_RESULT_BYTES", 4 * 90 * 700)

    class Watched:
        def __init__(self, _, query):
            self.rows = len(query)

        def maxima(self, codes, starts):
            results.append(self.rows * len(codes))
            return np.zeros((len(starts), self.rows), np.float32)

    by_torch.setattr(int8, "product_for", lambda width: ProductChoice(Product.FLOAT32, ""))
    by_torch.setattr(int8, "prepare_query", Watched)
    rng = np.random.default_rng(0)
    maxima(unit(rng, 90, D), make_contiguous(pages_of(rng, (300,) * 9, "int8")))
    assert max(results) <= 90 * 900
    assert len(results) > 2


def test_numpy_gives_the_same_maxima_for_small_work(by_torch):
    rng = np.random.default_rng(1)
    pages, query = pages_of(rng, LENGTHS, "int8"), unit(rng, 5, D)
    large = maxima(query, pages)
    by_torch.setattr(kernel, "MAX_NUMPY_BYTES", 2**30)
    assert maxima(query, pages).tolist() == large.tolist()


def test_pages_of_several_codecs_can_be_scored_together(by_torch):
    rng = np.random.default_rng(2)
    pages = [page for codec in ("int8", "float32", "int8", "float16") for page in pages_of(rng, (3, 50), codec)]
    query = unit(rng, 4, D)
    np.testing.assert_allclose(maxima(query, pages), oracle(query, pages), atol=error_bound(query).max())


def test_no_pages_give_no_maxima_and_an_empty_page_is_refused():
    query = unit(np.random.default_rng(3), 4, D)
    assert maxima(query, []).shape == (0, 4)
    with pytest.raises(ValueError, match="without token states"):
        maxima(query, [TokenCodes(np.zeros((0, D), np.int8))])


def test_pages_that_only_look_adjacent_are_not_multiplied_together(by_torch):
    """In another order, with a gap, with another stride, in another array."""
    rng = np.random.default_rng(4)
    block = rng.integers(-127, 128, (64, D), dtype=np.int8)
    other = block.copy()
    for cut in (
        [block[10:20], block[0:10]],
        [block[0:10], block[11:20]],
        [block[0:10], block[10:20], block[10:20]],
        [block[::2], block[1::2]],
        [block[0:10, : D // 2], block[10:20, : D // 2]],
        [block[0:10, D // 2 :], block[10:20, D // 2 :]],
        [block[0:10], other[10:20]],
    ):
        pages = [TokenCodes(codes, None, 0.01) for codes in cut]
        query = unit(rng, 3, cut[0].shape[1])
        off = error_bound(query).max() * 0.01 * 127 * 8
        np.testing.assert_allclose(maxima(query, pages), oracle(query, pages), atol=off)
        np.testing.assert_allclose(maxima(query, pages), [token_maxima(query, page) for page in pages], atol=1e-6)


@given(st.integers(0, 9_999), st.integers(1, 6), st.lists(st.integers(1, 40), min_size=1, max_size=6), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_error_of_an_8_bit_query_is_within_its_bound(seed, q, lengths, outlier):
    rng = np.random.default_rng(seed)
    query, pages = unit(rng, q, D), pages_of(rng, lengths, "int8")
    if outlier:
        query[0] = 0
        query[0, seed % D] = -1
    spread = max(np.linalg.norm(page.codes * np.float32(page.scale), axis=1).max() for page in pages)
    off = np.abs(maxima(query, pages) - oracle(query, pages))
    assert (off <= error_bound(query) * spread + 1e-6).all()
    codes, scales = quantise(query)
    assert np.abs(query - codes * scales[:, None]).max() <= scales.max() * 0.5001
    assert codes.min() >= -127


@pytest.mark.parametrize("width", [384, 2048])
def test_the_default_codec_finds_what_exact_states_find(by_torch, width):
    """Against float64, on pages of some subjects, whose states share directions and have outliers."""
    rng = np.random.default_rng(5)
    subjects = unit(rng, 12, width)
    states = [realistic(rng, 60, width) + rng.uniform(0.1, 0.5) * subjects[n % 12] for n in range(120)]
    states = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in states]
    pages = [token_file.encode(one, "int8") for one in states]
    overlaps, errors = [], []
    for n in range(20):
        own = states[n][rng.choice(60, 12, replace=False)]
        query = own + 0.5 * unit(rng, 12, width)
        query = (query / np.linalg.norm(query, axis=1, keepdims=True)).astype(np.float32)
        right = np.array([(query.astype(np.float64) @ one.T.astype(np.float64)).max(axis=1).mean() for one in states])
        late = maxima(query, pages).mean(axis=1)
        errors.append(np.abs(late - right).max())
        overlaps.append(len({*np.argsort(-late)[:10]} & {*np.argsort(-right)[:10]}) / 10)
    assert max(errors) <= 0.002
    assert np.mean(overlaps) >= 0.99


@given(st.integers(0, 999), st.sampled_from(["int8", "float16", "float32"]), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_cosines_have_the_maxima_that_were_scored(seed, codec, tokens):
    """Heat maps and score tables show `cosines`; the largest of each row is the maximum that was scored."""
    rng = np.random.default_rng(seed)
    (page,), query = pages_of(rng, [tokens], codec), unit(rng, 3, D)
    shown = cosines(query, page)
    np.testing.assert_allclose(shown.max(axis=1), token_maxima(query, page), atol=1e-6)


# -- which product


def test_the_fastest_exact_product_is_picked_with_its_reason():
    took = {Product.PACKED: 9.0, Product.QUERY_FIRST: 1.0, Product.CODES_FIRST: 2.0, Product.FLOAT32: 3.1}
    every = set(Product)
    assert pick_product(took, every) == ProductChoice(
        Product.QUERY_FIRST, "int8 products, query times codes (exact here, 3.1 x faster than float32)"
    )
    assert pick_product(took, every - {Product.QUERY_FIRST}).product is Product.CODES_FIRST
    assert pick_product(took, {Product.FLOAT32}).reason.endswith("(int8 products are not exact here)")
    slow = pick_product(took | {Product.FLOAT32: 0.5}, every)
    assert slow == ProductChoice(
        Product.FLOAT32, "float32 products of the 8-bit codes (2.0 x faster here than int8 products)"
    )


def test_a_product_that_saturates_is_not_picked(monkeypatch):
    """Without VNNI pairs of products are added in 16 bits, shifted by 128, and stop at 32,767 (pytorch #136746)."""

    def saturating(query, codes):
        left, right = (query.int() + 128).reshape(len(query), -1, 2), codes.int().reshape(-1, 2, codes.shape[1])
        pairs = torch.einsum("qdp,dpt->qdt", left, right).clamp(-(2**15), 2**15 - 1)
        return pairs.sum(1).int() - 128 * codes.int().sum(0).int()

    monkeypatch.setattr(torch, "_int_mm", saturating)
    monkeypatch.setattr(int8, "_multiply_packed", lambda query: lambda codes: saturating(query, codes.t()).t().float())
    monkeypatch.setattr(int8, "SAMPLE_BYTES", 0)
    assert measure_products(16) == ProductChoice(
        Product.FLOAT32, "float32 products of the 8-bit codes (int8 products are not exact here)"
    )


@pytest.mark.parametrize("there", [{}, {"qlinear_prepack": lambda rows: rows}], ids=["missing", "another form"])
def test_a_torch_without_the_packed_product_uses_another(monkeypatch, there):
    monkeypatch.setattr(torch.ops, "onednn", SimpleNamespace(**there))
    monkeypatch.setattr(int8, "SAMPLE_BYTES", 0)
    assert measure_products(16).product is not Product.PACKED


def test_a_search_uses_all_cores_and_leaves_torch_s_thread_count_alone():
    """Each thread multiplies alone; other users of torch keep their number of threads."""
    before = torch.get_num_threads()
    found = thread_pool.map_items(lambda _: (threading.get_ident(), torch.get_num_threads()), range(50))
    assert {count for _, count in found} == {1}
    assert threading.get_ident() not in dict(found)
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError):
        thread_pool.map_items(lambda n: 1 / n, [1, 0])


@pytest.mark.parametrize(
    ("quota", "expected"), [("200000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 8), ("", 8), (None, 8)]
)
def test_the_core_count_follows_the_container_s_quota(monkeypatch, tmp_path, quota, expected):
    monkeypatch.setattr(config.os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(config, "QUOTA_FILE", tmp_path / "cpu.max")
    if quota is not None:
        config.QUOTA_FILE.write_text(quota)
    assert config.core_count() == expected


def test_a_width_is_measured_once_for_all_threads(monkeypatch):
    measured = []
    monkeypatch.setattr(int8, "_choices", {})
    monkeypatch.setattr(
        int8, "measure_products", lambda width: measured.append(width) or ProductChoice(Product.FLOAT32, "slow")
    )
    threads = [threading.Thread(target=int8.product_for, args=(8,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert measured == [8]
    monkeypatch.setattr(gpu, "local_gpu", lambda: None)
    assert int8.product_reason(8) == "slow"
    monkeypatch.setattr(gpu, "local_gpu", lambda: SimpleNamespace(device="cuda", bytes=2_000_000))
    assert int8.product_reason(8) == "float32 products on cuda, 2 MB of codes kept there"


def test_a_zerogpu_space_s_gpu_is_not_used(monkeypatch):
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("used"))
    assert gpu.local_gpu() is None


def test_a_slow_product_is_estimated_from_a_few_tokens(monkeypatch):
    """Each token takes a millisecond of a clock of the test's own, so the whole sample would take eight seconds."""
    clock, seen = [0.0], []

    class SlowQuery:
        def maxima(self, codes, starts):
            seen.append(len(codes))
            clock[0] += len(codes) / 1000

    monkeypatch.setattr(int8.time, "perf_counter", lambda: clock[0])
    codes = np.zeros((8192, 4), dtype=np.int8)
    assert int8._measure_seconds(SlowQuery(), codes, np.arange(0, 8192, 512)) == pytest.approx(8.192)
    assert max(seen) <= int8.FEW_TOKENS
