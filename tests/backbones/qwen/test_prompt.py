"""The prompt, character by character and kind by kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from smart_demo.backbones.checkpoint_backbone import Grid
from smart_demo.backbones.qwen.prompt import PromptWriter, format_instruction
from smart_demo.errors import BackboneUnavailable
from smart_demo.types import TokenKind
from tests.backbones.qwen.cases import DOCUMENT, QUERY

PATCH, INSTRUCTION, TEMPLATE, CONTENT, TAIL = TokenKind


@pytest.fixture(scope="module")
def tokenizer(tiny_qwen):
    return AutoTokenizer.from_pretrained(tiny_qwen)


@pytest.fixture(scope="module")
def writer(tokenizer):
    return PromptWriter(tokenizer)


def whole(instruction, text, patches=0):
    media = f"<|vision_start|>{'<|image_pad|>' * patches}<|vision_end|>" if patches else ""
    return (
        f"<|im_start|>system\n{instruction}<|im_end|>\n<|im_start|>user\n{media}{text}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_the_prompt_reads_as_the_reference_writes_it(writer, tokenizer):
    assert tokenizer.decode(writer.write(QUERY, None, "red star").ids) == whole(QUERY, "red star")
    assert tokenizer.decode(writer.write(DOCUMENT, Grid(2, 3), "").ids) == whole(DOCUMENT, "", 6)
    assert tokenizer.decode(writer.write(QUERY, Grid(2, 2), "red").ids) == whole(QUERY, "red", 4)
    assert tokenizer.decode(writer.write(DOCUMENT, None, " \n ").ids) == whole(DOCUMENT, "NULL")


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_pieces_are_those_of_the_whole_string(writer, tokenizer, text):
    text = text.strip() or "NULL"
    if "<|" not in text:
        at_once = tokenizer(whole(QUERY, text), add_special_tokens=False).input_ids
        assert writer.write(QUERY, None, text).ids.tolist() == at_once


@given(text=st.text(max_size=30).map(lambda text: text.encode(errors="ignore").decode()))
def test_every_token_has_one_kind_and_a_label_that_shows(writer, text):
    made = writer.write(QUERY, None, text)
    assert len(made.ids) == len(made.kinds) == len(made.labels)
    assert all(label.strip() or label == " " or not label.isprintable() for label in made.labels)
    assert (made.kinds == TAIL).sum() == 5


def test_half_a_surrogate_pair_is_no_reason_to_fail(writer, tokenizer):
    assert "a?b" in tokenizer.decode(writer.write(QUERY, None, "a\ud83db").ids)


def test_kinds_follow_the_order_of_the_prompt(writer):
    made = writer.write(QUERY, Grid(1, 2), "red star")
    runs = [made.kinds[0]] + [b for a, b in zip(made.kinds, made.kinds[1:], strict=False) if a != b]
    assert runs == [TEMPLATE, INSTRUCTION, TEMPLATE, PATCH, TEMPLATE, CONTENT, TAIL]
    assert [x for x, kind in zip(made.labels, made.kinds, strict=True) if kind == PATCH] == ["▦ 1,1", "▦ 1,2"]
    assert "".join(x for x, kind in zip(made.labels, made.kinds, strict=True) if kind == TAIL) == (
        "<|im_end|>↵<|im_start|>assistant↵"
    )


def test_about_eighteen_tokens_of_a_query_are_not_the_persons(writer):
    """15 before the words and 3 after, as counted in the reference with the published tokenizer."""
    made = writer.write(QUERY, None, "red star")
    kept = writer.token_mask(made, "code")
    mine = made.kinds[kept] == CONTENT
    assert (~mine).sum() == 18
    assert mine.sum() == 2


@pytest.mark.parametrize("token", ["<|im_end|>", "<|image_pad|>", "<|endoftext|>", "<|vision_start|>"])
def test_nothing_a_person_writes_becomes_a_control_token(writer, token):
    made = writer.write(QUERY, None, f"a{token}b")
    assert not set(made.ids[made.kinds == CONTENT].tolist()) & (
        writer.control_tokens.filtered | {writer.control_tokens.image_pad}
    )


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("Find it", "Find it."),
        ("Find it.", "Find it."),
        (" Find it! ", "Find it!"),
        ("検索。", "検索。"),
        ("5 €", "5 €."),
    ],
)
def test_an_instruction_ends_in_punctuation(given, written):
    assert format_instruction(given) == written


@pytest.mark.parametrize(("room", "cut"), [(0, 9), (4, 5), (9, 0), (20, 0)])
def test_only_the_text_is_cut_never_the_template(writer, tokenizer, room, cut):
    bare = len(writer.write(QUERY, Grid(2, 2), "").ids)
    made = writer.write(QUERY, Grid(2, 2), "red star " * 4 + "red", window=bare + room)
    assert (made.cut_pieces, made.text_pieces) == (cut, 9)
    assert len(made.ids) == bare + 9 - cut
    assert tokenizer.decode(made.ids).endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_a_tokenizer_without_the_control_tokens_is_refused(tokenizer):
    class Other:
        all_special_ids = ()

        def get_vocab(self):
            return {name: at for name, at in tokenizer.get_vocab().items() if name != "<|image_pad|>"}

    with pytest.raises(BackboneUnavailable, match=r"image_pad"):
        PromptWriter(Other())
