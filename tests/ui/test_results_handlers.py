"""The panel Results with hostile requests: foreign owners, invalid arguments, hostile uploads, public pages."""

import base64
import io
import json
import re
import zipfile

import gradio as gr
import pytest

from smart_demo.judging.archive import JOURNAL_NAME, build_archive
from smart_demo.judging.journal import MAX_JOURNAL_BYTES, PUBLIC_JOURNAL_BYTES, format_lines
from smart_demo.judging.records import replay
from smart_demo.types import LOCAL
from smart_demo.ui.app import build_app
from smart_demo.ui.judge_tab import BoardWiring, QueriesPanel, ResultsPanel, server_functions
from smart_demo.ui.queries_tab import QueriesHandlers
from smart_demo.ui.results_tab import ResultsHandlers
from tests.judging.cases import Script, trial_of
from tests.ui.cases import NONSENSE
from tests.ui.voting_cases import as_visitor, make_judging_store

ME, OTHER = "0a" * 16, "0b" * 16


@pytest.fixture
def boards(private_page):
    made = ResultsHandlers(make_judging_store(private_page), private_page)
    yield made
    made.delete({})


@pytest.fixture
def public_boards(public_page):
    made = ResultsHandlers(make_judging_store(public_page), public_page)
    yield made
    for secret in (ME, OTHER):
        with as_visitor(secret):
            made.delete({})


@pytest.fixture
def me():
    """Send every request of a test from one browser."""
    with as_visitor(ME):
        yield


def evaluation(queries=3):
    script = Script()
    for n in range(queries):
        script.vote(trial_of(f"query {n}"), ["smart", "pooled", "tie"][n % 3])
        script.grade(trial_of(f"query {n}"), {1: 3, 2: 0})
    return script


def lines(script):
    return format_lines(replay(script.events).events)


def archive(script):
    return build_archive(replay(script.events))


