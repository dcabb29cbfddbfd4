"""Kills after every n-th step: each call by which the store changes a disk, and each call to Chroma, is one step."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from smart_demo.store import chroma_index
from smart_demo.store.library import Library
from tests.chaos import children, damage, life, witness
from tests.chaos.children import Tell
from tests.chaos.figures import Figures
from tests.chaos.pages import ENCODERS, SCOPES
from tests.chaos.template import Template

DISK = ("open", "write", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "utime")
COLLECTION = ("upsert", "delete", "query", "get", "count")
CLIENT = ("list_collections", "get_or_create_collection", "get_collection", "delete_collection")
MOST = 400


@dataclass(frozen=True)
class Scenario:
    """How a folder is prepared, and the operation during which the process dies."""

    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Path, Tell], None]
    stride: int = 5
    """In the long version the process dies after every `stride`-th step."""


def scenarios() -> list[Scenario]:
    """Return every scenario; the folder has two short documents, and Chroma has their vectors."""
    known = [
        Scenario("add", nothing, _add, 1),
        Scenario("remove", nothing, _remove, 1),
        Scenario("flush", nothing, _flush),
        Scenario("rebuild", damage.lose_chroma, _open, 1),
        Scenario("open after a tear", damage.tear, _open),
        Scenario("open after distrust", damage.distrust, _open),
        Scenario("open with more candidates", nothing, _open_wider),
        Scenario("sweep", damage.leave_over, _open),
    ]
    if life.FORGETS:
        known.append(Scenario("forget", nothing, _forget, 3))
    if life.COMPACTS:
        known.append(Scenario("compact", nothing, _compact))
    return known


def deaths(template: Template, folder: Path, wanted: Scenario, steps: Iterable[int], figures: Figures) -> None:
    """Die after each of these steps until the operation has fewer. The next start checks each death."""
    for step in steps:
        here = folder / f"{wanted.name.replace(' ', '-')}-{step}"
        ledger = template.copy(here)
        wanted.prepare(here)
        child = children.Child(_dying(wanted, here, step))
        ledger.hear(child.end())
        if not child.killed:
            damage.away(here)
            return
        figures.counts["kills"] += 1
        figures.judge(f"death after a step ({wanted.name})", witness.check(here, ledger, quick=True), ledger)
        damage.away(here)


def some(template: Template, folder: Path, wanted: Scenario, stride: int, rng: random.Random, figures: Figures) -> None:
    """Try every `stride`-th step of a scenario, from a random one on; 1 tries all of them."""
    deaths(template, folder, wanted, range(rng.randint(1, stride), MOST, stride), figures)


def nothing(folder: Path) -> None:
    """Prepare nothing."""


def _dying(wanted: Scenario, folder: Path, step: int) -> Callable[[Tell], None]:
    def act(tell: Tell) -> None:
        children.hurry()
        _die_after(step)
        wanted.act(folder, tell)

    return act


def _die_after(step: int) -> None:
    """Kill this process, but none that it forks, after `step` steps."""
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


def _add(folder: Path, tell: Tell) -> None:
    library = life.opened(folder, tell)
    life.add(library, SCOPES[0], ENCODERS[0], 7, range(1, 3), tell)
    life.flush(library, tell)
    library.close()


def _remove(folder: Path, tell: Tell) -> None:
    library = life.opened(folder, tell)
    life.remove(library, SCOPES[0], 2, tell)
    library.close()


def _flush(folder: Path, tell: Tell) -> None:
    library = life.opened(folder, tell)
    for encoder in ENCODERS:
        life.add(library, SCOPES[1], encoder, 4, range(1, 2), tell)
    life.flush(library, tell)


def _forget(folder: Path, tell: Tell) -> None:
    library = life.opened(folder, tell)
    life.forget(library, SCOPES[0], tell)
    library.close()


def _compact(folder: Path, tell: Tell) -> None:
    library = life.opened(folder, tell)
    life.remove(library, SCOPES[0], 2, tell)
    life.compact(library, tell)
    library.close()


def _open(folder: Path, tell: Tell) -> None:
    life.opened(folder, tell).close()


def _open_wider(folder: Path, tell: Tell) -> None:
    tell({"try": "open"})
    Library.open(folder / "data", folder / "index", candidates=300).close()
