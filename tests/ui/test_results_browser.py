"""Results and lists of queries as a visitor meets them: figures against the core and against ranx, out of one app and
into another, a list from the box to the slide.
"""

import csv
import importlib
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numba
import pytest
from playwright.sync_api import Page, expect

from smart_demo.engine import Engine
from smart_demo.judging import scoreboard
from smart_demo.judging.journal import Journal
from smart_demo.judging.records import pages_to_grade
from smart_demo.judging.scoreboard import boards
from smart_demo.judging.trials import METHOD_NAMES, judged_methods, record_trial, recorded_depth
from smart_demo.methods import Weights
from smart_demo.types import LOCAL, SAMPLES, Query
from tests.apps import PATIENCE, Served, served_app
from tests.documents import write_pdf
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
HOSTILE = '"><img src=x onerror=alert(1)> ${alert(2)} `tide` {{x}} \u202egpj'
SHOWN = HOSTILE.replace("\u202e", "")
QUERIES = [
    "tide table", "harbour master", "bolt torque", "tide gauge harbour", "night watch", "anchor chain", "crane load",
    "fog signal", "pilot boat", "storm warning", "berth plan", "crew list", "bolt tide",
]  # fmt: skip
NEW = "crane berth watch"
"""A query without judgements."""
K = 3


def write_samples(folder: Path) -> Path:
    """Pages that hold words of several queries, some often and some once among many others."""
    filler = "the report of the year says much about many things and names them all"
    texts = []
    for n, query in enumerate(QUERIES):
        first, *rest = query.split()
        texts.append(f"{first} {filler}\n{' '.join(rest)} {QUERIES[n - 1]}\n{filler}")
        texts.append(f"{first} {first}\n{QUERIES[(n + 3) % len(QUERIES)].split()[0]}")
    write_pdf(folder / "port.pdf", *texts)
    write_pdf(folder / "img src=x onerror=alert(3).pdf", f"tide tide {filler}", "table")
    return folder


@contextmanager
def open_app(folder: Path) -> Iterator[Served]:
    samples = folder / "samples"
    samples.mkdir()
    with served_app("words", write_samples(samples), folder / "data") as served:
        judge(served.engine)
        yield served


def judge(engine: Engine) -> None:
    """Votes and grades through the core, before anybody looks: every third page of a pool is left ungraded."""
    journal = Journal(engine.settings.data_dir, LOCAL)
    for n, text in enumerate([*QUERIES, HOSTILE]):
        found = engine.search(Query(text), (SAMPLES,), judged_methods(Weights()), recorded_depth(K))
        trial = record_trial(found, K, journal.session.seed, {"python": "3"})
        winner = ["smart", "smart", "pooled", "tie", "smart", "bad"][n % 6]
        choice = {trial.sides.a: "a", trial.sides.b: "b"}.get(winner, winner)
        journal.vote(trial, choice, ["table"], f"note {n} {HOSTILE}")
        for at, one in enumerate(pages_to_grade(trial)):
            if (n + at) % 3:
                journal.grade(trial, one, (n * 7 + at * 5) % 4)


def open_panel(page: Page, name: str) -> None:
    page.get_by_role("tab", name="Judge", exact=True).click()
    page.locator("#judge-tabs").get_by_role("tab", name=name, exact=True).click()


def boards_text(page: Page) -> str:
    """Everything that the boards say, once they are there."""
    expect(page.locator('.boards[aria-busy="false"] .board-title')).to_be_visible()
    return page.locator('[data-fill="boards"]').inner_text()


def table_of(page: Page) -> dict[str, list[float]]:
    """The measures by method, as they stand in the table."""
    rows = page.get_by_role("table", name=re.compile("Means over")).locator("tbody tr")
    read = {}
    for row in rows.all():
        name, *cells = row.locator("th, td").all_inner_texts()
        read[name] = [float(cell) for cell in cells[:3]]
    return read


def download(page: Page, name: str, to: Path) -> Path:
    with page.expect_download() as coming:
        page.get_by_role("button", name=name).click()
    kept = to / coming.value.suggested_filename
    coming.value.save_as(kept)
    return kept


def never_sideways(page: Page) -> None:
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


