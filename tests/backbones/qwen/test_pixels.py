"""One resize: the sizes of the reference, and patches in the order the vision tower expects."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

from smart_demo.backbones.checkpoint_backbone import Grid
from smart_demo.backbones.qwen.prompt import cut_patches, fit_grid
from tests.backbones.qwen.cases import patches_one_by_one, picture

A4 = {64: (288, 192), 128: (416, 288), 256: (608, 416), 384: (736, 512), 512: (832, 608), 768: (1024, 736),
      1024: (1216, 832), 1280: (1344, 960), 1800: (1600, 1120)}  # fmt: skip
"""Published: an A4 page at 150 dpi (1754 high, 1240 wide) becomes this height and width, by budget."""


@pytest.mark.parametrize(("budget", "size"), A4.items())
def test_an_a4_page_takes_the_published_size(budget, size):
    assert fit_grid(1754, 1240, budget) == Grid(size[0] // 32, size[1] // 32)


@given(height=st.integers(16, 5000), width=st.integers(16, 5000), budget=st.integers(4, 4096))
def test_the_size_is_smart_resize(height, width, budget):
    if max(height, width) > 200 * min(height, width):
        return
    rows, cols = smart_resize(height, width, factor=32, min_pixels=4 * 1024, max_pixels=budget * 1024)
    if min(round(height / 32), round(width / 32)) > 0:  # below half a token transformers rounds a side to nothing
        assert fit_grid(height, width, budget) == Grid(rows // 32, cols // 32)


@given(height=st.integers(1, 9000), width=st.integers(1, 9000), budget=st.integers(4, 4096))
def test_a_grid_is_never_empty_and_keeps_to_the_budget(height, width, budget):
    if max(height, width) > 200 * min(height, width):
        with pytest.raises(ValueError, match="too narrow"):
            fit_grid(height, width, budget)
        return
    grid = fit_grid(height, width, budget)
    assert min(grid.rows, grid.cols) >= 1
    # A strip thinner than a token is a token thick all the same; a tiny picture grown to 4 tokens may come to 6.
    assert grid.rows * grid.cols <= budget or min(grid.rows, grid.cols) == 1 or grid.rows * grid.cols <= 6


def test_patches_are_normalised_to_one_and_ordered_in_blocks_of_four():
    pixels = picture(96, 64)
    made = cut_patches(pixels, 1280, Qwen2VLImageProcessorPil(image_mean=[0.5] * 3, image_std=[0.5] * 3, patch_size=16))
    assert made.grid == Grid(3, 2)
    np.testing.assert_allclose(made.values, patches_one_by_one(pixels / 255 * 2 - 1), atol=1e-6)
