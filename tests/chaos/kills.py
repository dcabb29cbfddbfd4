"""Kills at random moments, during recovery, while Chroma rewrites its files and after each step; and full disks.

Each call by which the store changes a disk, and each call to Chroma, is one step.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from smart_demo.errors import LibraryError, StorageFull
from smart_demo.store import chroma_index
from smart_demo.store.library import Library
from tests.chaos import checks, damage, operations
from tests.chaos.checks import Observation
from tests.chaos.operations import SeedLibrary
from tests.chaos.operations_log import OperationsLog
from tests.chaos.page_content import ENCODERS, SCOPES, Key, make_page
from tests.chaos.processes import Report, ReportingProcess
from tests.chaos.results import Results

REWRITTEN = ("header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle")
"""The files that Chroma rewrites in place every thousand rows."""
PATIENCE = 60
DISK = ("open", "write", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "utime")
COLLECTION = ("upsert", "delete", "query", "get", "count")
CLIENT = ("list_collections", "get_or_create_collection", "get_collection", "delete_collection")
MOST_STEPS = 400


@dataclass(frozen=True)
class Scenario:
    """How a folder is prepared, and the operation during which the process dies."""

    name: str
    act: Callable[[Path, Report], None]
    stride: int = 5
    """In the long version the process dies after every `stride`-th step."""
    prepare: Callable[[Path], None] | None = None


def random_kills(folder: Path, trials: int, rng: random.Random, results: Results) -> None:
    """Run processes on one folder, kill each at a random moment and check it; the next continues with what survived."""
    log = OperationsLog()
    for _ in range(trials):
        quick = rng.random() < 0.7
        act = partial(operations.random_operations, folder, rng.getrandbits(32))
        process = ReportingProcess(act, forked_canary=quick)
        _kill_after(process, rng.uniform(0.02, 1.2 if quick else 2.4), rng, log, results)
        results.record_trial("random kill", checks.check_library(folder, log, quick=rng.random() < 0.7), log)


def kill_in_recovery(library: SeedLibrary, folder: Path, rng: random.Random, results: Results) -> None:
    """Damage or delete Chroma, then kill the process that rebuilds it, several times in a row."""
    log = library.copy(folder)
    rng.choice([damage.delete_chroma, damage.delete_index, damage.mark_distrusted, damage.tear_files])(folder)
    for _ in range(rng.randint(1, 4)):
        process = ReportingProcess(partial(operations.rebuild, folder), forked_canary=True)
        _kill_after(process, rng.uniform(0.0, 0.9), rng, log, results)
    _check("kill in recovery", folder, log, results)


def aimed_kill(library: SeedLibrary, folder: Path, rng: random.Random, results: Results) -> None:
    """Kill while Chroma rewrites its files: during a rebuild, and while a thousand rows are added or deleted."""
    kind = rng.choice(["rebuild", "rebuild", "remove", "remove", "add"])
    log = OperationsLog()
    if kind == "add":
        folder.mkdir(parents=True)
    else:
        log = library.copy(folder)
    if kind == "rebuild":
        shutil.rmtree(folder / "index")
    acts = {
        "rebuild": operations.rebuild,
        "remove": operations.delete_long_document,
        "add": operations.add_long_document,
    }
    before = _rewritten_files(folder / "index")
    process = ReportingProcess(partial(acts[kind], folder), forked_canary=True)
    end = time.monotonic() + PATIENCE
    while process.alive and _rewritten_files(folder / "index") == before and time.monotonic() < end:
        process.listen(0.0005)
    _kill_after(process, rng.choice([0.0, rng.uniform(0, 0.004), rng.uniform(0, 0.02)]), rng, log, results)
    observation = _check(f"aimed kill ({kind})", folder, log, results, quick=rng.random() < 0.8)
    results.counts["aimed"] += 1
    results.counts["torn"] += observation.index.startswith("rebuilt")


def full_disks(library: SeedLibrary, folder: Path, limits: list[int], rng: random.Random, results: Results) -> None:
    """Run one trial per limit in bytes: add until refused, search, then start again with room.

    The system refuses every write beyond a file size limit, in any process, so Chroma fails as on a full disk.
    """
    for at, limit in enumerate(limits):
        here = folder / f"full-{at}"
        log = library.copy(here)
        if rng.random() < 0.3:
            damage.delete_chroma(here)
        process = ReportingProcess(partial(_fill_disk, here, limit), forked_canary=True)
        log.record(process.end())
        if process.killed:
            results.record_fault("broke", f"a disk full at {limit} bytes killed the process")
        _check("full disk", here, log, results)


def kills_after_steps(
    library: SeedLibrary, folder: Path, scenario: Scenario, stride: int, rng: random.Random, results: Results
) -> None:
    """Die after every `stride`-th step of a scenario, from a random one on, until the operation has fewer steps."""
    for step in range(rng.randint(1, stride), MOST_STEPS, stride):
        here = folder / f"{scenario.name.replace(' ', '-')}-{step}"
        log = library.copy(here)
        if scenario.prepare:
            scenario.prepare(here)
        process = ReportingProcess(partial(_die_after, step, partial(scenario.act, here)), forked_canary=True)
        log.record(process.end())
        if not process.killed:
            shutil.rmtree(here)
            return
        results.counts["kills"] += 1
        _check(f"death after a step ({scenario.name})", here, log, results)


def _check(trial: str, folder: Path, log: OperationsLog, results: Results, *, quick: bool = True) -> Observation:
    """Check the library after a trial, record the result, and delete the folder."""
    observation = checks.check_library(folder, log, quick=quick)
    results.record_trial(trial, observation, log)
    shutil.rmtree(folder)
    return observation


def _kill_after(
    process: ReportingProcess, seconds: float, rng: random.Random, log: OperationsLog, results: Results
) -> None:
    """Run the process for `seconds`, kill it, alone or with its process group, and log its events."""
    process.listen(seconds)
    results.counts["kills"] += process.kill(group=rng.random() < 0.5)
    log.record(process.end())


def _rewritten_files(index: Path) -> dict[str, tuple[int, int]]:
    """Return the modification time and size of each of Chroma's own files."""
    found = {}
    for path in index.glob("chroma-*/*/*"):
        with suppress(FileNotFoundError):
            if path.name in REWRITTEN:
                facts = path.stat()
                found[str(path)] = (facts.st_mtime_ns, facts.st_size)
    return found


