"""The saved comparison: its texts are escaped, it is true to the answer, and it loads nothing from outside."""

import math
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.methods import Counted, Reduce, Weights
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, parse_request
from smart_demo.types import LOCAL
from smart_demo.ui import export, theme
from smart_demo.ui.cards import build_columns
from smart_demo.ui.export import ExportContext, Exporter, make_file_name, make_link, render_document
from smart_demo.ui.format import strip_unprintable
from smart_demo.ui.stories import STORIES, find_outcome
from tests.ui.cases import HOSTILE, NONSENSE, found
from tests.ui.parsed_markup import ParsedMarkup

WHEN = datetime(2026, 3, 9, 8, 5, tzinfo=UTC)
HERE = "http://127.0.0.1:7860/"
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "p", "div", "span", "aside", "b",
    "i", "em", "bdi", "ol", "li", "img", "svg", "path", "footer",
}  # fmt: skip


def read(markup):
    return ParsedMarkup(markup, ALLOWED)


def saved(answer, faces="", thumbnail="", **around):
    given = {"scope": ON_SAMPLES, "time": WHEN} | around
    return render_document(build_columns(answer), lambda _: thumbnail, ExportContext(**given), faces)


@pytest.mark.parametrize(
    "text", [*HOSTILE, "${alert(1)} `x` {{y}}", "</style></title><script>alert(1)</script>", "\ud800\ufffe"]
)
def test_hostile_queries_and_names_are_only_words(text):
    markup = saved(found([0.9, 0.1], [0.1, 0.9], document=text, query=text, notice=text), link=HERE + text)
    seen = read(markup)
    assert not seen.values("href") + seen.values("srcset")
    assert not re.search("[\u202a-\u202e\x00\x1b\ufffe\ud800]", markup)
    markup.encode("utf-8")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\ufffe\uffff"), max_size=400))
def test_any_query_is_shown_as_it_is_or_visibly_cut(text):
    seen = read(saved(found([0.9, 0.1], [0.1, 0.9], query=text)))
    shown = "".join(seen.by_class["asked"]).replace("A picture, without words", "")
    assert len(shown) <= export.MAX_QUERY_CHARS
    whole = " ".join(strip_unprintable(text).split())
    assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1]))


def test_nothing_runs_and_nothing_is_fetched():
    markup = saved(
        found([0.9, 0.1], [0.1, 0.9]), theme.inline_fonts(), "data:image/webp;base64,UklGRg==", link=HERE + "?q=what"
    )
    seen = read(markup)
    (policy,) = [value for tag, name, value in seen.attributes if (tag, name) == ("meta", "content") and "src" in value]
    assert policy.startswith("default-src 'none';")
    assert "script" not in policy
    assert "'unsafe-inline'" not in policy.replace("style-src 'unsafe-inline'", "")
    outside = re.findall(r"""(?:url\(|src=|href=|@import)\s*["']?(?!data:|none)[^"')\s]+""", markup)
    assert outside == []
    assert [value[:5] for tag, name, value in seen.attributes if (tag, name) == ("img", "src")] == ["data:"] * 4
    assert markup.count("@font-face") == len(theme.FONT_FILES)


def test_every_number_on_the_sheet_is_the_answer_s():
    rng = np.random.default_rng(7)
    answer = found(rng.uniform(-0.2, 0.9, 9).tolist(), rng.uniform(0.2, 0.9, 9).tolist(), top=5)
    seen = read(saved(answer))
    hits = [hit for name in ("pooled", "smart") for hit in answer.results[name].hits]
    ranks = {name: answer.results[name].ranks for name in ("pooled", "late", "smart")}
    expected = []
    for hit in hits:
        for part in ("pooled", "late"):
            value = f"{getattr(hit, part):.3f}".replace("-", "−")
            expected.append(f"{part}{value}#{ranks[part][hit.page.key]}")
    assert seen.by_class["part"] == expected
    assert seen.by_class["rank"] == [str(hit.rank) for hit in hits]
    assert seen.by_class["where"] == [f"page {hit.page.number} of {hit.page.pages}" for hit in hits]
    for hit, said in zip(hits[5:], seen.by_class["badge"][5:], strict=True):
        left, right = ranks["pooled"][hit.page.key], hit.rank
        way = f"new, was {left}" if left > 5 else "same place" if left == right else f"was {left}"
        assert said.endswith(way)
        if left <= 5 and left != right:
            assert (f"▲ up {left - right}," if left > right else f"▼ down {right - left},") in said


def test_the_sheet_names_what_was_compared():
    weights = Weights(0.5, 2, Reduce.SUM, Counted.CONTENT)
    answer = found([0.9, 0.1], [0.1, 0.9], weights=weights, query="tide", notice="The query was cut.")
    seen = read(saved(answer, scope=ON_MINE, has_picture=True, link=HERE + "?q=tide&in=My+documents"))
    text = " ".join(seen.joined.split())
    for said in (
        "tide", "with a picture", "ranked 2 of 2 pages", "in My documents", "model minilm", "one vector per page",
        "0.50 × pooled + 2.00 × late (sum)", "our ablation", "The query was cut.", "report.pdf",
        "Scores are for ranking", "9 March 2026, 08:05", HERE + "?q=tide&in=My+documents", "arXiv 2605.24938",
        "Same 2 pages in another order · new first page",
    ):  # fmt: skip
        assert said in text, said


