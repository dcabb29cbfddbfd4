"""Names, content hashes and folders."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smart_demo.config import Limits
from smart_demo.errors import FileRefused
from smart_demo.ingest import clean_name, describe_limits, files, find_files, inspect, render
from tests.ingest.cases import picture, text_pdf

LIMITS = Limits()
PNG = picture(Image.new("RGB", (3, 2)), "PNG")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x", "x"),
        ("a/b", "b"),
        ("con.pdf", "con.pdf"),
        (".env", ".env"),
        ("<img src=x onerror=alert(1)>.pdf", "<img src=x onerror=alert(1)>.pdf"),
        ("${alert(1)}", "${alert(1)}"),
        ("{{7*7}}", "{{7*7}}"),
        ("](javascript:alert(1))", "](javascript:alert(1))"),
        ("fdp.\u202eexe.pdf", "fdp.exe.pdf"),
        ("a\0b\x1b[31m.pdf", "ab[31m.pdf"),
        ("bad\udcffname.pdf", "badname.pdf"),
        ("  two \t\n lines.pdf ", "two lines.pdf"),
        ("\uff0e\uff0e\uff0fetc\uff0fpasswd", "\uff0e\uff0e\uff0fetc\uff0fpasswd"),
        (
            "\u5831\u544a\uff08\u6700\u7d42\uff09\u3000\u2163 \ufb01\u00bd.pdf",
            "\u5831\u544a\uff08\u6700\u7d42\uff09\u3000\u2163 \ufb01\u00bd.pdf",
        ),
        ("two  spaces.pdf", "two  spaces.pdf"),
        ("e\u0301te\u0301.pdf", "\u00e9t\u00e9.pdf"),
        ("", "document"),
        ("..", "document"),
        ("/", "document"),
        ("\u200b\u200b", "document"),
    ],
)
def test_names_are_cleaned_for_showing_and_otherwise_left_as_they_are(name, shown):
    assert clean_name(name) == shown


def test_a_long_name_is_cut_in_its_middle_and_keeps_its_extension():
    assert clean_name("x" * 5_000 + ".pdf") == "x" * 250 + "…" + ".pdf"
    assert len(clean_name("🙂" * 300 + ".pdf")) == 255
    assert len(clean_name("a." + "b" * 5_000)) == 255


class CountedPattern:
    """A pattern that counts the characters handed to it, and those that it hands on."""

    def __init__(self, pattern):
        self.pattern, self.given, self.matched = pattern, 0, 0

    def sub(self, replace, text):
        self.given += len(text)
        return self.pattern.sub(self.count(replace), text)

    def count(self, replace):
        def counted(match):
            self.matched += len(match[0])
            return replace(match)

        return counted


@pytest.mark.parametrize("name", [" " * 100_000, " \n" * 50_000, "/ " * 50_000, "a\u0301\u0323" * 40_000])
def test_a_name_of_any_length_costs_what_a_short_one_does(monkeypatch, name):
    counted, normalized = CountedPattern(files.WHITE_SPACE), []
    normalize = unicodedata.normalize
    monkeypatch.setattr(files, "WHITE_SPACE", counted)
    monkeypatch.setattr(
        unicodedata, "normalize", lambda form, text: normalized.append(len(text)) or normalize(form, text)
    )
    assert len(clean_name("a" + name + "b.pdf")) <= 255
    assert sum(normalized) <= files.MAX_RAW_LENGTH + 1
    assert counted.matched <= counted.given <= files.MAX_RAW_LENGTH + 1


@given(st.text(" \t\n\u2028\u3000\x85ab", max_size=30))
def test_white_space_with_a_line_break_is_one_space_and_other_spaces_stay(name):
    quadratic = re.compile(r"\s*[\t-\r\x1c-\x1f\x85\u2028\u2029]\s*")
    assert clean_name(f"a{name}b") == quadratic.sub(" ", f"a{name}b")


@given(st.text(st.characters(), max_size=600))
def test_a_cleaned_name_is_one_short_visible_line_and_stays_as_it_is(name):
    shown = clean_name(name)
    assert 1 <= len(shown) <= 255
    assert not {"/", "\\"} & set(shown)
    assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(character) for character in shown}
    shown.encode()
    assert clean_name(shown) == shown


def test_the_same_bytes_have_the_same_ids_under_any_name(tmp_path):
    content = text_pdf("same")
    for name in ("one.pdf", "two.dat"):
        (tmp_path / name).write_bytes(content)
    one, two = (inspect(tmp_path / name, name, LIMITS) for name in ("one.pdf", "two.dat"))
    assert one.file == two.file == hashlib.sha256(content).hexdigest()[:16]
    assert (one.name, two.name) == ("one.pdf", "two.dat")
    (page,) = render(one, LIMITS)
    assert str(page.id) == f"{one.file}-0001"
    (tmp_path / "two.dat").write_bytes(text_pdf("other"))
    assert inspect(tmp_path / "two.dat", "two.dat", LIMITS).file != one.file


def test_links_folders_pipes_and_missing_files_are_refused_in_words(tmp_path):
    (tmp_path / "real.png").write_bytes(PNG)
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    os.mkfifo(tmp_path / "pipe.png")
    for name, words in {"link.png": "a link", "pipe.png": "not a file", "gone.png": "not there"}.items():
        with pytest.raises(FileRefused, match=words):
            inspect(tmp_path / name, name, LIMITS)
    with pytest.raises(FileRefused, match="a folder, not a file"):
        inspect(tmp_path, "folder", LIMITS)
    with pytest.raises(FileRefused, match="cannot be read"):
        inspect(tmp_path / "nul\0.png", "nul.png", LIMITS)


def test_a_file_over_the_limit_of_bytes_is_refused_with_both_figures(tmp_path):
    path = tmp_path / "big.png"
    path.write_bytes(PNG + bytes(3 * 10**6))
    with pytest.raises(FileRefused, match=r"big.png has 3\.0 MB; the limit is 2 MB"):
        inspect(path, path.name, replace(LIMITS, file_bytes=2 * 10**6))


def test_a_path_that_looks_like_an_option_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-upw x.pdf").write_bytes(text_pdf("an option?"))
    (found,), notices = find_files([Path("-upw x.pdf")])
    (page,) = render(inspect(found, found.name, LIMITS), LIMITS)
    assert (page.document, notices) == ("-upw x.pdf", ())


def test_folders_are_listed_in_order_and_skipped_entries_are_noticed(tmp_path):
    folder = tmp_path / "docs"
    for name in ("b.pdf", "a/z.png", "a/c.dat", ".hidden/x.png", ".x.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PNG)
    (folder / "notes.txt").write_text("BMW is a car")
    (tmp_path / "secret.png").write_bytes(PNG)
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    files, notices = find_files([folder])
    assert [str(path.relative_to(folder)) for path in files] == ["b.pdf", "a/c.dat", "a/z.png"]
    assert notices == ("docs: skipped 6 entries (hidden, linked or of another type): .hidden, .x.png, notes.txt, ….",)


def test_named_files_are_always_listed_and_missing_ones_noticed(tmp_path):
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / ".scan.png").write_bytes(PNG)
    named = [tmp_path / "notes.txt", tmp_path / ".scan.png", tmp_path / "gone\u202e.pdf", tmp_path / "notes.txt"]
    files, notices = find_files(named)
    assert files == (tmp_path / "notes.txt", tmp_path / ".scan.png")
    assert notices == ("gone.pdf is not there.",)


def test_the_described_limits_are_the_settings():
    text = describe_limits(Limits(pages=7, file_bytes=3 * 10**6, pixels=9_000_000, files=4))
    assert "4 files" in text
    assert "3 MB and 7 pages" in text
    assert "9 megapixels" in text
