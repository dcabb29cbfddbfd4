"""How often the right ranking is better: counts, when they are computed again, and whose judgements count."""

import json
import time
from pathlib import Path

import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.evaluation.metrics import ndcg
from smart_demo.judging.trials import page_order
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, parse_request, parse_request_fields
from smart_demo.server.visitors import visitor_scope
from smart_demo.types import LOCAL, SAMPLES, Query, Scope
from smart_demo.ui.app import build_app
from smart_demo.ui.format import page_key
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.how_often import HowOften
from smart_demo.ui.slides import PAGES, SlideHandlers
from tests.apps import Counting, handlers_of, open_words, settings_below
from tests.documents import write_pdf
from tests.ui.cases import NONSENSE
from tests.ui.parsed_markup import ParsedMarkup
from tests.ui.voting_cases import DOCUMENTS, MINE, Judge, as_visitor, make_judging_store, make_voting

YOURS = "6b" * 16
QUESTIONS = {
    "tide harbour": ("bolts.pdf", 2),
    "bolt torque": ("bolts.pdf", 1),
    "tide moon": ("tides.pdf", 3),
    "<img src=x onerror=alert(1)> ${1} lamp": ("bolts.pdf", 2),
}
"""The page that answers each question."""


def write_questions(folder: Path, grade: int = 3) -> None:
    rows = [
        {"qid": f"q{at}", "query": query, "relevant": [{"document": document, "page": page, "grade": grade}]}
        for at, (query, (document, page)) in enumerate(QUESTIONS.items())
    ]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)))


def start(folder: Path, **changes: object) -> Handlers:
    """Return handlers over complete samples with judged questions. The caller closes their engine."""
    samples = folder / "samples"
    if not samples.exists():
        samples.mkdir(parents=True)
        for document, pages in DOCUMENTS.items():
            write_pdf(samples / document, *pages)
        write_questions(samples)
    handlers = handlers_of(open_words(settings_below(folder, **changes), Counting(WordBackbone())))
    list(handlers.engine.prepare_samples())
    handlers.engine.backbones.main()
    return handlers


@pytest.fixture
def private(tmp_path):
    handlers = start(tmp_path)
    yield handlers
    handlers.engine.close()


@pytest.fixture
def public(tmp_path):
    handlers = start(tmp_path, public=True)
    yield handlers
    handlers.engine.close()


def counter_of(handlers: Handlers) -> HowOften:
    return HowOften(handlers, make_judging_store(handlers))


def counted(how_often: HowOften, choice: str = ON_SAMPLES) -> list[str] | None:
    """Return the outcomes by question in order, once they are computed."""
    how_often.outcomes(choice)
    while how_often.is_pending(choice):
        time.sleep(0.005)
    found = how_often.outcomes(choice)
    return None if found is None else {item.question: str(item.kind) for item in found.items}


def encoded(handlers: Handlers) -> int:
    """Return how many questions were encoded so far."""
    return handlers.engine.backbones.main().queries


def by_search(handlers: Handlers, query: str, document: str, page: int, scope: Scope = SAMPLES) -> str:
    """Return the outcome of a question as a search shows it."""
    left, right = handlers.engine.search(Query(query), [scope], top=20).compared
    (answer,) = [hit.page.id for hit in left.hits if (hit.page.document, hit.page.number) == (document, page)]
    gain = ndcg(page_order(right), {answer: 3}, 10) - ndcg(page_order(left), {answer: 3}, 10)
    return "equal" if abs(gain) < 1e-9 else "better" if gain > 0 else "worse"


def test_the_samples_are_counted_once_and_not_again_after_a_restart(tmp_path):
    first = start(tmp_path)
    expected = {query: by_search(first, query, *answer) for query, answer in QUESTIONS.items()}
    assert set(expected.values()) == {"better", "equal", "worse"}
    before = encoded(first)
    how_often = counter_of(first)
    assert counted(how_often) == expected
    assert counted(how_often) == expected
    assert encoded(first) == before + len(QUESTIONS)
    first.engine.close()

    again = start(tmp_path)
    assert counted(counter_of(again)) == expected
    assert encoded(again) == 0
    write_questions(again.engine.settings.samples, grade=2)
    assert counted(counter_of(again)) == expected
    assert encoded(again) == len(QUESTIONS)
    again.engine.close()


