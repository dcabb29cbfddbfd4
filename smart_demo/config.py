"""Settings, read once from the environment. No other module reads a SMART_ variable."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from smart_demo.errors import SettingRefused
from smart_demo.wording import MEGABYTE

CODECS = ("int8", "float16", "float32")
DTYPES = ("auto", "float32", "bfloat16", "float16")
TOKEN_FILTERS = ("code", "paper")
NEWEST_REVISION = "newest"
REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLE_DOCUMENTS = REPOSITORY / "sample_docs"
SHIPPED_ENCODINGS = REPOSITORY / "assets" / "samples-minilm.encodings"
"""The pages of SAMPLE_DOCUMENTS as minilm encodes them by default; `make sample-encodings` writes it."""
NO_ENCODINGS = "off"
HUB_ENCODINGS = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)@([0-9a-f]{40})")
"""A dataset on the hub and its commit, in SMART_SAMPLE_ENCODINGS."""
DATA_HOME = Path(os.path.expanduser("~/.local/share"))
"""Folder of users' data. Still starts with `~` if the user has no home, which `read_settings` refuses."""
QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")
"""A container's CPU time per period and the period, in microseconds."""

_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on uploaded files, checked before rendering and shown beside the upload box."""

    pages: int = 200
    """Pages per file."""
    file_bytes: int = 50 * MEGABYTE
    pixels: int = 40_000_000
    """Pixels of an uploaded picture, as stored in the file."""
    rendered_pixels: int = 12_000_000
    """Pixels of one rendered PDF page."""
    seconds: int = 20
    """Time for rendering one page."""
    files: int = 20
    """Files per upload."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits on libraries and queues. The page states them before anyone reaches them."""

    library_pages: int = 20_000
    """Pages of one library; the samples are not counted."""
    library_bytes: int = 50_000 * MEGABYTE
    """Bytes on disk of one library."""
    total_bytes: int = 4_000 * MEGABYTE
    """Bytes on disk of all visitors' libraries and judgements on a public page."""
    keep_hours: int = 24
    """Hours after its last change until a visitor's library is deleted, on a public page."""
    waiting_files: int = 40
    """Uploaded files of all visitors that wait to be read."""
    queue_size: int = 20
    """Requests that wait to be answered."""
    query_chars: int = 20_000
    """Characters of a query."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the process."""

    backbone: str = "auto"
    revision: str = ""
    """Commit of the hub's model, 40 hex digits; NEWEST_REVISION the hub's newest; empty the pinned one."""
    dtype: str = "auto"
    data_dir: Path = DATA_HOME / "smart-demo"
    """Folder of token files and page images: the source of truth."""
    index_dir: Path = DATA_HOME / "smart-demo" / "index"
    """Folder of Chroma and the lock: on a local disk, can be rebuilt."""
    public: bool = False
    uploads: bool = True
    codec: str = "int8"
    visual_tokens: int = 0
    """Budget of visual tokens per page; 0 for the one that the backbone chooses for its device."""
    token_filter: str = "code"
    late_layer: int = 0
    """Layer whose states serve late interaction, counted from 1; 0 is the last. Pooled vectors always use the last."""
    exhaustive: int = 2_000
    """Maximum number of pages of which every one is scored; of more, only the `candidates` nearest pooled are."""
    candidates: int = 100
    top: int = 5
    """Results per column before the visitor moves the slider."""
    resident_bytes: int = 2**28
    """Bytes of token states to hold in memory between searches; the rest is read from the memory-mapped files."""
    limits: Limits = Limits()
    quotas: Quotas = Quotas()
    hosts: tuple[str, ...] = ()
    """Host names that the page answers to, beside this machine's own; empty accepts all."""
    persistent: bool = True
    """Whether the data folder survives a restart of the machine; the page warns visitors if not."""
    samples: Path = SAMPLE_DOCUMENTS
    """Folder of the sample library's documents."""
    sample_encodings: str = ""
    """Encodings of the samples to use beside the shipped ones: a path, or a dataset and commit as HUB_ENCODINGS has
    them; NO_ENCODINGS to encode every page here.
    """

    @property
    def is_private(self) -> bool:
        """Whether the page has one user, its owner, whose library and judgements it stores."""
        return self.uploads and not self.public


