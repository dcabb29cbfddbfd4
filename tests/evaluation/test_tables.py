"""Rows of tables: every format gives the same rows, and errors name the line."""

import contextlib
import gzip
import socket
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.errors import InputRefused
from smart_demo.evaluation import tables
from smart_demo.evaluation.query_sets import DOCUMENT_ID_COLUMNS, read_grade, read_id
from smart_demo.evaluation.tables import Table, TableRow
from tests.evaluation.cases import picture, write_rows


def table(path):
    return Table(path, path.name)


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fixed_dictionaries({"_id": cells, "text": cells}), min_size=1, max_size=5))
def test_every_form_gives_the_same_rows(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("forms")
    for suffix in tables.SUFFIXES:
        found = table(write_rows(folder / f"corpus{suffix}", rows))
        assert [row.values for row in found.rows()] == rows
        assert set(found.columns) == {"_id", "text"}


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    lines = write_rows(tmp_path / "a.jsonl", [{"a": "high\u2028water"}])
    lines.write_bytes(b"\xef\xbb\xbf\r\n" + lines.read_bytes().replace(b"\\u2028", "\u2028".encode()) + b'{"a": 1}')
    assert [(row.location, row.values["a"]) for row in table(lines).rows()] == [
        ("a.jsonl, line 2", "high\u2028water"),
        ("a.jsonl, line 3", 1),
    ]
    cells = tmp_path / "b.csv"
    cells.write_text('a,b\n\n"two\nlines",2\n3,4\n')
    assert [row.location for row in table(cells).rows()] == ["b.csv, line 3", "b.csv, line 5"]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.jsonl", b'{"a": 1}\n{not json\n', "a.jsonl, line 2: this is not JSON"),
        ("a.jsonl", b"[" * 100_000, "line 1: this is not JSON"),
        ("a.jsonl", b'{"a": ' + b"9" * 5_000 + b"}", "line 1: this is not JSON"),
        ("a.jsonl", b"[1]\n", "line 1: this is not a JSON object"),
        ("a.jsonl", b'{"a": 1}\n\n{"a": "\xff"}', "line 3: this is not UTF-8"),
        ("a.jsonl", "{}".encode("utf-16"), "line 1: this is not UTF-8"),
        ("a.jsonl.gz", b'{"a": 1}', "a.jsonl.gz is damaged"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 999, mtime=0)[:-9], "a.jsonl.gz is damaged"),
        ("a.csv", b"a,b\n1,2\n3\n", "a.csv, line 3: there are 1 cells under 2 columns"),
        ("a.csv", b"a,a\n1,2\n", "line 1: two columns have one name"),
        ("a.tsv", b'a\tb\n"never closed\t2\n', "this cannot be read"),
        ("a.csv", b"a\n" + b"x" * 200_000, "line 2: this cannot be read"),
        ("a.csv", b"a\n\xff\n", "line 2: this is not UTF-8"),
        ("a.parquet", b"PAR1 and nothing else", "a.parquet is damaged"),
    ],
)
def test_errors_name_the_line(tmp_path, name, data, said):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputRefused) as caught:
        list(table(path).rows())
    assert said in caught.value.sentence


def test_lines_and_files_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 1_000)
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 20_000)
    for data in (b"x" * 5_000, b"{}\n" * 10_000):
        path = tmp_path / "a.jsonl.gz"
        path.write_bytes(gzip.compress(data))  # a few bytes
        with pytest.raises(InputRefused, match="too large"):
            list(table(path).rows())


def test_lines_that_end_with_cr_alone_are_refused_with_the_cure_if_there_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 1_000)
    path = tmp_path / "a.jsonl"
    for data, cure in ((b"{}\r" * 900, "Save it with LF line ends."), (b"x" * 2_000, "")):
        path.write_bytes(data)
        with pytest.raises(InputRefused, match="too large") as caught:
            list(table(path).rows())
        assert caught.value.hint == cure


def test_a_trec_ranking_is_refused_at_its_real_line(tmp_path):
    path = tmp_path / "qrels.txt"
    path.write_text("\n \nq1 Q0 d1 1 0.5 run\n")
    with pytest.raises(InputRefused, match=r"qrels\.txt, line 3: this is a line of a TREC ranking"):
        list(table(path).judgement_rows())


@pytest.mark.parametrize("form", ["%.18e", "%.17g", "%r", "%.30f", "+%s"])
@pytest.mark.parametrize("grade", [0.0, 1 / 3, 1.0, 2.0])
def test_numbers_are_read_in_every_form_that_python_and_numpy_write(form, grade):
    text = form % grade
    assert tables.is_number(text)
    assert read_grade(TableRow("", {"score": text})) == pytest.approx(grade)


