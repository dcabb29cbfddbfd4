"""Slides: every story's answer with both its places, the order of the slides, and any request of a client."""

import json
import re
from dataclasses import replace

import pytest

from smart_demo.evaluation.outcomes import Outcome, OutcomeKind, Outcomes
from smart_demo.methods import Weights
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, parse_request
from smart_demo.types import LOCAL, SAMPLES, Query
from smart_demo.ui.format import page_key
from smart_demo.ui.slide_views import (
    MAX_QUESTION_WIDTH,
    compare_ranks,
    describe_moves,
    fit_question,
    render_outcomes,
    render_pages,
    render_ranks,
)
from smart_demo.ui.slides import OUTCOMES, PAGES, RANKS, SlideHandlers
from smart_demo.ui.stories import STORIES, STORY_QUERIES, find_outcome
from tests.apps import handlers_of
from tests.ui.cases import HOSTILE, NONSENSE, found
from tests.ui.parsed_markup import TAGS, ParsedMarkup

ALLOWED = {*TAGS.split(), "article"}
STANDARD = parse_request().compared


def judged(better, equal, worse):
    """Return the outcomes of as many judged questions of each kind."""
    kinds = [OutcomeKind.BETTER] * better + [OutcomeKind.EQUAL] * equal + [OutcomeKind.WORSE] * worse
    return Outcomes("Pooled only", "SMART", tuple(Outcome(f"question {at}", kind) for at, kind in enumerate(kinds)))


class Counted:
    """Counts for every library, or None; or counting that has not finished."""

    def __init__(self, counts: Outcomes | None = None, *, pending: bool = False) -> None:
        self.counts, self.pending = counts, pending

    def outcomes(self, _):
        return self.counts

    def is_pending(self, _):
        return self.pending


def slides_of(handlers, counts=None, *, pending=False):
    return SlideHandlers(handlers, Counted(counts, pending=pending)).slide


def ask(text, slide, **fields):
    return {"asked": parse_request(text, **fields).fields, "slide": slide}


def read(markup):
    return ParsedMarkup(markup, ALLOWED)


@pytest.fixture(scope="module")
def slide(sample_engine):
    """Return the server function over the whole sample library."""
    return slides_of(handlers_of(sample_engine), judged(31, 27, 5))


@pytest.mark.parametrize("number", range(1, len(STORIES) + 1))
def test_the_answer_of_every_story_is_on_its_slides_with_both_places(sample_engine, slide, number):
    query = STORY_QUERIES[number - 1]
    outcome = find_outcome(sample_engine.search(Query(query), (SAMPLES,), parse_request(query).methods))
    key, places = page_key(*outcome.page.key), (outcome.left, outcome.right)
    first = read(slide(ask(query, PAGES))["markup"])
    assert key in first.values("data-slide-page")
    assert f"Example {number} of {len(STORIES)}" in first.text
    stated = {int(place) for place in re.findall(r"\d+", first.by_class["slide-foot"][0].split(".")[0])}
    assert stated == set(places)
    shown = [text for text in first.by_class["is-answer"] if "The answer" in text]
    assert shown
    second = read(slide(ask(query, RANKS))["markup"])
    rows = [re.match(r"\s*(\d+)", text)[1] for text in second.by_class["slide-row"] if "The answer" in text]
    assert tuple(map(int, rows)) == places
    (curve,) = second.find("path", **{"data-curve": key})
    assert "is-answer" in curve["class"]


def test_the_slides_of_all_stories_follow_each_other_and_lead_back(slide):
    position, walked = ask(STORY_QUERIES[0], PAGES), []
    while position:
        answer = slide(position)
        walked.append((position["asked"]["text"], position["slide"]))
        assert answer["at"] == len(walked)
        assert answer["count"] == 2 * len(STORIES) + 1
        if answer["previous"]:
            assert (answer["previous"]["asked"]["text"], answer["previous"]["slide"]) == walked[-2]
        position = answer["next"]
    expected = [(query, number) for query in STORY_QUERIES for number in (PAGES, RANKS)]
    assert walked == [*expected, (STORY_QUERIES[-1], OUTCOMES)]


def test_weights_stay_from_story_to_story_and_a_slide_can_be_linked(slide):
    answer = slide(ask(STORY_QUERIES[0], RANKS, top=7, pooled=0.5, late=2))
    following = answer["next"]["asked"]
    assert (following["top"], following["pooled"], following["late"]) == (7, 0.5, 2)
    assert answer["link"].endswith("k=7&lp=0.5&ll=2")
    assert json.loads(answer["fields"])["text"] == STORY_QUERIES[0]


def test_an_own_question_has_three_slides_and_claims_no_answer(slide):
    answers = [slide(ask("how to clean a buoy", number)) for number in (PAGES, RANKS, OUTCOMES)]
    assert [(answer["at"], answer["count"]) for answer in answers] == [(1, 3), (2, 3), (3, 3)]
    for answer in answers[:2]:
        assert "The answer" not in read(answer["markup"]).text
    assert answers[2]["next"] is None


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_any_request_gets_a_sentence(fresh_page, value):
    slide = slides_of(fresh_page)
    for request in (value, {"asked": value, "slide": 1}, ask("tide", value), ask("tide", 1, scope=value)):
        answer = slide(request)
        assert ("sentence" in answer) != ("markup" in answer)
    for number in (0, 4, 1.5, "1", value):
        assert slide(ask("tide", number)) == {"sentence": "There is no such slide."}