def read_settings(env: Mapping[str, str]) -> Settings:
    """Return the settings of an environment. Raises SettingRefused, naming the variable and what it takes.

    >>> read_settings({"SMART_CODEC": "float16"}).codec
    'float16'
    """
    data = _folder(env, "SMART_DATA_DIR", Path(env.get("XDG_DATA_HOME") or DATA_HOME) / "smart-demo")
    public = _flag(env, "SMART_PUBLIC", default=bool(env.get("SPACE_ID")))
    limits = Limits(
        pages=_number(env, "SMART_MAX_PAGES", 200, 1, 2_000),
        file_bytes=_number(env, "SMART_MAX_FILE_MB", 50, 1, 500) * MEGABYTE,
        pixels=_number(env, "SMART_MAX_MEGAPIXELS", 40, 1, 100) * 1_000_000,
        files=_number(env, "SMART_MAX_FILES", 20, 1, 200),
    )
    return Settings(
        backbone=env.get("SMART_BACKBONE", "").strip() or "auto",
        revision=_revision(env),
        dtype=_one_of(env, "SMART_DTYPE", DTYPES),
        data_dir=data,
        index_dir=_folder(env, "SMART_INDEX_DIR", data / "index"),
        public=public,
        uploads=_flag(env, "SMART_UPLOADS", default=True),
        codec=_one_of(env, "SMART_CODEC", CODECS),
        visual_tokens=_visual_tokens(env),
        token_filter=_one_of(env, "SMART_TOKEN_FILTER", TOKEN_FILTERS),
        late_layer=_layer(env),
        exhaustive=_number(env, "SMART_EXHAUSTIVE", 2_000, 0, 1_000_000),
        candidates=_number(env, "SMART_CANDIDATES", 100, 1, 10_000),
        resident_bytes=_number(env, "SMART_RESIDENT_MB", _default_resident_mb(), 0, 10_000_000) * MEGABYTE,
        limits=limits,
        quotas=_quotas(env, public=public),
        hosts=_hosts(env, public=public),
        # A Space loses its disk when it sleeps; set SMART_LASTING if a persistent one is mounted.
        persistent=_flag(env, "SMART_LASTING", default=not env.get("SPACE_ID")),
        samples=_folder(env, "SMART_SAMPLE_DOCS", SAMPLE_DOCUMENTS),
        sample_encodings=_sample_encodings(env),
    )


def _hosts(env: Mapping[str, str], *, public: bool) -> tuple[str, ...]:
    """Return the accepted host names; empty accepts all.

    A private page that only this machine can reach accepts only this machine's names, against DNS rebinding: another
    site may point a name of its own here.
    """
    given = tuple(env.get("SMART_HOSTS", "").lower().replace(",", " ").split())
    if "*" in given:
        return ()
    if bad := [name for name in given if not _HOST.fullmatch(name)]:
        raise SettingRefused(f"SMART_HOSTS={bad[0]!r} is no host.", "It takes names without ports, or *.")
    bound = env.get("GRADIO_SERVER_NAME", "").strip() or "localhost"
    return given or (() if public or not _is_loopback(bound) else ("localhost",))


def _is_loopback(bound: str) -> bool:
    return bound in ("localhost", "::1", "[::1]") or bound.startswith("127.")


