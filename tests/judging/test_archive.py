"""Out and in: the zip, the table, the TREC files, and that other tools find the scoreboard's figures in them."""

import csv
import importlib
import io
import json
import math
import re
import zipfile
from itertools import pairwise

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.errors import InputRefused
from smart_demo.evaluation.trec import format_qrels, format_run
from smart_demo.judging.archive import (
    COLUMNS,
    JOURNAL_NAME,
    build_archive,
    extract_journal,
    spreadsheet_cell,
    trec_files,
)
from smart_demo.judging.board_records import query_id
from smart_demo.judging.journal import MAX_JOURNAL_BYTES, format_lines
from smart_demo.judging.randomisation import draw_sides
from smart_demo.judging.records import METHODS, JudgedQuery, RankedPage
from smart_demo.judging.replay import replay
from smart_demo.judging.scoreboard import MEASURES, boards
from smart_demo.types import PageId, Query, Weights
from tests.judging.cases import HOSTILE, SEED, Script, open_journal, page, trial_of

MAX_TREC_BYTES = 2**25


def read_qrels(text):
    """Read a qrels file as `format_qrels` writes it. Raises InputRefused with the line's number for anything else."""
    qrels = {}
    for number, (query, zero, name, grade) in trec_rows(text, 4):
        if zero != "0" or not re.fullmatch(r"[0-9]{1,3}", grade):
            raise InputRefused(f"Line {number}: this is not a query, 0, a page and a grade.")
        put(qrels.setdefault(query, {}), page_id(name, number), int(grade), number)
    return qrels


def read_run(text):
    """Read a run file as `format_run` writes it, best score first. Raises InputRefused as `read_qrels` does."""
    run = {}
    for number, (query, constant, name, _, score, _) in trec_rows(text, 6):
        value = finite_score(score)
        if constant != "Q0" or value is None:
            raise InputRefused(f"Line {number}: this is not a query, Q0, a page, a rank, a score and a tag.")
        put(run.setdefault(query, {}), page_id(name, number), value, number)
    return {query: sorted(pages.items(), key=lambda row: (-row[1], row[0])) for query, pages in run.items()}


def trec_rows(text, columns):
    if len(text) > MAX_TREC_BYTES:
        raise InputRefused(f"The file is larger than {MAX_TREC_BYTES // 2**20} MB.")
    for number, line in enumerate(text.split("\n"), start=1):
        row = line.split()
        if row and len(row) != columns:
            raise InputRefused(f"Line {number}: there are {len(row)} columns, not {columns}.")
        if row:
            yield number, row


def put(pages, name, value, number):
    if name in pages:
        raise InputRefused(f"Line {number}: the page stands twice under its query.")
    pages[name] = value


def page_id(text, number):
    try:
        return PageId.parse(text)
    except ValueError:
        raise InputRefused(f"Line {number}: this is no page's id.") from None


def finite_score(text):
    try:
        return float(text) if math.isfinite(float(text)) else None
    except ValueError:
        return None