def test_zero_weights_have_a_notice():
    assert "the right column has nothing to rank by" in saved(found([0.9, 0.1], [0.1, 0.9], weights=Weights(0, 0)))


def test_a_page_that_was_not_scored_has_a_dash_for_a_number():
    seen = read(saved(found([0.9, 0.1], [0.5, math.nan])))
    assert any(part.startswith("late–") for part in seen.by_class["part"])
    assert "nan" not in seen.joined


def test_a_story_is_shown_with_its_outcome():
    story = STORIES[1]
    answer = found([0.1] * 6 + [0.0], [0.1] * 6 + [0.9], document=story.document, query=story.query)
    one = find_outcome(answer)
    assert one
    text = "".join(read(saved(answer, story=one)).by_class["story"])
    assert text == f"{story.title} {story.look} {one.sentence}Example 2 of {len(STORIES)}"


def test_a_badge_is_short_but_has_words():
    answer = found([0.9, 0.8, *[0.1] * 30], [0.1, 0.9, *[0.1] * 30], top=3)
    assert read(saved(answer)).by_class["badge"][:2] == ["▼ down 1, now 2", "▲ up 1, now 1"]


@pytest.mark.parametrize(("count", "density"), [(3, "few"), (6, "few"), (7, "some"), (10, "some"), (20, "many")])
def test_the_layout_depends_on_the_number_of_rows(count, density):
    many = found(np.linspace(1, 0, 30).tolist(), np.linspace(0, 1, 30).tolist(), top=count)
    seen = read(saved(many))
    assert ("main", "class", f"sheet is-{density}") in seen.attributes
    assert len(seen.by_class["row"]) == 2 * count


@given(st.text(max_size=300))
def test_a_file_s_name_is_one_on_every_system(text):
    name = make_file_name(text)
    assert re.fullmatch(r"smart-[^\W_]+(-[^\W_]+)*", name), name
    assert len(name) <= export.MAX_NAME_CHARS + len("smart-")
    assert len(name.encode()) < 250


def test_a_file_s_name_keeps_words_of_any_language():
    assert make_file_name("Wie wird die Boje verankert?") == "smart-wie-wird-die-boje-verankert"
    assert make_file_name("潮汐 表") == "smart-潮汐-表"
    assert make_file_name("CON") == "smart-con"


# -- the server's side


@pytest.fixture
def exports(private_page):
    return Exporter(private_page, clock=lambda: WHEN)


def test_the_answer_on_the_screen_is_what_is_saved(exports):
    search = parse_request("tide table", ON_BOTH, 4, 0.5, 2)
    told = exports.comparison({"asked": search.fields, "at": HERE})
    assert told["name"] == "smart-tide-table"
    text = read(told["page"]).joined
    assert "ranked 3 of 3 pages" in text
    assert "0.50 × pooled + 2.00 × late" in text
    assert HERE + "?q=tide+table&in=Both&k=4&lp=0.5&ll=2" in text
    assert "data:image/webp;base64," in told["page"]


def test_any_argument_is_answered_by_a_sentence(exports):
    for value in NONSENSE:
        for wanted in (value, {"asked": value}, {"asked": {"text": value}} if value != {} else {}):
            told = exports.comparison(wanted)
            assert set(told) in ({"sentence"}, {"page", "name"}), wanted
    for wanted in (None, "", [], {}, {"asked": None}, {"asked": {"text": ""}}):
        assert set(exports.comparison(wanted)) == {"sentence"}, wanted


def test_saving_runs_no_encoder_again(exports, private_page, monkeypatch):
    search = parse_request("tide", ON_SAMPLES)
    private_page.render_answer(search)
    monkeypatch.delattr(WordBackbone, "encode_query")
    assert "page" in exports.comparison({"asked": search.fields})


def test_an_empty_library_has_nothing_to_save(fresh_page):
    fresh_page.delete_document(fresh_page.list_documents(LOCAL)[0].file)
    told = Exporter(fresh_page).comparison({"asked": parse_request("tide", ON_MINE).fields})
    assert told["sentence"].startswith("There is no page to compare.")


def test_a_public_page_saves_samples_and_nothing_else(start_complete_page):
    exports = Exporter(start_complete_page(public=True, uploads=False))
    for scope in (ON_MINE, ON_BOTH):
        assert exports.comparison({"asked": parse_request("tide", scope).fields}) == {
            "sentence": "Only the samples can be searched here."
        }
    assert "page" in exports.comparison({"asked": parse_request("tide", ON_SAMPLES).fields})


@pytest.mark.parametrize(
    "at", [*NONSENSE, "javascript:alert(1)", 'http://x/"><b>', "file:///etc/passwd", "http://x/ y", "http://x\n"]
)
def test_only_an_address_of_a_page_becomes_a_link(at):
    assert make_link(parse_request("tide"), at) == ""


def test_a_link_is_returned_only_if_it_repeats_the_search():
    assert make_link(parse_request(" tide "), "https://example.org/a/").startswith("https://example.org/a/?q=tide")
    assert make_link(parse_request("x" * 501), HERE) == ""
    assert make_link(parse_request("tide", picture="kept:1234"), HERE) == ""
