"""How far a stored token state can be off: the errors that codecs.py promises, against exact float64 arithmetic."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.store import token_file
from tests.store.cases import unit

CODECS = ("float32", "float16", "int8")


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
    """The worst error of a coordinate, as the table in codecs.py states it."""
    if codec == "int8":
        return np.full(states.shape, stored.scale / 2 + 2.0**-21)
    return 0 * states if codec == "float32" else 2.0**-11 * np.abs(states) + 2.0**-25


def cosine_error(codec, stored):
    """The worst error of a cosine with a unit query, as the table in codecs.py states it."""
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
