"""Download a model into the hub's cache: size and free space first, resumed after a kill, every file verified.

The client of huggingface_hub 2.4 begins a file anew after a kill and compares its length alone. So the files are
fetched here, by plain HTTP with ranges, into the layout that the client reads:

    models--owner--name/blobs/DIGEST              a file, named by the digest that the hub lists for it
    models--owner--name/blobs/DIGEST.incomplete   the part of it that was fetched so far
    models--owner--name/snapshots/COMMIT/FILE     a link to the blob, made when all blobs are whole

Imports huggingface_hub only when a function is called.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from smart_demo.errors import BackboneUnavailable
from smart_demo.wording import count, size_in_words

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

DOWNLOAD_PATTERNS = ("*.json", "*.safetensors", "merges.txt", "vocab.txt", "*.jinja")
"""Files fetched from the hub: weights and text. Never code, never pickles."""
SPARE_BYTES = 200_000_000
"""Bytes that a download leaves free on the disk."""
MAX_RETRIES = 5
"""Number of attempts in a row that may bring no byte."""
RETRY_SECONDS = 1.0
TIMEOUT_SECONDS = 30
PROGRESS_SECONDS = 0.2
CHUNK_BYTES = 2**20

ProgressListener = Callable[[str, int, int], None]
"""Called with a file's name, and the fetched and total bytes of the download."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a model as the hub lists it."""

    path: str
    """Path inside the model, such as `model.safetensors`."""
    size: int
    digest: str
    """Checksum: sha256 of a file in LFS (64 hex digits), else git's sha1 of the blob (40)."""


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What a download would fetch."""

    source: str
    """Hub id."""
    commit: str
    is_newest: bool
    """Whether the hub's newest commit was requested, not a named one."""
    files: tuple[HubFile, ...]
    """Every file of the commit that matches DOWNLOAD_PATTERNS."""
    missing: tuple[HubFile, ...]
    """Those that are not on this disk, or are damaged there."""
    repository: Path
    """Folder of the model in the hub's cache; may not exist yet."""
    fetched: int
    """Bytes of the missing files that an earlier download left."""
    free: int
    """Free bytes on the disk of the cache."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def remaining(self) -> int:
        """Bytes to fetch."""
        return sum(file.size for file in self.missing) - self.fetched

    @property
    def snapshot(self) -> Path:
        """Folder that holds the files under their own names."""
        return self.repository / "snapshots" / self.commit

    def describe(self) -> str:
        """Return the size of the download and the free space as a sentence."""
        to_fetch = f"{size_in_words(self.remaining)} to fetch" if self.missing else "nothing to fetch"
        return (
            f"{self.source} at commit {self.commit[:12]}: {count(len(self.files), 'file')}, "
            f"{size_in_words(self.size)}; {to_fetch}, {size_in_words(self.free)} free in {self.repository.parent}."
        )


def plan_download(source: str, revision: str | None) -> DownloadPlan:
    """Ask the hub for the files of a model, and compare them with those in the cache, digests included.

    source: a hub id. revision: a commit, or None for the newest. Raises BackboneUnavailable if the hub cannot be
    reached, does not know the model or the commit, asks for a licence to be accepted, or lists no safetensors weights.
    """
    from huggingface_hub import HfApi, constants

    with _hub_errors(source):
        info = HfApi().model_info(source, revision=revision, files_metadata=True, timeout=TIMEOUT_SECONDS)
        commit = revision or info.sha or ""
        listed = [
            _read_entry(source, entry)
            for entry in info.siblings or ()
            if any(fnmatch(entry.rfilename, pattern) for pattern in DOWNLOAD_PATTERNS)
        ]
        repository = Path(constants.HF_HUB_CACHE).expanduser() / f"models--{source.replace('/', '--')}"
        files = tuple(sorted(listed, key=lambda file: (file.size, file.path)))
        if not any(file.path.endswith(".safetensors") for file in files):
            raise BackboneUnavailable(f"{source} has no complete safetensors weights.", "Other formats are not loaded.")
        missing = tuple(file for file in files if not _is_intact(repository, commit, file))
        fetched = sum(min(_size_of(_part(repository, file)), file.size) for file in missing)
        return DownloadPlan(
            source, commit, revision is None, files, missing, repository, fetched, _free_bytes(repository)
        )


def print_progress(file: str, done: int, total: int) -> None:
    """Redraw one line on a terminal; print nothing into a pipe or a log."""
    if sys.stderr.isatty():
        line = f"\r{file}: {size_in_words(done)} of {size_in_words(total)} ({done / max(1, total):.0%}) \033[K"
        sys.stderr.write(line + ("\n" if done == total else ""))
        sys.stderr.flush()


def download(plan: DownloadPlan, on_progress: ProgressListener = print_progress) -> Path:
    """Fetch what is missing, verify it and return the snapshot's folder.

    Raises BackboneUnavailable if the disk has too little space, if another process fetches the same model, if the
    connection ends (what was fetched stays), or if a file does not match its digest twice.
    """
    if plan.remaining + SPARE_BYTES > plan.free and plan.missing:
        raise BackboneUnavailable(
            f"{plan.source} needs {size_in_words(plan.remaining)} and {size_in_words(SPARE_BYTES)} to spare, but "
            f"{plan.repository.parent} has {size_in_words(plan.free)} free.",
            "Free some space, or set HF_HOME to a folder on a larger disk.",
        )
    with _hub_errors(plan.source), _locked(plan):
        fetched = 0
        total = sum(file.size for file in plan.missing)
        for file in plan.missing:
            _fetch(plan, file, _report(on_progress, file, fetched, total))
            fetched += file.size
        for file in plan.files:
            if file in plan.missing or not (plan.snapshot / file.path).exists():
                _link(_blob(plan.repository, file), plan.snapshot / file.path)
        if plan.is_newest:  # a search of the cache without a commit follows this reference
            reference = plan.repository / "refs" / "main"
            reference.parent.mkdir(parents=True, exist_ok=True)
            reference.write_text(plan.commit, encoding="ascii")
    return plan.snapshot


def _read_entry(source: str, entry: RepoSibling) -> HubFile:
    """Return a listed file. Raises BackboneUnavailable if its path or digest could name a file outside the cache."""
    path, size, digest = entry.rfilename, entry.size, entry.blob_id
    if entry.lfs is not None:
        size, digest = entry.lfs.size, entry.lfs.sha256
    inside = not Path(path).is_absolute() and ".." not in Path(path).parts
    if not inside or size is None or not re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", digest or ""):
        raise BackboneUnavailable(f"The hub lists a file of {source} that is not accepted: {path!r}.")
    return HubFile(path, size, digest or "")


def _report(on_progress: ProgressListener, file: HubFile, before: int, total: int) -> Callable[[int], None]:
    """Return a function that takes the fetched bytes of one file and reports those of all, not too often."""
    last = 0.0

    def report(done: int) -> None:
        nonlocal last
        if done == file.size or time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            on_progress(file.path, before + done, total)

    return report


def _fetch(plan: DownloadPlan, file: HubFile, report: Callable[[int], None]) -> None:
    """Put a whole, verified file among the blobs. A file that does not match its digest is fetched once more."""
    part = _part(plan.repository, file)
    for _ in range(2):
        _fetch_part(plan, file, part, report)
        if _digest(part, file.digest) == file.digest:
            part.replace(_blob(plan.repository, file))
            return
        part.unlink()
    raise BackboneUnavailable(
        f"{file.path} of {plan.source} was fetched twice and does not match the checksum that the hub lists.",
        "Nothing of it was kept. A proxy may change what it passes on: try another connection.",
    )


def _fetch_part(plan: DownloadPlan, file: HubFile, part: Path, report: Callable[[int], None]) -> None:
    """Fetch the rest of a file, and continue if the connection ends early while bytes arrive."""
    from huggingface_hub.errors import HfHubHTTPError

    failures = 0
    while (before := _size_of(part)) < file.size or not part.exists():
        error: Exception = OSError(f"The hub sent less of {file.path} than it lists.")
        try:
            _stream(plan, file, part, report)
        except HfHubHTTPError:
            raise
        except _transport_error() as lost:
            error = lost
        failures = 0 if _size_of(part) > before else failures + 1
        if failures == MAX_RETRIES:
            raise error
        if _size_of(part) < file.size:
            time.sleep(RETRY_SECONDS)


def _stream(plan: DownloadPlan, file: HubFile, part: Path, report: Callable[[int], None]) -> None:
    """Append what the hub sends to `part`. Errors are those of the hub's client."""
    from huggingface_hub import HfApi, get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    start = _size_of(part)
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}  # a range of compressed bytes would be another one
    if start:
        headers["Range"] = f"bytes={start}-"
    address = f"{HfApi().endpoint}/{plan.source}/resolve/{plan.commit}/{quote(file.path)}"
    # The client leaves the token out when it is redirected to another host.
    with get_session().stream("GET", address, headers=headers, timeout=TIMEOUT_SECONDS) as answer:
        hf_raise_for_status(answer)
        continued = answer.status_code == 206  # otherwise the server ignored the range
        done = start if continued else 0
        with part.open("ab" if continued else "wb", buffering=0) as out:
            for chunk in answer.iter_bytes():  # as they arrive: what waits for a whole chunk would be lost in a kill
                out.write(chunk)
                done += len(chunk)
                if done > file.size:  # not the listed file: its checksum will fail
                    break
                report(done)


