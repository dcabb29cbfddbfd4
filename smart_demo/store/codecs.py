"""Token states to the numbers that are stored, and how far each form can be off.

A page is decoded by one rule, `TokenCodes.states`: mean + scale * codes. The worst errors below hold for states of
length 1, which is what backbones give; `late` is a mean of cosines, so a codec's cosine error bounds its error too.

| codec     | bytes                  | worst error of a coordinate x | worst error of a cosine with a unit query  |
|-----------|------------------------|-------------------------------|--------------------------------------------|
| `float32` | 4 D a token            | 0                             | 0                                          |
| `float16` | 2 D a token            | 2^-11 |x| + 2^-25            | 2^-11 + sqrt(D) 2^-25                      |
| `int8`    | D a token, 4 D + 4 a page | scale / 2 + 2^-21          | sqrt(D) (scale / 2 + 2^-21)                |

The scale of an int8 page is its largest distance from the mean token in any coordinate, over 127: at most 2/127, and
small where tokens share a strong common direction, which is why the mean is taken out first.
"""

from __future__ import annotations

import numpy as np

from smart_demo.types import Floats, TokenCodes

_STEPS = 127


def encode(tokens: Floats, codec: str) -> TokenCodes:
    """Store form of one page's token states, (T, D) with T >= 1. ValueError for another shape, NaN or infinity.

    >>> encode(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), "int8").codes.tolist()
    [[127, -127], [-127, 127]]
    """
    if tokens.ndim != 2 or 0 in tokens.shape or not np.isfinite(tokens).all():
        raise ValueError(f"token states must be a finite (T, D) matrix, not {tokens.shape} of {tokens.dtype}")
    states = np.ascontiguousarray(tokens, dtype=np.float32)
    if codec == "float32":
        return TokenCodes(states)
    if codec == "float16":
        return TokenCodes(states.astype(np.float16))
    if codec == "int8":
        return _page_centred(states)
    raise ValueError(f"not a codec: {codec!r}")


def _page_centred(states: Floats) -> TokenCodes:
    # The mean is summed in float64: over a thousand near-equal tokens float32 would drift by more than a step.
    mean = states.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = states - mean
    scale = np.float32(np.abs(centred).max() / _STEPS)
    if scale < np.finfo(np.float32).tiny:  # one token, or all alike: the mean says everything
        return TokenCodes(np.zeros(states.shape, np.int8), mean)
    codes = np.clip(np.rint(centred / scale), -_STEPS, _STEPS).astype(np.int8)
    return TokenCodes(codes, mean, float(scale))
