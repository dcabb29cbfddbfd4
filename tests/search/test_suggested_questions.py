"""Questions from the words of pages: readable, of one page alone, in any script, and never a secret or a header."""

import random
from itertools import pairwise

import pytest

from smart_demo.page_text import Box, Word
from smart_demo.search.suggested_questions import (
    MAX_NEW_PAGES,
    MAX_OTHER_PAGES,
    MAX_PHRASE_CHARS,
    MAX_WORDS,
    MIN_WORDS,
    ReadPage,
    choose_pages,
    suggest_questions,
)
from smart_demo.types import LOCAL, PageId, StoredPage

A, B, C = (letter * 16 for letter in "abc")


def words(*lines, height=0.02):
    """Return the words of lines, each set from the left margin with a space of a quarter of its height."""
    placed = []
    for row, line in enumerate(lines):
        left, top = 0.1, 0.1 + 2 * height * row
        for text in line.split():
            right = left + 0.5 * height * len(text)
            placed.append(Word(text, Box(left, top, right, top + height)))
            left = right + 0.25 * height
    return tuple(placed)


def page(file, number, *lines, is_new=True):
    return ReadPage(PageId(file, number), words(*lines), is_new)


def texts_of(read):
    """Return the words of a page in one text, so that a phrase can be looked up in it."""
    return " ".join(word.text.strip(".,:;!?") for word in read.words)


HARBOUR = page(A, 1, "Every lighthouse keeper paints his door.", "Oysters taste best in winter months.")
KITCHEN = page(B, 1, "Descale the coffee machine with lemon.", "Bread dough rests overnight.")
TRAINS = page(C, 1, "Night trains carry bicycles.", "Tickets cost less before nine.")


def test_each_document_gets_a_short_phrase_of_its_own_words():
    pages = [HARBOUR, KITCHEN, TRAINS]
    questions = suggest_questions(pages)
    assert len(questions) == 3
    holders = [[index for index, read in enumerate(pages) if question in texts_of(read)] for question in questions]
    assert sorted(holders) == [[0], [1], [2]]
    for question in questions:
        assert MIN_WORDS <= len(question.split()) <= MAX_WORDS
        assert len(question) <= MAX_PHRASE_CHARS


def test_the_same_pages_give_the_same_questions_and_no_word_twice():
    pages = [HARBOUR, KITCHEN]
    questions = suggest_questions(pages)
    assert questions == suggest_questions(list(pages))
    long_words = [word.lower() for question in questions for word in question.split() if len(word) > 3]
    assert len(long_words) == len(set(long_words))


def test_headers_and_words_of_other_pages_are_no_questions():
    header = "Annual report of the granite company"
    lines = ("Reindeer cross frozen rivers", "Ptarmigans change their feathers", "Lemmings dig deep tunnels")
    new = [page(A, number, header, line) for number, line in enumerate(lines, start=1)]
    other = page(B, 1, "Lemmings dig deep tunnels", is_new=False)
    assert sorted(suggest_questions([*new, other])) == sorted(lines[1::-1])


@pytest.mark.parametrize(
    "line",
    [
        "Password: correct horse battery staple",
        "Mein Passwort lautet grüne Elefanten tanzen",
        "Account 4929 1234 5678 and code",
        "sk-aZbYcXdW eYfXgWhV iUjTkSlR",
        "https://example.org/secret/path me@example.org",
        "12 345 678 2024 17",
        "пароль зелёные слоны танцуют ночью",
        "パスワード緑の象が踊る",
        "frag- men- ted- words- here-",
    ],
)
def test_secrets_numbers_addresses_and_fragments_are_not_quoted(line):
    assert suggest_questions([page(A, 1, line)]) == ()


def test_a_secret_beside_its_name_in_another_column_is_not_quoted():
    cells = (*words("Password"), *(Word(word.text, Box(word.box.left + 0.3, 0.1, word.box.right + 0.3, 0.12))
             for word in words("correct horse battery staple")))  # fmt: skip
    assert suggest_questions([ReadPage(PageId(A, 1), cells)]) == ()


@pytest.mark.parametrize(
    "line",
    [
        "Kurze Wellen werden niedrig gemessen",
        "L’hôtel possède une façade élégante",
        "Смотритель маяка красит дверь весной",
        "灯台守は毎年春に扉を赤く塗る。",
        "守塔人每年春天把门漆成红色。",
        "등대지기는 해마다 봄에 문을 칠한다",
        "ผู้ดูแลประภาคารทาสีประตู",
        "प्रकाशस्तंभ रखवाला दरवाज़ा रंगता है",
        "حارس المنارة يطلي الباب بالأحمر",
    ],
)
def test_every_script_gives_a_phrase_of_the_page(line):
    (question,) = suggest_questions([page(A, 1, line)])
    assert question in line


def test_a_new_version_of_a_document_gives_questions_too():
    earlier = ReadPage(PageId(B, 1), HARBOUR.words, is_new=False)
    assert suggest_questions([HARBOUR, earlier]) == suggest_questions([HARBOUR])


def test_lines_of_a_list_and_cells_of_a_table_are_not_joined():
    questions = suggest_questions([page(A, 1, "Milk powder", "Brown bread", "Salted butter")])
    assert questions == ()


def test_pages_without_words_give_no_question():
    assert suggest_questions([]) == ()
    assert suggest_questions([ReadPage(PageId(A, 1), ())]) == ()


def test_random_words_never_break_the_rules():
    letters = random.Random(15)
    alphabet = "abcdéßжλאब灯あ한ก019-_.,:;'’()@/\\ \u0301\u200f\u00ad😀"
    for _ in range(150):
        lines = [
            " ".join("".join(letters.choices(alphabet, k=letters.randint(1, 9))) for _ in range(letters.randint(1, 9)))
            for _ in range(6)
        ]
        for question in suggest_questions([page(A, 1, *lines[:3]), page(B, 1, *lines[3:])]):
            assert question == question.strip()
            assert len(question) <= MAX_PHRASE_CHARS
            assert not any(character.isdigit() or character in "@/\\_()" for character in question)


def stored(file, number):
    return StoredPage(LOCAL, "e" * 16, PageId(file, number), "x.pdf", 900, 1, 1, 1, 1, "int8", 0.0)


def test_of_many_pages_some_are_read_evenly():
    pages = [stored(file, number) for file in (A, B) for number in range(1, 301)]
    chosen = choose_pages(pages, {A: ()})
    new = [page.number for page, is_new in chosen if is_new]
    assert (len(new), len(chosen)) == (MAX_NEW_PAGES, MAX_NEW_PAGES + MAX_OTHER_PAGES)
    assert {page.id.file for page, is_new in chosen if is_new} == {A}
    assert max(later - earlier for earlier, later in pairwise(new)) <= 6
    assert [page.number for page, is_new in choose_pages(pages, {A: (7, 9)}) if is_new] == [7, 9]