def _is_intact(repository: Path, commit: str, file: HubFile) -> bool:
    """Return whether a file is in the snapshot, or among the blobs of another one, and matches its digest."""
    path = repository / "snapshots" / commit / file.path
    path = path if path.exists() else _blob(repository, file)
    return path.is_file() and _size_of(path) == file.size and _digest(path, file.digest) == file.digest


def _digest(path: Path, like: str) -> str:
    """Return a file's digest of the kind of `like`: sha256, or git's sha1 of a blob."""
    if len(like) == 64:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _blob(repository: Path, file: HubFile) -> Path:
    return repository / "blobs" / file.digest


def _part(repository: Path, file: HubFile) -> Path:
    return repository / "blobs" / f"{file.digest}.incomplete"


def _link(blob: Path, name: Path) -> None:
    """Give a blob its name in the snapshot: as a link, or by moving it if the disk knows no links."""
    name.parent.mkdir(parents=True, exist_ok=True)
    name.unlink(missing_ok=True)
    try:
        name.symlink_to(os.path.relpath(blob, name.parent))
    except OSError:
        blob.replace(name)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that `folder` is on, or would be on."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


@contextmanager
def _locked(plan: DownloadPlan) -> Iterator[None]:
    """Hold the model's files against a second download. Raises BackboneUnavailable if another process holds them."""
    blobs = plan.repository / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    lock = os.open(plan.repository / "blobs", os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise BackboneUnavailable(
            f"Another process is fetching {plan.source}.", "Wait until it has finished."
        ) from None
    try:
        yield
    finally:
        os.close(lock)


def _transport_error() -> type[Exception]:
    """Return the base of all errors of the hub's HTTP library, which is httpx or httpx2 by the client's version."""
    from huggingface_hub.errors import HfHubHTTPError

    base: type[Exception] = HfHubHTTPError.__bases__[0]
    return base


@contextmanager
def _hub_errors(source: str) -> Iterator[None]:
    """Translate every error of the hub's client, of the connection and of the disk to BackboneUnavailable."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise BackboneUnavailable(
            f"{source} asks for a licence to be accepted.",
            f"Accept it on {constants.ENDPOINT}/{source}, then log in with `hf auth login`.",
        ) from error
    except RepositoryNotFoundError as error:
        raise BackboneUnavailable(f"The hub knows no model {source}.", "Check its name.") from error
    except RevisionNotFoundError as error:
        raise BackboneUnavailable(f"{source} has no such commit on the hub.", "Check SMART_REVISION.") from error
    except (OSError, ValueError, _transport_error()) as error:
        if isinstance(error, OfflineModeIsEnabled) or not isinstance(error, OSError | ValueError | HfHubHTTPError):
            raise BackboneUnavailable(
                f"The hub cannot be reached, so {source} could not be fetched.",
                "Connect and try again: it continues from what was fetched. Or give SMART_BACKBONE a model's folder.",
            ) from error
        summary = next(iter(str(error).splitlines()), type(error).__name__)
        raise BackboneUnavailable(f"{source} could not be fetched: {summary}", "Try again.") from error
