"""Runs of query lists: progress, stops, turns, foreign names, hostile requests, public pages."""

import json
import threading

import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.judging.query_list import MAX_LIST_BYTES
from smart_demo.judging.trials import RankedPage
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, parse_request, parse_request_fields
from smart_demo.types import LOCAL, SAMPLES, Query
from smart_demo.ui.queries_tab import MAX_RUNS, QueriesHandlers, decode_list, describe_list, max_queries
from tests.judging.cases import trial_of
from tests.ui.cases import NONSENSE
from tests.ui.costs_cases import HOSTILE_QUERIES
from tests.ui.parsed_markup import ParsedMarkup
from tests.ui.voting_cases import as_visitor, make_judging_store

ME, OTHER = "0a" * 16, "0b" * 16
USUAL = parse_request()


@pytest.fixture
def lists(private_page):
    return QueriesHandlers(make_judging_store(private_page), private_page)


def ran(lists, text, wanted=USUAL, before=""):
    """Return the last markup and the name of the run."""
    return list(lists.run(text, wanted, before))[-1]


def table(lists, text, wanted=USUAL):
    return lists.table({"run": ran(lists, text, wanted)[1]})


def rows_of(read):
    """Return the attributes of the table's rows, below its head."""
    return [row for row in read.find("tr") if "data-rbo" in row]


def test_progress_is_yielded_after_every_query_and_then_a_place_for_the_table(private_page):
    ticks = iter(range(100))
    slow = QueriesHandlers(make_judging_store(private_page), private_page, clock=lambda: float(next(ticks)))
    steps = list(slow.run("tide\nharbour\ngauge", USUAL))
    names = {name for _, name in steps}
    assert len(names) == 1
    told = [ParsedMarkup(markup) for markup, _ in steps]
    assert [one.text for one in told] == [
        "0 of 3",
        "1 of 3 · a moment left",
        "2 of 3 · a moment left",
        "3 of 3",
        "",
    ]
    assert [one.find(role="progressbar")[0]["aria-valuenow"] for one in told[:-1]] == ["0", "1", "2", "3"]
    assert told[-1].find(**{"data-run": names.pop()})


def test_the_table_has_every_query_the_most_different_first_with_its_request(lists):
    wanted = parse_request("", ON_BOTH, 4, 0.5, 2.0)
    found = table(lists, "tide table harbour\nharbour master\ngauge", wanted)
    read = ParsedMarkup(found["table"])
    assert "3 queries searched: Both, 0.50 × pooled + 2.00 × late, the first 4 pages." in read.text
    overlaps = [float(row["data-rbo"]) for row in rows_of(read)]
    assert overlaps == sorted(overlaps)
    assert {row["data-place"] for row in rows_of(read)} == {"0", "1", "2"}
    again = [
        parse_request_fields(json.loads(tag["data-reopen"])) for tag in read.find("a") if "data-reopen" in tag
    ]
    assert {one.text for one in again} == {"tide table harbour", "harbour master", "gauge"}
    assert {(one.scope, one.top, one.weights) for one in again} == {(ON_BOTH, 4, wanted.weights)}
    assert "nDCG" not in read.text
    assert len(read.find(**{"class": "list-why"})) == 3
    assert found["csv"].count("\r\n") == 4


def test_the_rows_agree_with_a_search(lists, private_page):
    """Independent oracle: the engine's answers, compared here."""
    text = "tide table harbour"
    found = private_page.engine.search(Query(text), (SAMPLES, LOCAL), top=3)
    first = {name: result.hits[0].page for name, result in found.results.items()}
    read = ParsedMarkup(table(lists, text, parse_request("", ON_BOTH, 3))["table"])
    (row,) = rows_of(read)
    pooled, smart = ({hit.page.key for hit in found.results[name].hits} for name in ("pooled", "smart"))
    assert int(row["data-shared"]) == len(pooled & smart)
    assert row["data-first"] == str(int(first["pooled"].key != first["smart"].key))
    assert f"{first['smart'].document}, page {first['smart'].number}" in read.text


def test_judgements_of_the_list_give_both_ndcgs_and_the_better_method(lists):
    relevant = [{"document": "tides.pdf", "page": 1, "grade": 3}, {"document": "gone.pdf", "page": 9, "grade": 1}]
    given = json.dumps({"query": "tide table", "qid": "q1", "relevant": relevant}) + '\n{"query": "gauge"}'
    read = ParsedMarkup(table(lists, given)["table"])
    assert "nDCG pooled" in read.text
    assert "1 graded page of the list is not among the pages searched." in read.text
    rows = {row["data-place"]: row for row in rows_of(read)}
    assert rows["0"]["data-smart"] == "1.000000000"
    assert rows["1"]["data-smart"] == rows["1"]["data-gain"] == ""