def _default_resident_mb() -> int:
    """Return a quarter of the free memory in MB, 64 to 4,096: the model and the system's file cache need the rest."""
    return min(max((free_memory() or 0) // 4 // MEGABYTE, 64), 4_096)


def _quotas(env: Mapping[str, str], *, public: bool) -> Quotas:
    """Return the quotas; a visitor of a public page gets far less space than the owner of a private one."""
    return Quotas(
        library_pages=_number(env, "SMART_LIBRARY_PAGES", 200 if public else 20_000, 1, 1_000_000),
        library_bytes=_number(env, "SMART_LIBRARY_MB", 500 if public else 50_000, 1, 10_000_000) * MEGABYTE,
        total_bytes=_number(env, "SMART_TOTAL_MB", 4_000, 1, 10_000_000) * MEGABYTE,
        keep_hours=_number(env, "SMART_KEEP_HOURS", 24, 1, 8_760),
        waiting_files=_number(env, "SMART_WAITING_FILES", 40, 1, 1_000),
        queue_size=_number(env, "SMART_QUEUE", 20, 1, 1_000),
        query_chars=_number(env, "SMART_MAX_QUERY", 2_000 if public else 20_000, 10, 20_000),
    )


def _folder(env: Mapping[str, str], name: str, default: Path) -> Path:
    """Return an absolute path. Raises SettingRefused if `~` cannot be expanded, as for a container's user."""
    try:
        return Path(env.get(name) or default).expanduser().absolute()
    except RuntimeError:
        given = env.get(name, str(default))
        raise SettingRefused(f"{name}={given!r} begins with a home that is not known.", "Give a full path.") from None


def _one_of(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = env.get(name, "").strip().lower() or choices[0]
    if value not in choices:
        raise SettingRefused(f"{name}={value!r} is not known.", f"It takes {', '.join(choices)}.")
    return value


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = env.get(name, "").strip().lower()
    words = {"": default, "1": True, "true": True, "on": True, "yes": True}
    words |= {"0": False, "false": False, "off": False, "no": False}
    if value not in words:
        raise SettingRefused(f"{name}={value!r} is neither yes nor no.", "It takes on or off.")
    return words[value]


def _revision(env: Mapping[str, str]) -> str:
    """Return a commit, NEWEST_REVISION or nothing. Branches and tags are refused: they may move."""
    value = env.get("SMART_REVISION", "").strip().lower()
    if value not in ("", NEWEST_REVISION) and not re.fullmatch(r"[0-9a-f]{40}", value):
        raise SettingRefused(
            f"SMART_REVISION={value!r} is no commit of a model.", f"It takes 40 hex digits, or {NEWEST_REVISION}."
        )
    return value


def _sample_encodings(env: Mapping[str, str]) -> str:
    """Return a full path, a dataset with its commit, NO_ENCODINGS or nothing. Whether it exists is checked on use."""
    name = "SMART_SAMPLE_ENCODINGS"
    value = env.get(name, "").strip()
    if not value or value.lower() == NO_ENCODINGS or HUB_ENCODINGS.fullmatch(value):
        return value.lower() if value.lower() == NO_ENCODINGS else value
    if "@" in value and not value.startswith(("/", ".", "~")):
        raise SettingRefused(
            f"{name}={value!r} names no commit.", "A dataset on the hub is written owner/name@ and 40 hex digits."
        )
    return str(_folder(env, name, Path(value)))


def _layer(env: Mapping[str, str]) -> int:
    """Return the layer, 0 for the last. The model checks that it has it."""
    is_last = env.get("SMART_LATE_LAYER", "").strip().lower() in ("", "last")
    return 0 if is_last else _number(env, "SMART_LATE_LAYER", 1, 1, 200)


def _visual_tokens(env: Mapping[str, str]) -> int:
    """Return the budget, 0 for `auto`."""
    is_auto = env.get("SMART_VISUAL_TOKENS", "").strip().lower() in ("", "auto")
    return 0 if is_auto else _number(env, "SMART_VISUAL_TOKENS", 1, 4, 4_096)


def _number(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    try:
        value = int(env.get(name, "").strip() or str(default))
    except ValueError:
        raise SettingRefused(f"{name}={env[name]!r} is not a whole number.") from None
    if not low <= value <= high:
        raise SettingRefused(f"{name}={value} is out of range.", f"It takes {low} to {high}.")
    return value


def free_memory() -> int | None:
    """Return the bytes available without swapping, at most the container's limit, or None if neither is known."""
    limit, meminfo = read_system_file("/sys/fs/cgroup/memory.max"), read_system_file("/proc/meminfo")
    return parse_free_memory(meminfo, limit)


def parse_free_memory(meminfo: Iterable[str], limit: Iterable[str] = ()) -> int | None:
    """Return the bytes available by Linux's meminfo, at most the container's `limit`, or None if neither is known.

    >>> parse_free_memory(["MemTotal: 9 kB", "MemAvailable: 2 kB"], ["max"])
    2048
    >>> parse_free_memory(["MemAvailable: 2 kB"], ["999"])
    999
    """
    known = [int(line) for line in limit if line.isdecimal()]
    known += [int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemAvailable:")]
    return min(known, default=None)


def read_system_file(path: str) -> list[str]:
    """Return the lines of a file of Linux, such as one in `/proc`, or none on other systems."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def core_count() -> int:
    """Return the number of cores that this process may use.

    A container often gets fewer than its machine has, and more threads than that only stop each other.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA_FILE.read_text(encoding="ascii").split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or one without a quota: "max"
        return cores