def _fill_disk(folder: Path, limit: int, report: Report) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        library = operations.open_library(folder, report)
    except LibraryError:  # a clear error at the start is a valid answer, too
        return
    for number in range(1, 9):
        key = Key(str(SCOPES[1]), ENCODERS[0], 5, number)
        report({"try": "add", "key": key})
        try:
            page = library.add(SCOPES[1], *make_page(key))
        except StorageFull:
            report({"ack": "refused"})
        else:
            report({"ack": "add", "key": key, "added": page.added, "bytes": page.bytes})
        operations.flush(library, report)
    rng = random.Random(4)
    for _ in range(3):  # reading must still work, whatever state Chroma is in
        operations.search(library, SCOPES[0], ENCODERS[0], rng, report)
    library.close()


def _die_after(step: int, act: Callable[[Report], None], report: Report) -> None:
    """Do `act` and kill this process, but none that it forks, after `step` steps."""
    done, me = 0, os.getpid()

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def stepping(*given: object, **named: object) -> object:
            nonlocal done
            result = call(*given, **named)
            if os.getpid() == me:
                done += 1
                if done == step:
                    os.kill(me, signal.SIGKILL)
            return result

        return stepping

    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

    for owner, names in ((os, DISK), (Collection, COLLECTION), (Client, CLIENT), (chroma_index, ("_open_client",))):
        for name in names:
            setattr(owner, name, counted(getattr(owner, name)))
    act(report)


def _add(folder: Path, report: Report) -> None:
    library = operations.open_library(folder, report)
    operations.add(library, SCOPES[0], ENCODERS[0], 7, range(1, 3), report)
    operations.flush(library, report)
    library.close()


def _remove(folder: Path, report: Report) -> None:
    library = operations.open_library(folder, report)
    operations.remove(library, SCOPES[0], 2, report)
    library.close()


def _flush(folder: Path, report: Report) -> None:
    library = operations.open_library(folder, report)
    for encoder in ENCODERS:
        operations.add(library, SCOPES[1], encoder, 4, range(1, 2), report)
    operations.flush(library, report)


def _delete_scope(folder: Path, report: Report) -> None:
    library = operations.open_library(folder, report)
    operations.delete_scope(library, SCOPES[0], report)
    library.close()


def _compact(folder: Path, report: Report) -> None:
    library = operations.open_library(folder, report)
    operations.remove(library, SCOPES[0], 2, report)
    operations.compact(library, report)
    library.close()


def _open_wider(folder: Path, report: Report) -> None:
    report({"try": "open"})
    Library.open(folder / "data", folder / "index", candidates=300).close()


def scenarios() -> list[Scenario]:
    """Return every scenario; the folder has two short documents, and Chroma has their vectors."""
    return [
        Scenario("add", _add, 1),
        Scenario("remove", _remove, 1),
        Scenario("flush", _flush),
        Scenario("rebuild", operations.rebuild, 1, damage.delete_chroma),
        Scenario("open after a tear", operations.rebuild, prepare=damage.tear_files),
        Scenario("open after distrust", operations.rebuild, prepare=damage.mark_distrusted),
        Scenario("open with more candidates", _open_wider),
        Scenario("sweep", operations.rebuild, prepare=damage.leave_temporary_files),
        Scenario("delete scope", _delete_scope, 3),
        Scenario("compact", _compact),
    ]
