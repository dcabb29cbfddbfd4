"""How far a product with a query in 8 bits can be off, as `scoring/quantised.py` says."""

import numpy as np

from smart_demo.scoring.int8 import quantise


def error_bound(query):
    """(Q,) worst error of a row's cosine with a state whose distance from its page's mean is 1."""
    codes, scales = quantise(query)
    return np.linalg.norm(query - codes.astype(np.float32) * scales[:, None], axis=1).astype(np.float32)
