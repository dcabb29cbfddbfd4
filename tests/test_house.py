"""The house rules that a machine can hold: layers, light imports, file length, versions that must agree."""

import ast
import os
import re
import subprocess
import sys
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from smart_demo.backbones.checkpoint_files import HUB_IDS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "smart_demo"
LAYERS = [
    "errors page_text safetensors_header",
    "types wording",
    "methods",
    "config page_list strict_json",
    "ingest backbones scoring store",
    "indexing search",
    "engine",
    "diagnostics",
    "evaluation",
    "judging",
    "server",
    "ui",
    "evidence",
    "measure_commands",
    "cli",
    "__main__",
]
LEVEL = {part: level for level, line in enumerate(LAYERS) for part in line.split()}
FILES = sorted(PACKAGE.rglob("*.py"))
PAGES = [ROOT / "README.md", PACKAGE / "README.md", *sorted((ROOT / "assets").glob("*.md"))]
"""What people read about the program, as Markdown."""


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    """Parts of the package that a file imports, in whatever form it is written."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        parts |= {name.split(".")[1] for name in names if name.startswith("smart_demo.")}
    return parts & set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    me = part_of(path)
    if me == "__init__":
        return
    assert me in LEVEL, f"{path} stands in no layer"
    for other in imported_parts(path) - {me}:
        assert LEVEL[other] < LEVEL[me], f"{path} must not import {other}"


@pytest.mark.parametrize("module", ["smart_demo.engine", "smart_demo.cli"])
def test_importing_the_engine_is_light(module):
    heavy = "torch gradio chromadb transformers onnxruntime rapidocr mcp"
    code = f"import sys, {module}; print([m for m in '{heavy}'.split() if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_on_zerogpu_spaces_comes_before_torch(tmp_path):
    (tmp_path / "spaces.py").write_text("import sys; print('torch first:', 'torch' in sys.modules)")
    env = os.environ | {"SPACES_ZERO_GPU": "1", "SMART_BACKBONE": "words", "SMART_DATA_DIR": str(tmp_path / "data")}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(tmp_path)])
    out = subprocess.run([sys.executable, "-c", "import app"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert out.stdout.strip() == "torch first: False", out.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_is_one_room(path):
    assert len(path.read_text().splitlines()) <= 450


def test_gradio_is_the_same_in_requirements_and_on_the_space():
    pinned = re.search(r"^gradio==([\d.]+)", (ROOT / "requirements.txt").read_text(), re.M)
    declared = re.search(r"^sdk_version: ([\d.]+)$", (ROOT / "README.md").read_text(), re.M)
    assert pinned
    assert declared
    assert pinned[1] == declared[1]


def test_what_gradio_needs_for_its_tools_is_required_as_it_says():
    """Written out beside it: `gradio[mcp]==…` would no longer be the line that README.md is held against."""
    lines = [line.split("#")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()]
    ours = {wanted.name: wanted.specifier for wanted in map(Requirement, filter(str.strip, lines))}
    all_of_it = [wanted for wanted in map(Requirement, metadata.requires("gradio")) if wanted.marker]
    tools = [one for one in all_of_it if one.marker.evaluate({"extra": "mcp"}) > one.marker.evaluate({"extra": ""})]
    assert {wanted.name for wanted in tools} == {"mcp", "pydantic"}
    for wanted in tools:
        assert ours[wanted.name] == wanted.specifier


def test_every_requirement_has_its_reason():
    for name in ("requirements.txt", "tests/requirements.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                assert re.search(r"\s# \w", line), f"{name}: {line}"


def test_the_readme_is_finished():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 200
    for page in PAGES:
        text = page.read_text()
        assert not re.search(r"@@|TODO|TBD", text), page
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (page.parent / link).is_file(), f"{page}: {link}"


def test_every_setting_is_documented():
    named = set(re.findall(r"SMART_[A-Z_]+", (PACKAGE / "config.py").read_text())) - {"SMART_"}
    settings = (ROOT / "assets" / "settings.md").read_text()
    assert sorted(name for name in named if f"`{name}`" not in settings) == []


def test_the_pages_name_only_make_targets_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    code = "\n".join(snippet for page in PAGES for snippet in _code(page.read_text()))
    named = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)\b", code))
    assert named <= targets
    assert {"demo", "test"} <= named


def _code(markdown: str) -> list[str]:
    """Everything set as code: fenced blocks and inline."""
    fences = [a.end() for a in re.finditer(r"^```.*$", markdown, re.M)]
    blocks = [markdown[a:b] for a, b in pairwise(fences)][::2]
    return blocks + re.findall(r"`([^`\n]+)`", markdown)


def test_the_tests_that_hold_the_promises_exist():
    promises = (ROOT / "assets" / "promises.md").read_text()
    named = set(re.findall(r"`((?:\w+/)*test_\w+)`", promises))
    assert len(named) > 10
    assert sorted(name for name in named if not (ROOT / "tests" / f"{name}.py").exists()) == []


def test_the_readme_preloads_and_describes_models_that_the_program_knows():
    pages = "\n".join(page.read_text() for page in PAGES)
    preloaded = re.findall(r"preload_from_hub: \[([\w./-]+)\]", pages)
    assert preloaded
    assert set(preloaded) <= set(HUB_IDS.values())
    (table,) = re.findall(r"^\| backbone \|.*?\n\n", (ROOT / "README.md").read_text(), re.M | re.S)
    assert sorted(re.findall(r"`([\w-]+)`", table)) == sorted({*HUB_IDS, "minilm"})