def test_own_grades_decide_if_the_list_has_none(lists, private_page):
    page = private_page.engine.search(Query("tide"), (SAMPLES,)).results["smart"].hits[0].page
    rows = (RankedPage(page.id, page.document, 0.5),)
    judging = make_judging_store(private_page)
    judging.journal(LOCAL).grade(trial_of("tide", rankings=(rows, rows, rows)), page.id, 3)
    read = ParsedMarkup(table(lists, "tide\ngauge")["table"])
    judging.delete(LOCAL)
    assert read.text.count("by your grades") == 1
    assert [row["data-better"] != "" for row in rows_of(read)].count(True) == 1


@pytest.mark.parametrize("text", HOSTILE_QUERIES, ids=lambda text: repr(text)[:24])
def test_hostile_queries_are_shown_literally(lists, text):
    line = " ".join(text.split())[:300]
    found = table(lists, json.dumps({"query": line, "qid": '"><b>'}))
    read = ParsedMarkup(found["table"])
    assert not read.find("img", "pre")
    assert "\u202e" not in found["table"]
    if line == "--":
        assert '"--" could not be searched.' in read.text  # the word encoder finds no word in it
        return
    again = parse_request_fields(json.loads(read.find(**{"class": "quiet-link"})[0]["data-reopen"]))
    assert again.text == " ".join("".join(c if c >= " " and c != "\x7f" else " " for c in line).split())


def test_stopping_shows_the_results_so_far(lists):
    steps = lists.run("tide\nharbour\ngauge", USUAL)
    _, name = next(steps)
    next(steps)
    lists.stop(name)
    ended, same = list(steps)[-1]
    assert same == name
    assert ParsedMarkup(ended).find(**{"data-run": name})
    assert "1 of 3 queries searched" in lists.table({"run": name})["table"]
    ran(lists, "tide")  # the turn was released


def test_a_list_waits_for_the_one_before_it_and_can_be_stopped_while_it_waits(lists, monkeypatch):
    monkeypatch.setattr("smart_demo.ui.queries_tab.TURN_POLL_SECONDS", 0.01)
    first, second = lists.run("tide\nharbour", USUAL), lists.run("gauge", USUAL)
    next(first)
    markup, name = next(second)
    assert "Another list is running" in markup
    lists.stop(name)
    stopped = lists.table({"run": list(second)[-1][1]})["table"]
    assert ParsedMarkup(stopped).text.startswith("0 of 1 query searched")
    third = lists.run("gauge", USUAL)
    assert "Another list" in next(third)[0]
    first.close()  # a visitor who leaves releases the turn
    assert [ParsedMarkup(markup).text for markup, _ in third][:2] == ["0 of 1", "1 of 1"]


def test_a_search_during_a_list_is_answered(lists, private_page):
    """A list locks nothing between its queries, so another search does not wait for its end."""
    steps = lists.run("\n".join(f"tide {n}" for n in range(20)), USUAL)
    next(steps), next(steps)
    answers = []
    other = threading.Thread(target=lambda: answers.append(private_page.engine.search(Query("gauge"), (SAMPLES,))))
    other.start()
    other.join(20)
    assert len(answers) == 1
    steps.close()


def test_a_query_that_fails_stops_the_list_and_keeps_its_results(start_page):
    class Failing(WordBackbone):
        asked = 0

        def encode_query(self, query):
            self.asked += 1
            if query.text == "<b>harbour</b>":
                raise LibraryError("The disk is gone.")
            return super().encode_query(query)

    handlers = start_page(main=Failing())
    handlers.engine.backbones.main()
    list(handlers.engine.prepare_samples())
    lists = QueriesHandlers(make_judging_store(handlers), handlers)
    read = ParsedMarkup(table(lists, "tide\n<b>harbour</b>\ngauge")["table"])
    assert "1 of 3 queries searched" in read.text
    assert "The list stopped after 1 of 3 queries. The disk is gone." in read.text


