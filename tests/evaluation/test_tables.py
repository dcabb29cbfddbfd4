"""Rows of tables: every format gives the same rows, and errors name the line."""

import gzip
import string
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.errors import InputRefused
from smart_demo.evaluation import tables
from smart_demo.evaluation.query_sets import DOCUMENT_ID_COLUMNS, read_grade, read_id
from smart_demo.evaluation.tables import Table, TableRow, open_parquet
from tests.evaluation.cases import FakeParquet, write_lines, write_separated

# A file of two rows written by pyarrow 26: a (string), n (int64), image (struct of bytes and path).
REAL_PARQUET = (
    "1f8b08000000000002038592cd4ac34010c767279b909622a174960472c8a15d5ab0450beda9174f5e82141f408825fd009bc6b47e81276f"
    "fa089e7c029fc1c7f0197c0a779354912a8625b33bb3bfff7f76d9f1d1e92171aad25e48485007301d0600b7045427b1af6a0e5964f92a57"
    "0950fd0dc610543aa066a882469c9146f48765fc93e68c1998a71b5b43dbe7aaf0383e39565483dc1f54b569684f84c254896eb14a60aa4a"
    "da4b93d9bf9c773100d75a4fe6f132220ba8d64297452d08f556e27a95c0005d73b18c6631f16287797eb789d7c59ca7d1665e02827bbe17"
    "4af0a9e60dc0723ca54528b8381353d9977647770284fa161c1546023dcb93a8cfaf29bea5929cda887bf9ca64b283751404bc844aab76d1"
    "62d15a8e4f45229f517eb05d5b5bd90e11f05789fc44b9c25ca4f2c990efb8ab50fd56102f86e0d2166f06b48334ca2eafe24d7792a6dd28"
    "cb5637c1759cad17ab24e80f7b07bd434f5fd4d78007f53ec6eaa57d027d737af66e020000"
)


def table(path):
    return Table(path, path.name, FakeParquet)


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fixed_dictionaries({"_id": cells, "text": cells}), min_size=1, max_size=5))
def test_every_form_gives_the_same_rows(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("forms")
    # A row of empty cells is a blank line to a CSV file, and white space around a column's own name is not kept.
    for suffix in (".jsonl", ".jsonl.gz", ".parquet"):
        found = table(write_lines(folder / f"corpus{suffix}", rows))
        assert [row.values for row in found.rows()] == rows
        assert set(found.columns()) == {"_id", "text"}
    for suffix in (".csv", ".tsv"):
        found = table(write_separated(folder / f"corpus{suffix}", rows, ["_id", "text"]))
        assert [row.values for row in found.rows()] == rows


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    lines = write_lines(tmp_path / "a.jsonl", [{"a": "high\u2028water"}])
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


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(InputRefused, match=r"a\.jsonl is not there"):
        list(table(tmp_path / "a.jsonl").rows())


def test_parquet_is_read_by_pyarrow_or_refused_with_the_command_to_install_it(tmp_path):
    path = tmp_path / "test-00000-of-00001.parquet"
    path.write_bytes(gzip.decompress(bytes.fromhex(REAL_PARQUET)))
    real = Table(path, path.name, open_parquet)
    if find_spec("pyarrow"):
        assert real.columns() == ("a", "n", "image")
        rows = list(real.rows(["a", "image"]))
        assert [row.location for row in rows] == [f"{path.name}, row 1", f"{path.name}, row 2"]
        assert rows[0].values == {"a": "x", "image": {"bytes": b"\x89PNG", "path": "p.png"}}
        assert rows[1].values == {"a": None, "image": None}
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(InputRefused, match="is damaged"):
            list(real.rows())
    else:
        with pytest.raises(InputRefused) as caught:
            list(real.rows())
        assert "pyarrow" in str(caught.value)
        assert caught.value.hint == "Run: pip install pyarrow"


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
        ("1e5", "no number"),
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
