"""Run the crash trials: `python -m tests.chaos --trials 200 --seed 1`; print the figures and write build/chaos.json."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import pickle
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import chromadb  # noqa: F401 - imported once here, so that no forked process imports it again

from tests.chaos import damage, full, kills, mutations, serving, steps, template
from tests.chaos.figures import Figures

ROOT = Path(__file__).resolve().parent.parent.parent
Work = Callable[[random.Random, Figures], None]
LIVES = 5
"""Consecutive trials on one folder."""


def main() -> int:
    """Return 0 if every promise held."""
    options = _options()
    begun, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="chaos-", dir=options.folder))
    figures = _run(_works(options, folder), options)
    seconds = round(time.monotonic() - begun, 1)
    told = {"seed": options.seed, "quick": options.quick, **figures.as_json(), "seconds": seconds}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(_table(told))
    held = all(promise["held"] for promise in figures.promises())
    if held:
        shutil.rmtree(folder)
    else:
        sys.stdout.write(f"A promise broke; the folders are kept in {folder}\n")
    return 0 if held else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--trials", type=int, default=200, help="kills with a check after each (200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes at once (2)")
    parser.add_argument("--folder", type=Path, help="where the libraries lie (a temporary folder)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "chaos.json")
    parser.add_argument("--quick", action="store_true", help="the short version: a sample of each kind, no server")
    return parser.parse_args()


def _works(options: argparse.Namespace, folder: Path) -> list[Work]:
    """Return the trials in pieces that several processes can share."""
    trials, quick, works = options.trials, options.quick, list[Work]()
    long, short = template.make(folder / "long"), template.make(folder / "short", 3)
    servers = 0 if quick else min(6, max(1, trials // 30))
    aimed, recovery = trials // 4, trials * 3 // 20
    lives = max(0, trials - aimed - recovery - servers)
    for at in range(0, lives, LIVES):
        here, count = folder / f"lives-{at}", min(LIVES, lives - at)
        works.append(lambda rng, figures, here=here, count=count: kills.random_kills(here, count, rng, figures))
    for at in range(aimed):
        works.append(lambda rng, f, here=folder / f"aimed-{at}": kills.aimed_kill(long, here, rng, f))
    for at in range(recovery):
        works.append(lambda rng, f, here=folder / f"recovery-{at}": kills.kill_in_recovery(long, here, rng, f))
    for wanted in steps.scenarios():
        stride = 40 if quick else wanted.stride
        works.append(lambda rng, f, one=wanted, n=stride: steps.some(short, folder / "steps", one, n, rng, f))
    works.append(lambda rng, f: damage.some(long, folder / "damage", rng, f, 0.0 if quick else 1.0))
    works.append(lambda rng, f: mutations.some(folder / "mutations", 200 if quick else 2_000, rng, f))
    limits = [3_000, 300_000] if quick else [2 ** (at / 2) for at in range(12, 44)]
    works.append(lambda rng, f: full.some(long, folder / "full", [int(limit) for limit in limits], rng, f))
    works.extend(serving.works(folder / "server", servers))
    return works


def _run(works: list[Work], options: argparse.Namespace) -> Figures:
    """Distribute the pieces over processes. Each has its own seed, so the results do not depend on the process."""
    total, lanes = Figures(), []
    for lane in range(options.jobs):
        reader, writer = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.close(reader)
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump(_lane(works, lane, options), pipe)
            os._exit(0)
        os.close(writer)
        lanes.append((child, reader))
    for child, reader in lanes:
        with os.fdopen(reader, "rb") as pipe:
            total.add(pickle.load(pipe))  # noqa: S301 - from our own process
        os.waitpid(child, 0)
    return total


def _lane(works: list[Work], lane: int, options: argparse.Namespace) -> Figures:
    figures = Figures()
    for at in range(lane, len(works), options.jobs):
        try:
            works[at](random.Random(f"{options.seed} {at}"), figures)
        except Exception as error:  # noqa: BLE001 - a piece that cannot run is a broken promise, not the end
            figures.fault("broke", f"piece {at}: {error!r}")
    return figures


def _table(told: dict[str, object]) -> str:
    rows = [f"  {name:<34} {value}" for name, value in told.items() if name not in ("trials", "promises")]
    rows[1:1] = [f"  {name:<34} {count}" for name, count in told["trials"].items()]
    for promise in told["promises"]:
        rows.append(f"  {'held' if promise['held'] else 'BROKEN':<7} {promise['name']} {promise['detail']}")
    return "\n".join(["Crash trials", *rows, ""])


if __name__ == "__main__":
    sys.exit(main())
