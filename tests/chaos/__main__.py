"""Run the crash trials: `python -m tests.chaos --trials 200 --seed 1`; print the results and write build/chaos.json."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import chromadb  # noqa: F401 - imported once here, so that no forked process imports it again

from tests.chaos import damage, file_alterations, kills, operations, server_kills
from tests.chaos.results import Results

ROOT = Path(__file__).resolve().parents[2]
Piece = Callable[[random.Random, Results], None]
TRIALS_ON_ONE_FOLDER = 5


def main() -> int:
    """Return 0 if every promise held."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--trials", type=int, default=200, help="kills with a check after each (200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="folder of the libraries (a temporary folder)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "chaos.json")
    parser.add_argument("--quick", action="store_true", help="the short version: a sample of each kind, no server")
    options = parser.parse_args()
    begun, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="chaos-", dir=options.folder))
    results = _run(_plan(options.trials, folder, quick=options.quick), options.seed)
    seconds = round(time.monotonic() - begun, 1)
    report = {"seed": options.seed, "quick": options.quick, **results.as_json(), "seconds": seconds}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(_table(report))
    held = all(promise["held"] for promise in results.promises())
    if held:
        shutil.rmtree(folder)
    else:
        sys.stdout.write(f"A promise broke; the folders are kept in {folder}\n")
    return 0 if held else 1


def _plan(trials: int, folder: Path, *, quick: bool) -> list[Piece]:
    """Return the trials in pieces that several processes can share."""
    pieces = list[Piece]()
    long, short = operations.make_library(folder / "long"), operations.make_library(folder / "short", 3)
    servers = 0 if quick else min(6, max(1, trials // 30))
    aimed, recovery = trials // 4, trials * 3 // 20
    repeated = max(0, trials - aimed - recovery - servers)
    for at in range(0, repeated, TRIALS_ON_ONE_FOLDER):
        count = min(TRIALS_ON_ONE_FOLDER, repeated - at)
        pieces.append(partial(kills.random_kills, folder / f"random-{at}", count))
    pieces += [partial(kills.aimed_kill, long, folder / f"aimed-{at}") for at in range(aimed)]
    pieces += [partial(kills.kill_in_recovery, long, folder / f"recovery-{at}") for at in range(recovery)]
    for scenario in kills.scenarios():
        stride = 40 if quick else scenario.stride
        pieces.append(partial(kills.kills_after_steps, short, folder / "steps", scenario, stride))
    pieces.append(partial(damage.damaged_chroma, long, folder / "damage", share=0.0 if quick else 1.0))
    pieces.append(partial(file_alterations.altered_files, folder / "mutations", 200 if quick else 2_000))
    limits = [3_000, 300_000] if quick else [int(2 ** (at / 2)) for at in range(12, 44)]
    pieces.append(partial(kills.full_disks, long, folder / "full", limits))
    if servers:
        pieces.append(partial(server_kills.kill_server, folder / "server", servers))
    return pieces


def _run(pieces: list[Piece], seed: int) -> Results:
    """Distribute the pieces over two processes. Each has its own seed, so the results do not depend on the process."""
    total = Results()
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        for results in pool.map(_run_piece, pieces, [f"{seed} {at}" for at in range(len(pieces))]):
            total.add(results)
    return total


def _run_piece(piece: Piece, seed: str) -> Results:
    results = Results()
    try:
        piece(random.Random(seed), results)
    except Exception as error:  # noqa: BLE001 - a piece that cannot run is a broken promise, not the end
        results.record_fault("broke", f"piece {seed}: {error!r}")
    return results


def _table(report: dict[str, object]) -> str:
    rows = [f"  {name:<34} {value}" for name, value in report.items() if name not in ("trials", "promises")]
    rows[1:1] = [f"  {name:<34} {count}" for name, count in report["trials"].items()]
    for promise in report["promises"]:
        rows.append(f"  {'held' if promise['held'] else 'BROKEN':<7} {promise['name']} {promise['detail']}")
    return "\n".join(["Crash trials", *rows, ""])


if __name__ == "__main__":
    sys.exit(main())
