"""Out and in: the zip, the table, the TREC files, and that other tools find the scoreboard's figures in them."""

import csv
import io
import json
import zipfile

import numpy as np
import pytest

from smart_demo.errors import InputRefused
from smart_demo.judging.archive import (
    COLUMNS,
    JOURNAL_NAME,
    build_archive,
    extract_journal,
    query_id,
    spreadsheet_cell,
    trec_files,
)
from smart_demo.judging.journal import MAX_JOURNAL_BYTES, format_lines
from smart_demo.judging.records import replay
from smart_demo.judging.scoreboard import MEASURES, boards
from smart_demo.judging.trials import METHOD_NAMES, RankedPage, draw_sides
from smart_demo.methods import Weights
from smart_demo.types import PageId, Query
from tests.judging.cases import HOSTILE, SEED, Script, open_journal, page, trial_of


def read_qrels(text):
    """Read a qrels file: the grades of each query's pages."""
    qrels = {}
    for query, zero, name, grade in map(str.split, text.splitlines()):
        pages = qrels.setdefault(query, {})
        assert zero == "0"
        assert PageId.parse(name) not in pages
        pages[PageId.parse(name)] = int(grade)
    return qrels


def read_run(text):
    """Read a run file: the pages of each query with their scores, best first."""
    run = {}
    for query, constant, name, _, score, _ in map(str.split, text.splitlines()):
        assert constant == "Q0"
        run.setdefault(query, []).append((PageId.parse(name), float(score)))
    return {query: sorted(rows, key=lambda row: (-row[1], row[0])) for query, rows in run.items()}


def unpacked(judged):
    """Return the content of each exported file by its name."""
    with zipfile.ZipFile(io.BytesIO(build_archive(judged))) as exported:
        return {name: exported.read(name) for name in exported.namelist()}


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
            for _ in METHOD_NAMES
        )
        trial = trial_of(f"query {n}", rankings=rankings, k=5)
        some = random.choice(np.arange(1, 20), size=int(random.integers(1, 9)), replace=False)
        grades = {int(number): int(random.integers(0, 4)) for number in some}
        ranked_pages = {row.page for ranking in rankings for row in ranking}
        script.grade(trial, {number: grade for number, grade in grades.items() if page(number) in ranked_pages})
        script.vote(trial, ["smart", "pooled", "tie", "bad"][n % 4])
    return script


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
    for method in METHOD_NAMES:
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
    for method in METHOD_NAMES:
        run = read_run(files[f"{method}.run"])
        assert run.keys() == scored.keys()
        for name, query in scored.items():
            rows = query.trial.ranking(method)
            assert [found for found, _ in run[name]] == [row.page for row in rows]
            assert [score for _, score in run[name]] == pytest.approx([row.score for row in rows], abs=2e-6)


def rows_of(judged):
    text = unpacked(judged)["judgements.csv"].decode("utf-8-sig")
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
    files = unpacked(judged)
    assert all(name.replace("/", "").replace(".", "").replace("-", "").isalnum() for name in files)
    assert files[JOURNAL_NAME] == format_lines(judged.events)


def test_everything_needed_to_run_again_is_in_scoreboards_json(script):
    weights = Weights(0.5, 2.0)
    other = trial_of(HOSTILE[0], weights=weights, k=3)
    script = Script("0d" * 16)
    script.vote(other, "smart")
    files = unpacked(replay(script.events))
    assert not any(name.startswith("trec/") for name in files)  # nothing was graded
    (board,) = json.loads(files["scoreboards.json"])["boards"]
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
    files = unpacked(replay([]))
    assert files[JOURNAL_NAME] == b""
    assert json.loads(files["scoreboards.json"])["boards"] == []


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
