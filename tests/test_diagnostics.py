"""The environment card: the commit without git, package versions, and what it shows if something is missing."""

from dataclasses import replace
from importlib import metadata
from unittest.mock import Mock

import pytest

from smart_demo import diagnostics
from smart_demo.config import Settings
from smart_demo.ui import theme
from smart_demo.ui.render import render
from tests.backbones.cases import loaded
from tests.ui.cases import HOSTILE

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40


@pytest.fixture
def git(tmp_path):
    folder = tmp_path / ".git"
    (folder / "refs" / "heads").mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    return folder


def test_a_branch_may_have_its_own_file(git, tmp_path):
    (git / "refs" / "heads" / "main").write_text(f"{COMMIT}\n")
    (git / "packed-refs").write_text(f"{OTHER} refs/heads/main\n")  # older than the branch's own file
    assert diagnostics.read_commit(tmp_path) == COMMIT[:12]


def test_a_branch_may_be_packed_with_others(git, tmp_path):
    lines = ["# pack-refs with: peeled", f"{OTHER} refs/heads/maintenance", f"^{OTHER}", f"{COMMIT} refs/heads/main"]
    (git / "packed-refs").write_text("\n".join(lines))
    assert diagnostics.read_commit(tmp_path) == COMMIT[:12]


def test_a_commit_may_be_checked_out_by_itself(git, tmp_path):
    (git / "HEAD").write_text(f"{COMMIT}\n")
    assert diagnostics.read_commit(tmp_path) == COMMIT[:12]


def test_a_worktree_reads_its_branch_from_the_main_repository(git, tmp_path):
    own, tree = git / "worktrees" / "side", tmp_path / "side"
    own.mkdir(parents=True)
    tree.mkdir()
    (own / "HEAD").write_text("ref: refs/heads/side\n")
    (own / "commondir").write_text("../..\n")
    (git / "refs" / "heads" / "side").write_text(COMMIT)
    (tree / ".git").write_text(f"gitdir: {own}\n")
    assert diagnostics.read_commit(tree) == COMMIT[:12]


@pytest.mark.parametrize(
    "head",
    [
        "", "ref:", "ref: refs/heads/main", "ref: ../../secret", "ref: refs/../../secret", "ref: /etc/passwd",
        "<script>", "g" * 40, COMMIT[:39], "ref: refs/heads/main\nref: x", "\0",
    ],
)  # fmt: skip
def test_anything_else_is_unknown(git, tmp_path, head):
    (tmp_path / "secret").write_text(COMMIT)
    (git / "HEAD").write_text(head)
    assert diagnostics.read_commit(tmp_path) == "unknown"


def test_bytes_that_are_no_text_and_folders_without_git_are_unknown(git, tmp_path):
    (git / "HEAD").write_bytes(b"\xff\xfe\x00")
    assert diagnostics.read_commit(tmp_path) == "unknown"
    assert diagnostics.read_commit(tmp_path / "elsewhere") == "unknown"


def test_without_mcp_the_page_starts_with_a_notice(monkeypatch):
    def version(package):
        if package == "mcp":
            raise metadata.PackageNotFoundError
        return "1"

    assert diagnostics.has_mcp()
    assert theme.launch_options(Settings(), Mock())["mcp_server"] is True
    monkeypatch.setattr(diagnostics, "find_spec", lambda name: None)
    monkeypatch.setattr(diagnostics.metadata, "version", version)
    assert theme.launch_options(Settings(), Mock())["mcp_server"] is False
    assert diagnostics.package_versions()["mcp"] == "missing: the page starts without its MCP tool"


@pytest.mark.parametrize("name", ["words", "tiny-qwen"])
def test_the_card_shows_the_backbone_as_it_runs(name):
    backbone = loaded(name)
    found = diagnostics.describe_environment(backbone, Settings(codec="float16"))
    card = render("environment", environment=found, warnings=[])
    for fact in (backbone.encoder.fingerprint, backbone.encoder.model, "float32", "cpu", "float16", found.commit):
        assert f"<dd>{fact}</dd>" in card
    assert ("16 a page" in card) == (name == "tiny-qwen")
    assert "notice" not in card


def test_names_and_warnings_never_become_markup():
    found = diagnostics.describe_environment(loaded("words"), Settings())
    for text in HOSTILE:
        named = replace(found, name=text, revision=text)
        card = render("environment", environment=named, warnings=[text])
        assert "<img" not in card
        assert "<script" not in card