def test_background_counts_leave_caches_and_timings_alone(private):
    counted(counter_of(private))
    assert private.engine.stage_timings([SAMPLES]) == {}


def test_samples_that_are_not_ready_have_no_line(private):
    how_often = counter_of(private)
    counted(how_often)
    file = private.engine.documents(SAMPLES)[0].file
    private.engine.delete_document(SAMPLES, file)
    assert how_often.outcomes(ON_SAMPLES) is None
    list(private.engine.prepare_samples())
    assert set(counted(how_often)) == set(QUESTIONS)


def test_nothing_judged_gives_no_line(private):
    (private.engine.settings.samples / "queries.jsonl").unlink()
    how_often = counter_of(private)
    assert [counted(how_often, choice) for choice in (ON_SAMPLES, ON_MINE, ON_BOTH)] == [None] * 3
    assert "outcomes" not in how_often.render()


def add_own(handlers: Handlers, owner: Scope, folder: Path, name: str = "own.pdf", *pages: str) -> None:
    pages = pages or ("tide table harbour moon", "tide", "tide tide harbour harbour harbour and others of it")
    list(handlers.engine.add(owner, [(write_pdf(folder / name, *pages), name)]))


def vote_for(judge: Judge, query: str, winner: str) -> None:
    judge.look(act="ask", query=query)
    sides = judge.trial.sides
    judge.vote({sides.a: "a", sides.b: "b"}.get(winner, winner))


def open_judge(handlers: Handlers, name: str, voting: object) -> Judge:
    judge = Judge(handlers, name, voting)
    judge.start()
    judge.look(act="scope", scope=ON_MINE)
    return judge


def test_votes_count_for_the_library_they_were_cast_on_and_grades_for_the_pages(private, tmp_path):
    voting = make_voting(private)
    how_often = HowOften(private, voting.judging)
    add_own(private, LOCAL, tmp_path)
    judge = open_judge(private, MINE, voting)
    for query, winner in [("tide", "smart"), ("harbour", "pooled"), ("moon", "tie"), ("table", "bad")]:
        vote_for(judge, query, winner)
    assert counted(how_often, ON_MINE) == {"tide": "better", "harbour": "worse", "moon": "equal", "table": "equal"}
    judge.undo()
    assert set(counted(how_often, ON_MINE)) == {"tide", "harbour", "moon"}

    judge.look(act="ask", query="tide harbour")
    judge.pool()
    fingerprint = private.engine.backbone(LOCAL).encoder.fingerprint
    page = next(page.id for page in private.engine.library.pages([LOCAL], fingerprint) if page.number == 3)
    judge.grade(f"local/{page}", 3)
    graded = by_search(private, "tide harbour", "own.pdf", 3, LOCAL)
    assert counted(how_often, ON_MINE)["tide harbour"] == graded

    add_own(private, LOCAL, tmp_path, "more.pdf", "another page of it")
    assert counted(how_often, ON_MINE) == {"tide harbour": by_search(private, "tide harbour", "own.pdf", 3, LOCAL)}
    for document in private.engine.documents(LOCAL):
        private.engine.delete_document(LOCAL, document.file)
    assert counted(how_often, ON_MINE) is None


