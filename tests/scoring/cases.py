"""The error bound of a product with an 8-bit query, as in `scoring/int8.py`."""

import numpy as np

from smart_demo.scoring.int8 import quantise


def error_bound(query):
    """Return (Q,), the worst error of a row's cosine with a state whose distance from its page's mean is 1."""
    codes, scales = quantise(query)
    return np.linalg.norm(query - codes.astype(np.float32) * scales[:, None], axis=1).astype(np.float32)