def zip_of(**files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(name.replace("_", "."), data)
    return stream.getvalue()


# -- out and in


@pytest.mark.parametrize("form", ["zip", "jsonl"])
def test_a_download_can_be_imported_and_restores_everything(boards, private_page, form):
    assert "9 entries imported." in boards.import_evaluation(archive(evaluation()))
    before = boards.scoreboards({})
    file = boards.download({"form": form})
    data = base64.b64decode(file["data"])
    assert re.fullmatch(rf"(smart-evaluation|judgements)-\d{{4}}-\d\d-\d\d\.{form}", file["name"])
    assert "10 already here" in boards.import_evaluation(data)
    assert boards.scoreboards({}) == before
    assert boards.delete({}) == {"said": "The evaluation is deleted."}
    assert boards.scoreboards({})["single"] == ""
    assert "entries imported" in boards.import_evaluation(data)
    assert boards.scoreboards({}) == before
    assert private_page.engine.settings.data_dir.joinpath("judgements", "local.jsonl").exists()


def test_without_judgements_there_is_nothing_to_download(boards):
    assert "nothing is judged" in boards.download({"form": "zip"})["sentence"]
    assert "Nothing is judged yet" in boards.scoreboards({})["boards"]


def test_pages_still_to_grade_are_counted(boards):
    script = Script()
    script.vote(trial_of("tide"), "smart")
    boards.import_evaluation(lines(script))
    assert boards.scoreboards({})["remaining"] == "2 pages of 1 query still to grade, under Grade."


HOSTILE_FILES = {
    "nothing": (b"", "no judgement in that"),
    "blanks": (b"\n \n\n", "no judgement in that"),
    "other zip": (zip_of(other_txt=b"x"), "There is no judgements.jsonl"),
    "broken zip": (b"PK\x03\x04" + b"\0" * 60, "cannot be read"),
    "bomb": (zip_of(judgements_jsonl=b"\n" * (MAX_JOURNAL_BYTES + 1_000)), "larger than"),
    "too large": (b"\n" * (MAX_JOURNAL_BYTES + 1), "larger than 32 MB"),
    "binary": (bytes(range(256)) * 10, "refused"),
    "lines of markup": (b'<img src=x onerror=alert(1)>\n{"v": 1, "event": "<b>"}\n', "2 lines refused"),
    "many bad lines": (b'{"v": 1, "event": 0}\n' * 50, "30 more lines were refused"),
    "another kind of JSON": (b"{}\n" * 50, "That is no evaluation"),
    "deep": (b"[" * 100_000 + b"\n", "That is no evaluation"),
}


@pytest.mark.parametrize("case", HOSTILE_FILES, ids=str)
def test_hostile_uploads_are_refused_and_nothing_is_stored(boards, case):
    data, said = HOSTILE_FILES[case]
    told = boards.import_evaluation(data)
    assert said in told
    assert "<img" not in told
    assert boards.scoreboards({})["single"] == ""


def test_valid_lines_are_imported_and_invalid_ones_named_by_number(boards):
    data = lines(evaluation(1)).replace(b"\n", b"\nnonsense\n", 1)
    told = boards.import_evaluation(data)
    assert "3 entries imported, 1 line refused." in told
    assert "<li>Line 2: this is not JSON." in told


@pytest.mark.parametrize("value", [*NONSENSE, "../../etc/passwd", "local"], ids=repr)
def test_invalid_requests_are_answered_with_a_sentence(boards, value):
    for answer in (boards.download(value), boards.download({"form": value})):
        assert answer.keys() == {"sentence"}
    with as_visitor(value):  # a private page has one owner
        assert boards.scoreboards(value).keys() == {"boards", "single", "remaining"}
    assert 'class="taken is-refused"' in boards.import_text(value if not isinstance(value, str) else "")


# -- public pages


def test_on_a_public_page_every_browser_has_its_own_evaluation(public_boards, public_page):
    boards = public_boards
    with as_visitor(ME):
        assert "9 entries imported" in boards.import_text(lines(evaluation()).decode())
        assert "SMART wins" in boards.scoreboards({})["boards"]
    with as_visitor(OTHER):
        for wanted in ({}, {"owner": ME}):  # a request names no owner
            assert "Nothing is judged yet" in boards.scoreboards(wanted)["boards"]
            assert "nothing is judged" in boards.download({"form": "zip"} | wanted)["sentence"]
            boards.delete(wanted)
    with as_visitor(ME):
        assert "SMART wins" in boards.scoreboards({})["boards"]
    assert not public_page.engine.settings.data_dir.joinpath("judgements", f"{LOCAL}.jsonl").exists()


@pytest.mark.parametrize("secret", [*NONSENSE, "../x", "local", "0A" * 16, ME + "0", f"visitor-{ME}"], ids=repr)
def test_on_a_public_page_an_invalid_secret_owns_nothing(public_boards, secret):
    boards = public_boards
    with as_visitor(secret):
        for answer in (boards.scoreboards({}), boards.download({"form": "zip"}), boards.delete({})):
            assert answer.keys() == {"sentence"}
        assert "no name to judge under" in boards.import_evaluation(lines(evaluation()))


@pytest.mark.usefixtures("me")
def test_a_public_page_states_its_import_limit(public_boards):
    boards = public_boards
    assert "longer than 1 MB" in boards.import_text("x" * (PUBLIC_JOURNAL_BYTES + 1))
    assert "larger than 1 MB" in boards.import_text("ß" * (PUBLIC_JOURNAL_BYTES - 1))
    packed = zip_of(judgements_jsonl=b"\n" * (PUBLIC_JOURNAL_BYTES + 1))
    assert len(packed) < 10_000
    assert "keeps 1 MB of judgements for each visitor" in boards.import_evaluation(packed)
    rankings = trial_of(pooled=range(1, 50), smart=range(1, 50), k=20)
    first, second = Script(), Script("0d" * 16)
    for script in (first, second):
        script.vote(rankings, "tie")
        for _ in range(int(PUBLIC_JOURNAL_BYTES * 0.6 / len(lines(script)))):
            script.vote(rankings, "tie")
    assert "imported" in boards.import_evaluation(lines(first))
    assert "and that would be more" in boards.import_evaluation(lines(second))
    assert boards.scoreboards({})["single"]


# -- the events around them


def wired(handlers, discard):
    judging = make_judging_store(handlers)
    app = build_app(handlers.engine, handlers.preparation, handlers.picture_addresses)
    with app:
        settings = handlers.engine.settings
        panels = (ResultsPanel([], settings), QueriesPanel([], settings))
        boards, lists = ResultsHandlers(judging, handlers), QueriesHandlers(judging, handlers)
        return BoardWiring(boards, lists, panels, discard, private=settings.is_private)


def test_an_uploads_copy_is_deleted_after_success_and_refusal(private_page, tmp_path, monkeypatch):
    gone = []
    wiring = wired(private_page, gone.append)
    folder = tmp_path / "gradio"
    for panel in (wiring.results.file, wiring.queries.file):
        monkeypatch.setattr(panel, "GRADIO_CACHE", str(folder))
    for name, data in (
        ("a.zip", archive(evaluation())),
        ("b.zip", b"PK\x03\x04\xff"),
        ("c.jsonl", b"tide table\n"),
    ):
        path = folder / name[0] / name
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    assert "9 entries imported" in wiring.import_file(str(folder / "a" / "a.zip"))[1]
    assert "cannot be read" in wiring.import_file(str(folder / "b" / "b.zip"))[1]
    assert wiring.load_list_file(str(folder / "c" / "c.jsonl"))[1] == "tide table\n"
    said = []
    monkeypatch.setattr(gr, "Warning", lambda text, **_: said.append(text))
    assert wiring.load_list_file(str(folder / "b" / "b.zip")) == gr.skip()
    assert [path.name for path in gone] == ["a.zip", "b.zip", "c.jsonl", "b.zip"]
    for path in (None, "/etc/passwd", str(tmp_path / "x"), {"path": "x"}, ["a"], "\0"):
        assert wiring.import_file(path) == gr.skip()
        assert wiring.load_list_file(path) == gr.skip()
    assert "No file arrived. Choose it again." in said
    assert len(gone) == 4
    wiring.boards.delete({})


def test_the_server_functions_have_known_names_and_return_json(private_page):
    judging = make_judging_store(private_page)
    functions = server_functions(ResultsHandlers(judging, private_page), QueriesHandlers(judging, private_page))
    assert [one.__name__ for one in functions] == ["board", "board_file", "board_forget", "list_table", "list_vote"]
    for one in functions:
        for value in NONSENSE:
            json.dumps(one(value))


def test_the_journal_in_the_zip_equals_the_journal_download(boards):
    boards.import_evaluation(lines(evaluation()))
    data = base64.b64decode(boards.download({"form": "zip"})["data"])
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        journal = packed.read(JOURNAL_NAME)
    assert journal == base64.b64decode(boards.download({"form": "jsonl"})["data"])