# -- who may ask for what


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_invalid_requests_are_answered_with_a_sentence(lists, value):
    for answer in (lists.table(value), lists.table({"run": value}), lists.vote(value), lists.vote({"run": value})):
        assert answer == {"sentence": "That list is not stored here. It may have been deleted. Run it again."}
    lists.stop(value)
    lists.discard(value)
    markup, _ = ran(lists, value if not isinstance(value, str) else "", before=value)
    assert "There is no list yet" in markup
    name = ran(lists, "tide")[1]
    for at in (None, "0", True, -1, 1, 1.0, [], {}):
        assert lists.vote({"run": name, "at": at}) == {"sentence": "That is no query of the list."}


def test_a_list_replaces_the_worklist_with_its_settings(lists, private_page):
    wanted = parse_request("", ON_MINE, 3, 1.0, 2.0)
    _, name = ran(lists, '{"query": "tide", "qid": "q1", "relevant": []}\n{"query": "gauge"}', wanted)
    assert lists.vote({"run": name, "at": 1}) == {"laid": 2}
    worklist = make_judging_store(private_page).worklist(LOCAL)
    assert [(one.query, one.qid) for one in worklist.queries] == [("tide", "q1"), ("gauge", "")]
    assert (worklist.position, worklist.search.scope, worklist.search.weights.late) == (1, ON_MINE, 2.0)


def test_runs_are_stored_to_a_limit_and_discarded_with_the_next(lists):
    _, first = ran(lists, "tide")
    _, second = ran(lists, "gauge", before=first)
    assert "sentence" in lists.table({"run": first})
    lists.discard(second)
    assert "sentence" in lists.table({"run": second})
    names = [ran(lists, "tide")[1] for _ in range(MAX_RUNS + 1)]
    assert "sentence" in lists.table({"run": names[0]})
    assert "table" in lists.table({"run": names[1]})
    assert len(set(names)) == len(names)
    assert all(len(name) == 32 for name in names)


def test_a_public_page_searches_only_the_samples_and_shorter_lists(public_page):
    judging, most = make_judging_store(public_page), max_queries(private=False)
    lists = QueriesHandlers(judging, public_page)
    with as_visitor("someone"):
        assert "no name to judge under" in ran(lists, "tide")[0]
    with as_visitor(ME):
        for scope in (ON_MINE, ON_BOTH):
            assert "Only the samples can be searched here." in ran(lists, "tide", parse_request("", scope))[0]
        _, name = ran(lists, "\n".join(f"tide {n}" for n in range(most + 5)))
        read = ParsedMarkup(lists.table({"run": name})["table"])
        assert f"{most} queries searched" in read.text
        assert f"This page runs the first {most} queries of a list" in read.text
        lists.vote({"run": name, "at": 0})
        assert len(judging.queries(public_page.owner)) == most
    for secret in (OTHER, "local"):
        with as_visitor(secret):
            assert "sentence" in lists.table({"run": name})
            assert "sentence" in lists.vote({"run": name, "at": 0})


def test_a_list_that_cannot_run_now_is_refused_with_the_reason(start_page):
    handlers = start_page()
    lists = QueriesHandlers(make_judging_store(handlers), handlers)
    assert "The samples are still being prepared: 0 of 2 pages are ready." in ran(lists, "tide")[0]
    assert "is still loading" in ran(lists, "tide", parse_request("", ON_MINE))[0]
    assert "Both weights are 0" in ran(lists, "tide", parse_request("", ON_SAMPLES, 5, 0.0, 0.0))[0]
    with pytest.raises(InputRefused, match="These samples come without queries"):
        lists.sample()


@pytest.mark.parametrize(
    "text", ["x" * (MAX_LIST_BYTES + 1), "\n\n", "{}", "x" * 301], ids=["large", "blank", "json", "long"]
)
def test_invalid_lists_are_refused_with_a_short_sentence(lists, text):
    markup, name = ran(lists, text)
    assert name == ""
    assert 'class="list-refused notice"' in markup
    assert len(markup) < 500


def test_an_uploaded_list_is_put_into_the_box_unchanged():
    assert decode_list("\ufefftide\r\ngauge".encode()) == "tide\r\ngauge"
    for data in (b"\xff\xfe\x00", b"", b"x" * (MAX_LIST_BYTES + 1)):
        with pytest.raises(InputRefused, match="list"):
            decode_list(data)
    judged = '{"query": "tide", "relevant": [{"document": "a", "page": 1, "grade": 1}]}'
    assert describe_list(f'{judged}\n{{"query": "b"}}') == "2 queries, 1 with judgements."
    assert describe_list("tide\ntide") == "1 query. 1 query was repeated and left out."