@pytest.mark.long
def test_the_scoreboard_goes_out_to_other_tools_and_into_other_apps(app, browser, tmp_path, monkeypatch):
    visit = Visit(browser, app)
    page = visit.open()
    open_panel(page, "Results")
    told = boards_text(page)
    (board,) = boards(Journal(app.engine.settings.data_dir, LOCAL).judgements)
    assert len(board.queries) >= 10
    assert scoreboard.board_title(board) in told
    assert board.votes.conclusion in told
    for sentence in (*scoreboard.cautions(board), scoreboard.conclusion(board, ("smart", "pooled"), "ndcg")):
        assert " ".join(sentence.replace("\u202e", "").split()) in " ".join(told.split())
    shown = table_of(page)
    for method, label in zip(METHOD_NAMES, ("Pooled only", "Late only", "SMART"), strict=True):
        assert shown[label] == [round(board.means[method][name], 3) for name in ("ndcg", "mrr", "hit")]
    expect(page.locator(".range")).to_have_count(9)
    expect(page.locator(".judged-note").first).to_contain_text("onerror=alert(1)")

    everything, lines = download(page, "Download everything", tmp_path), download(page, "Only the journal", tmp_path)
    with zipfile.ZipFile(everything) as packed:
        packed.extractall(tmp_path / "zip")
    assert (tmp_path / "zip" / "judgements.jsonl").read_bytes() == lines.read_bytes()
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    ranx = importlib.import_module("ranx")
    (folder,) = (tmp_path / "zip" / "trec").iterdir()
    qrels = ranx.Qrels.from_file(str(folder / "qrels.txt"), kind="trec")
    for method, label in zip(METHOD_NAMES, shown, strict=True):
        run = ranx.Run.from_file(str(folder / f"{method}.run"), kind="trec")
        theirs = ranx.evaluate(qrels, run, [f"ndcg@{K}", f"mrr@{K}", f"hit_rate@{K}"])
        assert shown[label] == pytest.approx([*theirs.values()], abs=0.0005)

    page.get_by_role("button", name="Delete this evaluation").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".board-none")).to_be_visible()
    expect(page.get_by_role("button", name="Download everything")).to_be_disabled()
    chosen = page.locator("#board-take input[type=file]")
    chosen.set_input_files({"name": "x.zip", "mimeType": "application/zip", "buffer": b"PK\x03\x04<img src=x>"})
    expect(page.locator(".taken.is-refused")).to_contain_text("That zip file cannot be read.")
    chosen.set_input_files(str(everything))
    expect(page.locator(".taken")).to_contain_text("entries imported")
    expect(page.locator(".board-title")).to_be_visible()
    assert boards_text(page) == told
    visit.close()

    with served_app("words", app.samples, tmp_path / "fresh", SMART_PUBLIC="1") as fresh:
        visit = Visit(browser, fresh)
        page = visit.open()
        open_panel(page, "Results")
        expect(page.locator(".board-none")).to_be_visible()
        expect(page.locator("#board-take input[type=file]")).to_have_count(0)
        page.get_by_label("Lines of a judgements.jsonl").fill(lines.read_text("utf-8"))
        page.get_by_role("button", name="Import", exact=True).click()
        expect(page.locator(".taken")).to_contain_text("entries imported")
        assert boards_text(page) == told
        page.reload()
        open_panel(page, "Results")
        assert boards_text(page) == told  # it is this browser's still
        visit.leave()
        visit.close()
        stranger = Visit(browser, fresh)
        stranger.open()
        open_panel(stranger.page, "Results")
        expect(stranger.page.locator(".board-none")).to_be_visible()
        stranger.close()


def run_list(page: Page, text: str) -> None:
    open_panel(page, "Queries")
    page.get_by_role("textbox", name="Queries").fill(text)
    page.get_by_role("button", name="Run the list").click()
    expect(page.locator('.list-found[aria-busy="false"] .list-said')).to_be_visible(timeout=PATIENCE)


def column(page: Page, key: str) -> list[str]:
    rows = page.locator(".list-table tbody tr:visible")
    return rows.evaluate_all("(rows, key) => rows.map((row) => row.dataset[key])", key)


