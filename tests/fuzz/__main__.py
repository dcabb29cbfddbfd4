"""Run the fuzzer: `python -m tests.fuzz --minutes 60 --seed 1`; print the results, exit 1 if a promise broke."""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.fuzz.campaign import ROOT, CampaignPlan, run
from tests.fuzz.seeds import choose_corpus


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--choose-corpus", action="store_true", help="choose the corpus again from it and build/fuzz-corpus"
    )
    options = parser.parse_args()
    if options.choose_corpus:
        sys.stdout.write(choose_corpus(ROOT / "build" / "fuzz-corpus") + "\n")
        return 0
    results = run(CampaignPlan(seed=options.seed, workers=options.workers, seconds=options.minutes * 60))
    path = ROOT / "build" / "fuzz.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    sys.stdout.write(table(results) + "\n")
    return 0 if all(promise["held"] for promise in results["promises"]) else 1


def table(results: dict) -> str:
    rows = [(key.replace("_", " "), value) for key, value in results.items() if key not in ("failures", "promises")]
    rows += [(promise["name"], "held" if promise["held"] else promise["detail"]) for promise in results["promises"]]
    width = max(len(key) for key, _ in rows)
    return "\n".join(f"{key:{width}}  {_as_text(value)}" for key, value in rows)


def _as_text(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} {part:,}" if isinstance(part, int) else f"{key} {part}" for key, part in value.items())


if __name__ == "__main__":
    sys.exit(main())
