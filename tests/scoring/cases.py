"""Vectors, pages, and the error bound of a product with an 8-bit query, as in `scoring/int8.py`."""

import numpy as np

from smart_demo.scoring.int8 import quantise
from smart_demo.types import SAMPLES, PageId, StoredPage


def unit(rng, *shape):
    """Return random rows of length 1."""
    rows = rng.normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def page_of(number):
    return StoredPage(SAMPLES, "e", PageId("00000000000000aa", number), "x.pdf", 99, 10, 10, 1, 1, "float32", 0.0)


def error_bound(query):
    """Return (Q,), the worst error of a row's cosine with a state whose distance from its page's mean is 1."""
    codes, scales = quantise(query)
    return np.linalg.norm(query - codes.astype(np.float32) * scales[:, None], axis=1).astype(np.float32)
