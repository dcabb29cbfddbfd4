"""Run the fuzzer: `python -m tests.fuzz --minutes 60 --seed 1`; print the figures, exit 1 if a promise broke."""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.fuzz.campaign import ROOT, Plan, run
from tests.fuzz.seeds import keep


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="choose the corpus again from it and build/fuzz-corpus")
    options = parser.parse_args()
    if options.keep:
        sys.stdout.write(keep(ROOT / "build" / "fuzz-corpus") + "\n")
        return 0
    figures = run(Plan(seed=options.seed, workers=options.workers, seconds=options.minutes * 60))
    path = ROOT / "build" / "fuzz.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")
    sys.stdout.write(table(figures) + "\n")
    return 0 if all(promise["held"] for promise in figures["promises"]) else 1


def table(figures: dict) -> str:
    rows = [
        (key.replace("_", " "), _told(value)) for key, value in figures.items() if key not in ("failures", "promises")
    ]
    rows += [(promise["name"], "held" if promise["held"] else promise["detail"]) for promise in figures["promises"]]
    width = max(len(key) for key, _ in rows)
    return "\n".join(f"{key:{width}}  {value}" for key, value in rows)


def _told(value: object) -> str:
    return (
        ", ".join(f"{key} {part:,}" if isinstance(part, int) else f"{key} {part}" for key, part in value.items())
        if isinstance(value, dict)
        else str(value)
    )


if __name__ == "__main__":
    sys.exit(main())
