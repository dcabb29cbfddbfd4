"""Kills at random moments, during recovery, and while Chroma rewrites its files."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.chaos import children, damage, life, witness
from tests.chaos.children import Child, Tell
from tests.chaos.figures import Figures
from tests.chaos.ledger import Ledger
from tests.chaos.template import Template

REWRITTEN = ("header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle")
"""The files that Chroma rewrites in place every thousand rows."""
PATIENCE = 60


def random_kills(folder: Path, trials: int, rng: random.Random, figures: Figures) -> None:
    """Run processes on one folder, kill each at a random moment and check it; the next continues with what survived."""
    ledger = Ledger()
    for _ in range(trials):
        quick = rng.random() < 0.7
        act = _hurried(life.live(folder, rng.getrandbits(32)), quick=quick)
        _run(Child(act), rng.uniform(0.02, 1.2 if quick else 2.4), rng, ledger, figures)
        figures.judge("random kill", witness.check(folder, ledger, quick=rng.random() < 0.7), ledger)


def kill_in_recovery(template: Template, folder: Path, rng: random.Random, figures: Figures) -> None:
    """Damage or delete Chroma, then kill the process that rebuilds it, several times in a row."""
    ledger = template.copy(folder)
    rng.choice([damage.lose_chroma, damage.lose_index, damage.distrust, damage.tear])(folder)
    for _ in range(rng.randint(1, 4)):
        _run(Child(_hurried(life.rebuild(folder))), rng.uniform(0.0, 0.9), rng, ledger, figures)
    figures.judge("kill in recovery", witness.check(folder, ledger, quick=True), ledger)
    damage.away(folder)


def aimed_kill(template: Template, folder: Path, rng: random.Random, figures: Figures) -> None:
    """Kill while Chroma rewrites its files: during a rebuild, and while a thousand rows are added or deleted."""
    kind = rng.choice(["rebuild", "rebuild", "remove", "remove", "add"])
    ledger = Ledger()
    if kind == "add":
        folder.mkdir(parents=True)
    else:
        ledger = template.copy(folder)
    if kind == "rebuild":
        shutil.rmtree(folder / "index")
    act = {"rebuild": life.rebuild, "remove": life.take_out_the_longest, "add": life.put_in_the_longest}[kind]
    before = _rewritten(folder / "index")
    child = Child(_hurried(act(folder)))
    end = time.monotonic() + PATIENCE
    while child.alive and _rewritten(folder / "index") == before and time.monotonic() < end:
        child.listen(0.0005)
    _run(child, rng.choice([0.0, rng.uniform(0, 0.004), rng.uniform(0, 0.02)]), rng, ledger, figures)
    seen = witness.check(folder, ledger, quick=rng.random() < 0.8)
    figures.counts["aimed"] += 1
    figures.counts["torn"] += seen.index.startswith("rebuilt")
    figures.judge(f"aimed kill ({kind})", seen, ledger)
    damage.away(folder)


def _hurried(act: Callable[[Tell], None], *, quick: bool = True) -> Callable[[Tell], None]:
    def hurried(tell: Tell) -> None:
        if quick:
            children.hurry()
        act(tell)

    return hurried


def _run(child: Child, seconds: float, rng: random.Random, ledger: Ledger, figures: Figures) -> None:
    """Run the child for `seconds`, kill it, alone or with its process group, and enter its events into the ledger."""
    child.listen(seconds)
    figures.counts["kills"] += child.kill(group=rng.random() < 0.5)
    ledger.hear(child.end())


def _rewritten(index: Path) -> dict[str, tuple[int, int]]:
    """Return the modification time and size of each of Chroma's own files."""
    found = {}
    for path in index.glob("chroma-*/*/*"):
        with suppress(FileNotFoundError):
            if path.name in REWRITTEN:
                facts = path.stat()
                found[str(path)] = (facts.st_mtime_ns, facts.st_size)
    return found