def test_votes_of_another_visitor_never_count(public, tmp_path):
    voting = make_voting(public)
    how_often = HowOften(public, voting.judging)
    for name in (MINE, YOURS):
        add_own(public, visitor_scope(name), tmp_path)  # the same document: the same library, by its fingerprint
    vote_for(open_judge(public, YOURS, voting), "tide", "smart")
    with as_visitor(MINE):
        assert counted(how_often, ON_MINE) is None
        assert f'data-scope="{ON_MINE}"' not in how_often.render()
    with as_visitor(YOURS):
        assert counted(how_often, ON_MINE) == {"tide": "better"}
        assert f'data-scope="{ON_MINE}"' in how_often.render()
    with as_visitor(None):
        assert counted(how_often, ON_MINE) is None
    with as_visitor(MINE):
        assert "sentence" in how_often.list_questions({"scope": ON_MINE, "kind": "better"})


def test_delete_everything_deletes_the_outcomes(public, tmp_path):
    voting = make_voting(public)
    how_often = HowOften(public, voting.judging)
    owner = visitor_scope(MINE)
    add_own(public, owner, tmp_path)
    vote_for(open_judge(public, MINE, voting), "a very secret question", "smart")
    with as_visitor(MINE):
        counted(how_often, ON_MINE)
        voting.judging.delete(owner)
        public.engine.delete_library(owner)
        how_often.delete(owner)
        assert how_often.outcomes(ON_MINE) is None
        assert "sentence" in how_often.list_questions({"scope": ON_MINE, "kind": "better"})
    files = [path for path in public.engine.settings.index_dir.rglob("*") if path.is_file()]
    assert not any(b"secret question" in path.read_bytes() for path in files)
    assert build_app(public.engine, public.preparation, public.picture_addresses)  # the page's own deletion includes it


def test_unchanged_libraries_are_counted_once_however_many_visitors_there_are(public, tmp_path, monkeypatch):
    monkeypatch.setattr("smart_demo.judging.judging_store.MAX_OPEN_OWNERS", 2)
    voting = make_voting(public)
    how_often = HowOften(public, voting.judging)
    secrets = [f"{number:032x}" for number in range(6)]  # more than page lists and journals are cached
    for secret in secrets:
        add_own(public, visitor_scope(secret), tmp_path)
        vote_for(open_judge(public, secret, voting), "tide", "smart")
    opened, before = [], None
    journal = voting.judging.journal
    monkeypatch.setattr(voting.judging, "journal", lambda owner: opened.append(owner) or journal(owner))
    for _ in range(2):
        for secret in secrets:
            with as_visitor(secret):
                assert counted(how_often) is not None
                assert counted(how_often, ON_MINE) == {"tide": "better"}
        before = before or (encoded(public), len(opened))
    assert (encoded(public), len(opened)) == before == (encoded(public), len(secrets))


def test_a_visitor_without_judgements_opens_no_journal(public, tmp_path, monkeypatch):
    judging = make_judging_store(public)
    monkeypatch.setattr(judging, "journal", lambda owner: 1 / 0)
    how_often = HowOften(public, judging)
    add_own(public, visitor_scope(MINE), tmp_path)
    with as_visitor(MINE):
        assert counted(how_often, ON_MINE) is None
        assert not how_often.is_pending(ON_MINE)


def judge_own(handlers: Handlers, folder: Path) -> tuple[Judge, HowOften, Path]:
    """Grade a page for one question and vote on another, count both, and return the file of the outcomes."""
    voting = make_voting(handlers)
    how_often, owner = HowOften(handlers, voting.judging), visitor_scope(MINE)
    add_own(handlers, owner, folder)
    judge = open_judge(handlers, MINE, voting)
    vote_for(judge, "tide", "smart")
    judge.look(act="ask", query="a very secret question of the tide")
    judge.pool()
    judge.grade(f"local/{handlers.engine.documents(owner)[0].file}-0003", 3)
    with as_visitor(MINE):
        assert len(counted(how_often, ON_MINE)) == 2
    file = handlers.engine.settings.data_dir / "judgements" / f"{owner}.outcomes.json"
    assert "a very secret question" in file.read_text()
    return judge, how_often, file


