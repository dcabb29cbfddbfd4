"""Plain English and one name for one thing: words that are banned, names used twice, docstrings that stand alone."""

import ast
import io
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "smart_demo"
BANNED = (
    "whoever", "nobody", "somebody", "so many", "meanwhile", "let go", "what is there", "where there is none",
    "none where", "be it", "make way", "makes way", "lies here",
)  # fmt: skip
PATTERN = re.compile("|".join(rf"\b{words.replace(' ', '[ _]')}\b" for words in BANNED), re.IGNORECASE)
PREPOSITIONS = {"Of", "With", "By", "In", "For", "From", "On", "Whose"}
SOURCES = sorted([*PACKAGE.rglob("*.py"), ROOT / "app.py"])
TEXTS = [
    *SOURCES,
    *sorted(path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)),
    *sorted(path for kind in ("js", "css", "html", "md") for path in PACKAGE.rglob(f"*.{kind}")),
    *sorted([*(ROOT / "assets").glob("*.md"), ROOT / "README.md", ROOT / "Makefile", ROOT / "sample_docs" / "make.py"]),
]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def prose(path: Path) -> Iterator[str]:
    """Yield every docstring, attribute docstring and comment of a module."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def attribute_docs(tree: ast.Module) -> Iterator[str]:
    """Yield the docstrings that follow an assignment."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for before, statement in pairwise(body if isinstance(body, list) else ()):
            match before, statement:
                case (ast.Assign() | ast.AnnAssign(), ast.Expr(value=ast.Constant(value=str(text)))):
                    yield " ".join(text.split())


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_banned_word(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [f"{n}: {line.strip()}" for n, line in enumerate(lines, start=1) if PATTERN.search(line)] == []


def test_conditions_are_said_with_if():
    said = " ".join(text.lower() for path in SOURCES for text in prose(path))
    assert len(re.findall(r"\bwhere\b", said)) <= 0.8 * len(re.findall(r"\bif\b", said))


def test_an_attribute_docstring_stands_alone():
    docs = [(path.name, doc) for path in SOURCES for doc in attribute_docs(parsed(path)) if doc]
    assert [found for found in docs if found[1][0].islower() or found[1].split()[0] in PREPOSITIONS] == []


def test_a_module_name_and_a_class_name_exist_once():
    modules = Counter(path.stem for path in PACKAGE.rglob("*.py") if not path.stem.startswith("__"))
    classes = Counter(
        node.name for path in PACKAGE.rglob("*.py") for node in parsed(path).body if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in (modules + classes).items() if count > 1] == []


def test_a_small_module_with_one_importer_belongs_into_it():
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    importers = defaultdict(set)
    for path in SOURCES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom):
                for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                    importers[name].add(path)
    small = {name for name, path in modules.items() if len(path.read_text(encoding="utf-8").splitlines()) < 60}
    assert sorted(name for name in small if len(importers[name] - {modules[name]}) == 1) == []