def test_a_list_from_the_box_to_the_slide(app, browser, tmp_path):
    visit = Visit(browser, app)
    page = visit.open()
    relevant = [{"document": "port.pdf", "page": 1, "grade": 3}]
    listed = [json.dumps({"qid": "q0", "query": QUERIES[0], "relevant": relevant})]
    listed += [json.dumps({"query": query}) for query in [*QUERIES[1:7], NEW, HOSTILE]] + ["nonsense"]
    run_list(page, "\n".join(listed))
    expect(page.locator(".list-said")).to_have_text(
        "9 queries searched: Samples, 1.00 × pooled + 1.00 × late, the first 5 pages."
    )
    expect(page.get_by_role("list", name="What was left out")).to_contain_text("Line 10: this is not JSON.")
    expect(page.locator("#list-stop")).to_be_hidden()
    assert column(page, "rbo") == sorted(column(page, "rbo"))
    expect(page.get_by_role("rowheader", name=SHOWN)).to_be_visible()

    by_tau = page.get_by_role("columnheader", name="Kendall τ")
    by_tau.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(by_tau).to_have_attribute("aria-sort", "ascending")
    taus = [float(value) for value in column(page, "tau")]
    assert taus == sorted(taus)
    page.keyboard.press("Space")
    expect(by_tau).to_have_attribute("aria-sort", "descending")
    assert [float(value) for value in column(page, "tau")] == taus[::-1]
    page.get_by_role("columnheader", name="nDCG SMART").get_by_role("button").click()
    assert column(page, "place")[0] == "0"  # the one with judgements; rows without come last either way

    page.get_by_role("button", name="Find the five for my slide").click()
    five = page.get_by_role("region", name="Five for a slide")
    expect(five).to_be_focused()
    expect(five.get_by_role("listitem")).to_have_count(5)
    expect(page.locator("tr.is-picked .list-why:visible")).to_have_count(5)
    page.get_by_label("Show").select_option("The five")
    expect(page.locator(".list-count")).to_have_text("5 of 9 shown")
    page.get_by_label("Show").select_option("All queries")
    page.get_by_label("Find").fill("HARBOUR")
    expect(page.locator(".list-table tbody tr:visible")).to_have_count(2)
    page.get_by_label("Find").fill("")

    kept = download(page, "Download as CSV", tmp_path)
    with kept.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["query"] for row in rows} == {*QUERIES[:7], NEW, HOSTILE}
    assert sum(bool(row["picked because"]) for row in rows) == 5

    page.get_by_role("link", name=f"Open in Compare: {QUERIES[2]}").last.click()
    expect(page.get_by_role("textbox", name="Search")).to_have_value(QUERIES[2])
    expect(page.locator(f'.answer[data-query="{Query(QUERIES[2]).key}"]')).to_be_visible(timeout=PATIENCE)

    open_panel(page, "Queries")  # it is all there still
    expect(page.locator(".list-table tbody tr")).to_have_count(9)
    page.get_by_role("link", name=f"Open in Compare: {HOSTILE[:20]}").last.click()
    expect(page.locator(f'.answer[data-query="{Query(HOSTILE).key}"]')).to_be_visible(timeout=PATIENCE)
    open_panel(page, "Queries")
    page.get_by_role("button", name=f"Vote on: {NEW}").click()
    expect(page.locator("#judge-vote .judge-query")).to_contain_text(NEW, timeout=PATIENCE)
    expect(page.locator("#judge-vote [data-leaving]")).to_have_count(0)
    page.keyboard.press("3")
    expect(page.locator("#judge-vote")).to_contain_text("You said: a tie.", timeout=PATIENCE)
    open_panel(page, "Results")  # what was just said stands there, first
    last = page.locator(".judged").first
    expect(last.locator(".judged-query")).to_have_text(NEW)
    expect(last.locator(".judged-vote")).to_contain_text("Tie; SMART was")
    visit.close()


def test_a_judged_query_opens_as_it_was_judged(app, browser):
    visit = Visit(browser, app)
    page = visit.open()
    open_panel(page, "Results")
    boards_text(page)
    page.get_by_text("queries judged earlier").click()
    page.get_by_role("link", name=f"Open in Compare: {QUERIES[0]}").click()
    expect(page.get_by_role("textbox", name="Search")).to_have_value(QUERIES[0])
    expect(visit.cards("SMART")).to_have_count(K, timeout=PATIENCE)
    visit.close()


def test_a_phone_in_the_dark_never_scrolls_sideways(app, browser):
    visit = Visit(browser, app, width=390, height=844, dark=True)
    page = visit.open()
    open_panel(page, "Results")
    boards_text(page)
    never_sideways(page)
    run_list(page, "\n".join([*QUERIES, HOSTILE, "x" * 300]))
    page.get_by_role("button", name="Find the five for my slide").click()
    never_sideways(page)
    head = page.get_by_role("columnheader", name="Shared")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    shared = [int(value) for value in column(page, "shared")]
    assert shared == sorted(shared, reverse=True)
    assert page.locator('img[src="x"]').count() == 0
    visit.close()