def test_own_questions_are_not_counted_again_after_a_restart_and_their_file_is_no_visit(public, tmp_path):
    judge, how_often, file = judge_own(public, tmp_path)
    assert file.stat().st_mtime_ns == file.with_name(f"{judge.owner}.jsonl").stat().st_mtime_ns
    with as_visitor(MINE):
        expected, before = counted(how_often, ON_MINE), encoded(public)
        again = counter_of(public)
        assert counted(again, ON_MINE) == expected
        assert encoded(public) == before
        judge.undo()
        assert counted(how_often, ON_MINE) == {"tide": "better"}


@pytest.mark.parametrize("way", ["everything", "judgements", "expiry"])
def test_saved_outcomes_of_a_visitor_are_deleted_with_the_judgements(public, tmp_path, way):
    judge, how_often, file = judge_own(public, tmp_path)
    engine, judging, owner = public.engine, judge.judging, judge.owner
    version = judging.journal_version(owner)
    if way == "judgements":
        judging.delete(owner)
    elif way == "everything":
        engine.delete_library(owner)
        assert not file.exists()
        judging.delete(owner)
    else:
        engine.set_expiry_listener(judging.discard)
        (visitor,) = [visitor for visitor in engine.library.visitors() if visitor.scope == owner]
        assert engine.expire(visitor)
    assert not file.exists()
    judging.save_outcomes(owner, version, "k", [])  # the count was in progress
    assert not file.exists()
    with as_visitor(MINE):
        assert counted(how_often, ON_MINE) is None


def test_outcomes_saved_during_an_expiry_are_deleted_after_it(public, tmp_path):
    judge, _, file = judge_own(public, tmp_path)
    content = file.read_bytes()
    for path in file.parent.glob(f"{judge.owner}.*"):
        path.unlink()
    file.write_bytes(content)
    judge.judging.discard(judge.owner)
    assert not file.exists()


def test_each_number_opens_its_questions_and_each_question_its_search(private):
    how_often = counter_of(private)
    expected = counted(how_often)
    line = ParsedMarkup(how_often.render())
    assert "4 judged questions" in line.text
    for kind in ("better", "equal", "worse"):
        asked = [query for query, outcome in expected.items() if outcome == kind]
        assert len([tag for tag in line.find("button") if tag["data-kind"] == kind]) == bool(asked)
        read = ParsedMarkup(how_often.list_questions({"scope": ON_SAMPLES, "kind": kind})["list"])
        buttons = [tag for tag in read.find("button") if "data-reopen" in tag]
        again = [parse_request_fields(json.loads(tag["data-reopen"])) for tag in buttons]
        assert [(one.text, one.scope) for one in again] == [(query, ON_SAMPLES) for query in asked]
        assert not read.find("img")


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_what_no_page_sends_gets_a_sentence(private, value):
    how_often = counter_of(private)
    counted(how_often)
    for request in (value, {"scope": value, "kind": "better"}, {"scope": ON_SAMPLES, "kind": value}):
        assert list(how_often.list_questions(request)) == ["sentence"]


def test_a_judged_question_shows_its_answer_page_with_both_places(private):
    how_often = counter_of(private)
    private.find_judged_outcome = how_often.find_outcome
    counted(how_often)
    for query, (document, number) in QUESTIONS.items():
        request = parse_request(query)
        left, right = private.engine.search(Query(query), [SAMPLES], request.methods, 20).compared
        key = next(hit.page.key for hit in left.hits if (hit.page.document, hit.page.number) == (document, number))
        shown = ParsedMarkup(private.render_answer(request))
        assert f"The answer is page {number} of {document}." in shown.joined
        label = f"{left.method.label}: place {left.ranks[key]}; {right.method.label}: place {right.ranks[key]}"
        assert label in shown.values("aria-label", "p")
        slide = SlideHandlers(private, how_often).slide({"asked": request.fields, "slide": PAGES})
        assert f'data-slide-page="{page_key(*key)}"' in slide["markup"]
        assert "✓ The answer" in slide["markup"] or "<h2>The answer</h2>" in slide["markup"]
    assert "The answer is" not in ParsedMarkup(private.render_answer(parse_request("another question"))).joined
