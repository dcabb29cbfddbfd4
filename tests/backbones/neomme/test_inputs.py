"""What NeoMME is given: sizes of pages, patches, positions, and prompts of words."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError
from transformers import AutoTokenizer

from smart_demo.backbones.checkpoint_backbone import Grid
from smart_demo.backbones.neomme_prompt import NeoMMEPrompts, cut_page, fit_size, page_positions
from smart_demo.types import TokenKind
from tests.backbones.cases import speckled, tiny_neomme_folder
from tests.backbones.neomme.oracle import fitting_size, page_input

PATCH, INSTRUCTION, TEMPLATE, CONTENT, TAIL = TokenKind


@cache
def tokenizer():
    return AutoTokenizer.from_pretrained(tiny_neomme_folder())


@cache
def prompts(window=16_384):
    return NeoMMEPrompts.from_tokenizer(tokenizer(), window)


def plain_ids(text, task):
    """Return the ids that the checkpoint's own template and tokenizer give."""
    messages = [{"role": "user", "content": [{"type": "text", "text": text}]}]
    return tokenizer().apply_chat_template(messages, task=task, tokenize=True, return_dict=False)


@given(height=st.integers(1, 3000), width=st.integers(1, 3000), budget=st.integers(1, 4096))
def test_the_size_is_the_largest_within_the_budget(height, width, budget):
    assert fit_size(height, width, budget) == fitting_size(height, width, budget)


@pytest.mark.parametrize(("budget", "size"), [(736, (1024, 724)), (2944, (2048, 1448))])
def test_an_a4_page_takes_the_default_budgets_whole(budget, size):
    assert fit_size(3508, 2480, budget) == size
    assert -(-size[0] // 32) * -(-size[1] // 32) == budget


def test_a_small_page_is_not_enlarged_and_an_empty_one_is_refused():
    assert fit_size(40, 30, 4096) == (40, 30)
    with pytest.raises(ValueError, match="0 × 5 pixels"):
        fit_size(5, 0, 736)


@pytest.mark.parametrize(("height", "width", "budget"), [(64, 96, 736), (70, 45, 736), (400, 300, 9), (1, 900, 4)])
def test_patches_are_those_of_the_written_out_rules(height, width, budget):
    pixels = speckled(height, width, 3)
    made = cut_page(pixels, budget)
    _, _, patches = page_input(pixels, budget)
    np.testing.assert_allclose(made.values, patches, atol=1e-6)
    h, w = fitting_size(height, width, budget)
    assert made.grid == Grid(-(-h // 32), -(-w // 32))
    assert made.covered == (w / (32 * made.grid.cols), h / (32 * made.grid.rows))


def test_padding_is_black_and_on_the_right_and_below():
    made = cut_page(np.full((33, 40, 3), 255, np.uint8), 736)
    whole = made.values.reshape(2, 2, 32, 32, 3).transpose(0, 2, 1, 3, 4).reshape(64, 64, 3)
    assert (whole[:33, :40] == 1).all()
    assert (whole[33:] == -1).all()
    assert (whole[:, 40:] == -1).all()


def test_positions_of_a_page_of_two_rows_and_three_columns():
    rows = [0, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    cols = [0, 1, 2, 3, 4, 5, 2, 3, 4, 5]
    assert page_positions(Grid(2, 3)).tolist() == [rows, cols]


def test_a_page_is_marks_and_rows_of_patches():
    page = prompts().write_page(Grid(2, 3))
    assert page.ids.tolist() == [5, 6, 6, 6, 6, 8, 6, 6, 6, 8]
    assert page.kinds.tolist() == [TEMPLATE, TEMPLATE, *[PATCH] * 3, TEMPLATE, *[PATCH] * 3, TEMPLATE]
    assert page.labels == ("<doc>", "<img>", "▦ 1,1", "▦ 1,2", "▦ 1,3", "<row>", "▦ 2,1", "▦ 2,2", "▦ 2,3", "<row>")


@settings(max_examples=60)
@given(text=st.text(max_size=40))
def test_ids_are_those_of_the_plain_template_for_texts_without_control_tokens(text):
    clean = text.encode(errors="replace").decode().strip()
    assert prompts().write_query(text).ids.tolist() == plain_ids(clean, "query")
    assert prompts().write_text(text).ids.tolist() == plain_ids(clean, "document")


def test_a_query_is_a_mark_the_words_and_masks():
    made = prompts().write_query("  Müller's tide table? ")
    assert made.ids[0] == 7
    assert made.ids[-10:].tolist() == [4] * 10
    assert made.kinds.tolist() == [TEMPLATE, *[CONTENT] * (len(made.ids) - 11), *[TEMPLATE] * 10]
    assert made.labels[0] == "<query>"
    assert made.labels[-1] == "<mask>"
    assert made.word_texts == ("Müller's", "tide", "table", "?")
    assert [made.words[0], made.words[-1]] == [-1, -1]
    assert sorted(set(made.words[1:-10])) == [0, 1, 2, 3]


@pytest.mark.parametrize("typed", ["<img>", "<mask> <query>x<doc>", "a<row>b", "<pad><unk><eos>", "<img>" * 40])
def test_control_tokens_that_a_visitor_types_stay_text(typed):
    for made in (prompts().write_query(f"tide {typed} table"), prompts().write_text(f"tide {typed} table")):
        words = made.ids[made.kinds == CONTENT]
        assert words.min() > 8  # all control tokens have lower ids
        assert tokenizer().decode(words) == f"tide {typed} table"
    with pytest.raises(TemplateError):  # the template itself refuses a picture's token in words
        plain_ids("<img>", "query")


def test_a_long_text_is_cut_and_its_frame_is_not():
    made = prompts(window=30).write_query("motor " * 50)
    assert len(made.ids) == len(made.labels) == len(made.words) == 30
    assert made.ids[-10:].tolist() == [4] * 10
    assert (made.cut_pieces, made.text_pieces) == (made.text_pieces - 19, made.text_pieces)
    assert prompts().window == 4_096