@pytest.mark.parametrize("text", ["0." + "1" * 31, "1" * 10, "1e", "1.2.3", "--1", "", ".", "0x1", "inf"])
def test_what_is_no_number_of_sane_length_is_none(text):
    assert not tables.is_number(text)


@pytest.mark.parametrize("name", ["README.txt", "readme.txt", "LICENSE.txt", "Licence.txt"])
@pytest.mark.parametrize("place", ["qrels/test", "qrels"])
def test_notes_beside_judgements_are_no_judgements(tmp_path, name, place):
    for part in ("corpus", "queries"):
        write_rows(tmp_path / f"{part}.jsonl", [{"_id": "1", "text": "x"}])
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\t1\t1\n")
    (tmp_path / place / name).write_text("About this collection.")
    (found,) = tables.find_layout(tmp_path, "test").qrels
    assert found.name == f"{place}/test.tsv"
    if place == "qrels":
        with pytest.raises(InputRefused) as caught:
            tables.find_layout(tmp_path, "dev")
        assert caught.value.hint == "There are some for test: name one with --split."


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(InputRefused, match=r"a\.jsonl is not there"):
        list(table(tmp_path / "a.jsonl").rows())


def test_parquet_is_read_in_part_without_connections_and_its_pictures_stay_bytes(tmp_path, monkeypatch):
    connections = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: connections.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: connections.append(address))
    folder = tmp_path / "odd [1] *"
    rows = [{"a": "007", "n": 1, "image": picture(b"\x89PNG")}, {"a": None, "n": None, "image": None}] * 20
    found = table(write_rows(folder / "test-00000-of-00001.parquet", rows))
    assert found.columns == ("a", "n", "image")
    read = list(found.rows(["image", "a"]))
    assert [row.location for row in read[::39]] == [f"{found.name}, row 1", f"{found.name}, row 40"]
    assert [row.values for row in read] == [{"a": row["a"], "image": row["image"]} for row in rows]
    assert connections == []


def test_the_columns_of_a_parquet_table_are_read_once(tmp_path, monkeypatch):
    datasets = tables.import_datasets("this test reads Parquet")
    opened, load = [], datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda *form, **options: opened.append(1) or load(*form, **options))
    found = table(write_rows(tmp_path / "a.parquet", [{"a": "x", "n": 1}]))
    for _ in range(2):
        assert [row.values for row in found.rows(["n", "missing"])] == [{"n": 1}]
    assert (found.columns, len(opened)) == (("a", "n"), 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, 99))
def test_a_damaged_parquet_file_is_read_or_refused(tmp_path_factory, changes, cut):
    path = tmp_path_factory.mktemp("damaged") / "a.parquet"
    data = bytearray(write_rows(path, [{"a": "x" * n, "image": picture(b"y" * n)} for n in range(30)]).read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    path.write_bytes(data[: len(data) - cut])
    with contextlib.suppress(InputRefused):
        list(table(path).rows())


@pytest.mark.parametrize(
    "given",
    [None, "", "  ", 1.5, True, -1, 2**63, [], {}, "two\nlines", "\x1b[2J", "\u202egnp", "\ud800", "x" * 501],
)
def test_invalid_ids_are_refused(given):
    with pytest.raises(InputRefused, match=r"a\.jsonl, line 3: "):
        read_id(TableRow("a.jsonl, line 3", {"_id": given}), DOCUMENT_ID_COLUMNS, "document")


@settings(max_examples=40, deadline=None)
@given(
    st.text(string.printable.strip() + " é漢", min_size=1, max_size=50).filter(str.strip) | st.integers(0, 2**63 - 1)
)
def test_any_other_id_is_taken_as_it_is(name):
    assert read_id(TableRow("", {"corpus-id": name}), DOCUMENT_ID_COLUMNS, "document") == str(name)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("-1", "negative"),
        (-0.5, "negative"),
        ("9" * 400, "no number"),
        ("1e5", "from 0 to 100"),
        ("nan", "no number"),
        (float("nan"), "from 0 to 100"),
        (float("inf"), "from 0 to 100"),
        (10**400, "from 0 to 100"),
        ("101", "from 0 to 100"),
        (True, "no number"),
        (None, "no number"),
        ("", "no number"),
        ("٣", "no number"),
    ],
)
def test_invalid_grades_are_refused(given, said):
    with pytest.raises(InputRefused, match=f"qrels/test.tsv, line 9: .*{said}"):
        read_grade(TableRow("qrels/test.tsv, line 9", {"score": given}))


@pytest.mark.parametrize(("given", "grade"), [("2", 2), (" 1.0 ", 1), (0, 0), (0.5, 0.5), (100, 100)])
def test_grades(given, grade):
    assert read_grade(TableRow("", {"score": given})) == grade