def test_a_library_that_was_emptied_and_a_picture_that_is_gone_are_sentences(fresh_page):
    slide, mine = slides_of(fresh_page), ask("harbour", PAGES, scope=ON_MINE)
    assert "mine.pdf" in slide(mine)["markup"]
    fresh_page.engine.delete_document(LOCAL, fresh_page.list_documents(LOCAL)[0].file)
    answer = slide(mine)
    assert answer["sentence"].startswith("There is no page to compare.")
    assert answer["next"]["slide"] == RANKS, "a presentation can go on"
    gone = slide(ask("", PAGES, picture="kept:" + "0" * 32))
    assert gone["sentence"] == "That picture is no longer kept. Choose it again."


def test_a_page_without_uploads_has_no_slides_of_visitors_documents(public_page):
    slide = slides_of(public_page, judged(1, 0, 0))
    for scope in (ON_MINE, ON_BOTH):
        for number in (PAGES, RANKS, OUTCOMES):
            assert slide(ask("harbour", number, scope=scope))["sentence"] == "Only the samples can be searched here."
    assert "markup" in slide(ask("harbour", PAGES, scope=ON_SAMPLES))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_queries_are_only_words(text):
    ranks = compare_ranks(found([0.9, 0.1], [0.1, 0.9], document=text, query=text), None)
    for markup in (render_pages(ranks, ""), render_ranks(ranks, "")):
        assert not re.search("[\u202a-\u202e\x00\x1b]", read(markup).text)


def test_the_rankings_are_named_by_what_they_compare():
    for weights, name in ((Weights(1, 1), "Overall + detail match"), (Weights(0, 1), "Detail match")):
        slide = read(render_pages(compare_ranks(found([0.9, 0.1], [0.1, 0.9], weights=weights), None), ""))
        assert re.findall(r"Overall match|Overall \+ detail match|Detail match", slide.text) == ["Overall match", name]
        formula = "1.00 × pooled + 1.00 × late" if weights.pooled else "1.00 × late"
        assert slide.by_class["slide-terms"][1].endswith(formula)


def story_ranks(pooled, late, top=3):
    answered = found(pooled, late, top=top, document=STORIES[0].document, query=STORIES[0].query)
    return compare_ranks(answered, find_outcome(answered))


def test_an_answer_below_both_lists_has_a_row_in_each_that_shows_its_fall():
    pooled = [0.5, 0.9, 0.8, 0.7, 0.1, 0.1]
    late = [0.0, 0.9, 0.8, 0.7, 0.6, 0.6]
    slide = read(render_ranks(story_ranks(pooled, late), ""))
    assert slide.by_class["slide-rank"] == ["1", "2", "3", "4", "1", "2", "3", "6"]
    assert len(slide.by_class["is-beyond"]) == 2
    assert len(slide.by_class["is-lower"]) == 1
    assert "Overall + detail match loses here: the answer falls from place 4 to 6." in slide.text


def test_what_moved_is_said():
    ranks = compare_ranks(found([0.9, 0.8, 0.7, 0.1], [0.0, 0.05, 0.5, 2.0]), None)
    said = " ".join(describe_moves(ranks))
    assert said.startswith("2 of 3 pages are in both lists.")
    assert "report.pdf, page 4 rises most, from place 4 to place 1." in said
    same = compare_ranks(found([0.9, 0.8], [0.9, 0.8]), None)
    assert describe_moves(same) == ["Both lists have the same 2 pages in the same order."]


def test_the_count_is_shown_with_its_losses_and_for_which_weights():
    counts = judged(31, 27, 5)
    slide = read(render_outcomes(counts, STANDARD))
    assert " ".join(slide.by_class["slide-counts"][0].split()) == "31 better27 equal5 worse"
    assert "Overall + detail match loses 5 of 63 and changes nothing in 27." in slide.text
    assert "standard weights" not in slide.text
    other = (STANDARD[0], replace(STANDARD[1], weights=Weights(1, 3)))
    assert "Counted with the standard weights" in read(render_outcomes(counts, other)).text
    assert "loses none of 4" in read(render_outcomes(judged(2, 2, 0), STANDARD)).text


def test_without_judged_questions_it_is_said_how_to_judge_and_counting_is_waited_for(fresh_page):
    assert "Open the tab Judge" in read(slides_of(fresh_page)(ask("tide", OUTCOMES))["markup"]).text
    waiting = slides_of(fresh_page, pending=True)(ask("tide", OUTCOMES))
    assert waiting["sentence"].startswith("The judged questions are being counted.")


@pytest.mark.parametrize(("text", "size"), [("short", "large"), ("x" * 61, "medium"), ("漢" * 40, "medium")])
def test_a_longer_question_has_smaller_type(text, size):
    assert fit_question(text) == (text, size)


def test_a_question_that_does_not_fit_is_visibly_cut():
    shown, size = fit_question("word " * 2_000)
    assert size == "small"
    assert shown.endswith("…")
    assert len(shown) <= MAX_QUESTION_WIDTH + 1
