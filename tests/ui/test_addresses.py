"""What the server makes of addresses: links in its markup, and one sentence for all that a visitor cannot open."""

from dataclasses import replace
from urllib.parse import parse_qsl

import pytest

from smart_demo.search.request import ON_MINE, format_url_query, parse_request, parse_url_query
from smart_demo.types import LOCAL, SAMPLES, Query, Scope
from smart_demo.ui import compare, library_tab
from smart_demo.ui.queries_tab import QueriesHandlers
from smart_demo.ui.results_tab import ResultsHandlers
from tests.ui.cases import HOSTILE, NONSENSE, found
from tests.ui.parsed_markup import ParsedMarkup
from tests.ui.voting_cases import DIALS, Judge, as_visitor

OTHER = "0b" * 16
NOT_LISTED = "That query is not in this list. It may have been deleted."
PLACES = ("tab", "panel", "page", "at", "why", "doc", "query", "list", "present")


@pytest.mark.parametrize("value", ["", "local/0123456789abcdef", "samples/x", "<script>", "../../etc/passwd", "\0"])
def test_places_in_an_address_do_not_change_its_search(value):
    default = parse_request("the example")
    search = {"q": "tide", "in": ON_MINE, "k": "7", "ll": "2"}
    assert parse_url_query(search | dict.fromkeys(PLACES, value), default) == parse_url_query(search, default)
    assert parse_url_query(dict.fromkeys(PLACES, value), default) == default


def test_each_document_is_a_link_that_names_no_visitor(private_page):
    (mine,), samples = private_page.list_documents(LOCAL), private_page.list_documents(SAMPLES)
    foreign = replace(mine, scope=Scope("visitor-00ff"))
    markup = ParsedMarkup(library_tab.render_documents([mine, foreign], 0, loading=False))
    assert markup.values("href", "a") == [f"?tab=library&doc=local/{mine.file}"] * 2
    assert markup.values("data-doc") == [f"local/{mine.file}"] * 2
    markup = ParsedMarkup(library_tab.render_sample_documents(samples, None))
    assert markup.values("data-doc") == [f"samples/{sample.file}" for sample in samples]
    assert "data-pending" in library_tab.render_documents((), 0, loading=True)
    assert "data-pending" not in library_tab.render_documents((), 0, loading=False)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_judged_query_is_a_link_to_its_search(judge, text):
    judge.start()
    judge.look(act="ask", query=text)
    judge.vote("tie")
    (entry,) = judge.journal.judgements.votes.values()
    with as_visitor(judge.name):
        markup = ResultsHandlers(judge.judging, judge.handlers).scoreboards({})["single"]
    href = ParsedMarkup(markup).values("href", "a")[-1]
    request = parse_url_query(dict(parse_qsl(href.removeprefix("?"))), parse_request("other"))
    assert request == parse_request(entry.trial.query.text.strip())


def test_an_empty_answer_has_its_address_and_an_error_has_none():
    request = parse_request("tide", ON_MINE)
    nothing = compare.render_results(found([], []), lambda _: b"", format_url_query(request), "{}")
    assert ParsedMarkup(nothing).values("data-link") == [format_url_query(request)]
    assert ParsedMarkup(compare.render_empty("No answer", "Why")).values("data-link") == []


def test_a_link_opens_a_query_of_the_list_and_begins_no_judging(judge):
    key = judge.worklist.queries[2].key
    assert "data-start" in judge.look(act="find", query=key)
    assert not judge.judging.started(judge.owner)
    judge.start()
    assert f'data-key="{key}"' in judge.look(act="find", query=key)
    assert judge.worklist.position == 2
    assert f'data-key="{key}"' in judge.pool(act="find", query=key)


@pytest.mark.parametrize("key", [*NONSENSE, Query("not in the list").key, "0" * 16], ids=repr)
def test_a_query_that_is_not_in_the_list_is_one_sentence(judge, key):
    for start in (False, True):
        if start:
            judge.start()
        before = judge.worklist
        assert NOT_LISTED in judge.look(act="find", query=key)
        assert judge.worklist == before


def test_an_event_that_had_to_wait_and_lost_its_step_shows_the_open_query(judge):
    judge.start()
    shown = judge.worklist.current.key
    with as_visitor(judge.name):
        assert f'data-key="{shown}"' in judge.voting.vote_panel(None, *DIALS)


def test_another_visitor_s_query_and_list_are_answered_as_deleted_ones(start_judging):
    handlers = start_judging(public=True)
    alice = Judge(handlers)
    bob = Judge(handlers, OTHER, alice.voting)
    alice.start()
    alice.look(act="ask", query="a query of her own")
    own = alice.worklist.current.key
    assert f'data-key="{own}"' in alice.panel
    bob.start()

    def without_turn(panel: str) -> str:
        return panel.partition(">")[2]

    assert without_turn(bob.look(act="find", query=own)) == without_turn(bob.look(act="find", query="0" * 16))

    lists = QueriesHandlers(alice.judging, handlers)
    with as_visitor(alice.name):
        *_, (_, run) = lists.run("tide\ngauge", parse_request())
        assert set(lists.table({"run": run})) == {"table", "csv", "name"}
    with as_visitor(OTHER):
        foreign = lists.table({"run": run})
        assert foreign == lists.table({"run": "0" * 32})
        assert foreign["sentence"].startswith("That list is not stored here. It may have been deleted.")
    lists.discard(run)
    with as_visitor(alice.name):
        assert lists.table({"run": run}) == foreign


def test_a_judged_query_is_a_link_while_the_list_has_it(judge):
    judge.start()
    judge.vote("tie")
    key = judge.trial.query.key
    results = ResultsHandlers(judge.judging, judge.handlers)
    with as_visitor(judge.name):
        assert f"?tab=judge&query={key}" in ParsedMarkup(results.scoreboards({})["single"]).values("href", "a")
        judge.judging.set_queries(judge.owner, judge.worklist.queries[3:])
        assert f"?tab=judge&query={key}" not in ParsedMarkup(results.scoreboards({})["single"]).values("href", "a")