@pytest.fixture(scope="module")
def script():
    """Thirty random queries at k = 5: ties in the rankings, ungraded pages, some queries without a relevant one."""
    random, script = np.random.default_rng(11), Script()
    for n in range(30):
        rankings = tuple(
            tuple(
                RankedPage(page(int(number)), f"document {number}.pdf", round(1.0 - rank // 3 / 7, 6))
                for rank, number in enumerate(random.permutation(np.arange(1, 15))[:10])
            )
            for _ in METHODS
        )
        trial = trial_of(f"query {n}", rankings=rankings, k=5)
        some = random.choice(np.arange(1, 20), size=int(random.integers(1, 9)), replace=False)
        grades = {int(number): int(random.integers(0, 4)) for number in some}
        ranked_pages = {row.page for ranking in rankings for row in ranking}
        script.grade(trial, {number: grade for number, grade in grades.items() if page(number) in ranked_pages})
        script.vote(trial, ["smart", "pooled", "tie", "bad"][n % 4])
    return script


@pytest.fixture
def ranx(monkeypatch):
    """ranx as plain Python: compiling its metrics would take a minute."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    return importlib.import_module("ranx")


def test_ranx_finds_the_scoreboards_figures_in_the_exported_files(script, ranx, tmp_path):
    judged = replay(script.events)
    (board,) = boards(judged)
    assert len(board.queries) > 20
    assert len(board.without_relevant) + len(board.queries) <= 30
    with zipfile.ZipFile(io.BytesIO(build_archive(judged))) as exported:
        exported.extractall(tmp_path)
    folder = tmp_path / "trec" / board.conditions.id
    names = {"ndcg": f"ndcg@{board.k}", "mrr": f"mrr@{board.k}", "hit": f"hit_rate@{board.k}"}
    qrels = ranx.Qrels.from_file(str(folder / "qrels.txt"), kind="trec")
    for method in METHODS:
        run = ranx.Run.from_file(str(folder / f"{method}.run"), kind="trec")
        theirs = ranx.evaluate(qrels, run, [*names.values()])
        for measure, name in names.items():
            assert board.means[method][measure] == pytest.approx(theirs[name], abs=1e-9), (method, measure)
    told = json.loads((tmp_path / "scoreboards.json").read_text())["boards"][0]
    assert told["means"] == board.means
    assert set(names) == set(MEASURES)


def test_trec_files_have_the_standard_form_and_are_read_back(script):
    (board,) = boards(replay(script.events))
    files = trec_files(board)
    assert list(files) == ["qrels.txt", "pooled.run", "late.run", "smart.run"]
    for line in files["qrels.txt"].splitlines():
        query, zero, name, grade = line.split(" ")
        assert (query[0], len(query), zero, grade in "0123", len(name)) == ("q", 17, "0", True, 21)
    scored = {query_id(query.trial.query): query for query in board.queries}
    assert read_qrels(files["qrels.txt"]) == {name: dict(query.grades) for name, query in scored.items()}
    for method in METHODS:
        run = read_run(files[f"{method}.run"])
        assert run.keys() == scored.keys()
        for name, query in scored.items():
            rows = query.trial.ranking(method)
            assert [found for found, _ in run[name]] == [row.page for row in rows]
            assert [score for _, score in run[name]] == pytest.approx([row.score for row in rows], abs=2e-6)


def test_ties_keep_the_order_that_was_shown_in_tools_that_compute_in_32_bits():
    rows = [(page(n), score) for n, score in enumerate([200.0] * 5 + [0.25, 0.2499999, 0.0, 0.0, -1.0], start=1)]
    lines = [line.split() for line in format_run({"q1": rows}, "smart").splitlines()]
    scores = [np.float32(line[4]) for line in lines]
    assert all(a > b for a, b in pairwise(scores))
    assert [line[3] for line in lines] == [str(n) for n in range(1, 11)]
    assert read_run(format_run({"q1": rows}, "smart"))["q1"][0] == (page(1), 200.0)


qrels_cases = st.dictionaries(
    st.text(alphabet="0123456789abcdef", min_size=16, max_size=16).map(lambda key: query_id(JudgedQuery("", key, "x"))),
    st.dictionaries(st.integers(1, 9).map(page), st.integers(0, 3), min_size=1, max_size=5),
    max_size=4,
)


@settings(deadline=None, max_examples=40)
@given(qrels=qrels_cases)
def test_any_qrels_are_read_back(qrels):
    assert read_qrels(format_qrels(qrels)) == qrels


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (read_qrels, f"q1 0 {page(1)} 1\nq1 0 {page(1)} 2\n", "Line 2: the page stands twice"),
        (read_qrels, f"q1 0 {page(1)}\n", "Line 1: there are 3 columns, not 4"),
        (read_qrels, f"q1 0 {page(1)} -1\n", "this is not a query, 0, a page and a grade"),
        (read_qrels, "q1 0 D0001 1\n", "this is no page's id"),
        (read_run, f"q1 Q0 {page(1)} 1 nan smart\n", "this is not a query, Q0"),
        (read_run, f"q1 Q0 {page(1)} 1 high smart\n", "this is not a query, Q0"),
        (read_run, f"q1 0 {page(1)} 1 0.5 smart\n", "this is not a query, Q0"),
    ],
)
def test_trec_lines_of_another_form_are_refused_by_number(read, text, said):
    with pytest.raises(InputRefused, match=said):
        read(text)


def rows_of(judged):
    with zipfile.ZipFile(io.BytesIO(build_archive(judged))) as exported:
        text = exported.read("judgements.csv").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_table_has_a_row_for_every_vote_and_grade_and_says_which_count():
    script, tide = Script(), trial_of(pooled=(1, 2, 3), smart=(3, 1, 2))
    script.vote(tide, "pooled")
    second = script.vote(tide, "smart")
    script.grade(tide, {3: 2})
    script.skip(trial_of("bolt"))
    script.undo(second)
    rows = rows_of(replay(script.events))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["event"], row["counts"], row["winner"]) for row in rows] == [
        ("vote", "yes", "pooled"),
        ("vote", "undone", "smart"),
        ("grade", "yes", ""),
    ]
    assert [(row["page"], row["grade"], row["pooled rank"], row["smart rank"]) for row in rows][2] == (
        "1",
        "2",
        "3",
        "1",
    )
    assert rows[0]["document"] == ""
    assert rows[2]["document"] == "document 3.pdf"


@pytest.mark.parametrize("text", [*HOSTILE, "@SUM(A1:A9)", "+1+1", "-2+3", "\t=1", "  =1+1", "＝1+1", '"=1', "a,b\n=1"])
def test_nothing_in_a_spreadsheet_is_run(text, tmp_path):
    name = " ".join(text.split())[:255]
    rows = (RankedPage(page(1), name, 0.5),)
    one = open_journal(tmp_path)
    one.vote(trial_of(text, rankings=(rows, rows, rows)), "a", ["other"], text[:1_000])
    one.grade(trial_of(text, rankings=(rows, rows, rows)), page(1), 1)
    vote, grade = rows_of(one.judgements)
    for value in (*vote.values(), *grade.values()):
        assert not value.lstrip().startswith(tuple("=+-@＝＋－＠"))
    assert vote["query"].removeprefix("'") == text
    assert grade["document"].removeprefix("'") == name
    assert spreadsheet_cell(-0.5) == -0.5


def test_the_same_evaluation_gives_the_same_bytes_and_names_are_safe(script):
    judged = replay(script.events)
    assert build_archive(judged) == build_archive(replay([*reversed(script.events)]))
    with zipfile.ZipFile(io.BytesIO(build_archive(judged))) as exported:
        assert all(name.replace("/", "").replace(".", "").replace("-", "").isalnum() for name in exported.namelist())
        assert exported.read(JOURNAL_NAME) == format_lines(judged.events)


def test_everything_needed_to_run_again_is_in_the_sidecar(script):
    weights = Weights(0.5, 2.0)
    other = trial_of(HOSTILE[0], weights=weights, k=3)
    script = Script("0d" * 16)
    script.vote(other, "smart")
    with zipfile.ZipFile(io.BytesIO(build_archive(replay(script.events)))) as exported:
        told = json.loads(exported.read("scoreboards.json"))
        assert not any(name.startswith("trec/") for name in exported.namelist())  # nothing was graded
    (board,) = told["boards"]
    assert board["library"] == {"fingerprint": "0a" * 8, "scopes": ["samples"], "pages": 71, "codec": "int8"}
    assert board["encoder"]["fingerprint"] == "0e" * 8
    assert board["weights"] == {"pooled": 0.5, "late": 2.0, "reduce": "mean", "counted": "all"}
    assert board["versions"] == {"program": "0.1.0", "python": "3.11.7"}
    (query,) = board["queries"]
    sides = draw_sides(SEED, Query(HOSTILE[0]).key)
    assert query == {
        "id": query_id(other.query),
        "query": HOSTILE[0],
        "picture": "",
        "k": 3,
        "seed": SEED,
        "sides": {"a": sides.a, "b": sides.b},
    }
    assert (board["votes"]["wins"], board["votes"]["p"]) == (1, 1.0)


def test_an_exported_evaluation_goes_on_in_a_fresh_library(tmp_path, script):
    judged = replay(script.events)
    one = open_journal(tmp_path)
    assert one.import_lines(extract_journal(build_archive(judged))).added == len(judged.events)
    assert boards(one.judgements) == boards(judged)
    assert one.import_lines(extract_journal(format_lines(judged.events))).added == 0
    again = open_journal(tmp_path / "again")
    again.import_lines(extract_journal(build_archive(one.judgements)))
    assert boards(again.judgements) == boards(judged)


def test_an_empty_evaluation_can_be_exported_too(tmp_path):
    with zipfile.ZipFile(io.BytesIO(build_archive(replay([])))) as exported:
        assert exported.read(JOURNAL_NAME) == b""
        assert json.loads(exported.read("scoreboards.json"))["boards"] == []


def zip_of(name, data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr(name, data)
    return stream.getvalue()


def test_other_archives_are_refused_in_words(script):
    with pytest.raises(InputRefused, match=r"There is no judgements\.jsonl"):
        extract_journal(zip_of("other.txt", b"x"))
    good = bytearray(build_archive(replay(script.events)))
    for broken in (good[:200], b"PK\x03\x04" + b"\0" * 50, good[:60] + b"\xff" * 40 + good[100:]):
        with pytest.raises(InputRefused, match="cannot be read"):
            extract_journal(bytes(broken))


def test_a_zip_that_unpacks_to_too_much_is_not_unpacked(tmp_path):
    bomb = extract_journal(zip_of(JOURNAL_NAME, b"\n" * (MAX_JOURNAL_BYTES + 1_000)))
    assert len(bomb) == MAX_JOURNAL_BYTES + 1
    with pytest.raises(InputRefused, match="larger than"):
        open_journal(tmp_path).import_lines(bomb)
