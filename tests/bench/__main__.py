"""Measure the goals of speed and memory on this machine: `python -m tests.bench`. Exits 1 if one is missed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from smart_demo.config import REPOSITORY
from tests import bench
from tests.bench.report import as_json, as_markdown

OUT = REPOSITORY / "build" / "bench.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measures, print the report, write it as JSON; return 1 if a goal is missed or the arguments are wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE", help="JSON file for the figures")
    parser.add_argument("--without", action="append", default=[], metavar="MEASURE", help="leave one out; repeatable")
    options = parser.parse_args(arguments)
    names = [measure.__name__.removeprefix("measure_") for measure in bench.MEASURES]
    if unknown := [name for name in options.without if name not in names]:
        print(f"There is no measure {unknown[0]}. --without takes {', '.join(names)}.", file=sys.stderr)
        return 1
    measures = [measure for measure, name in zip(bench.MEASURES, names, strict=True) if name not in options.without]
    results = [result for measure in measures for result in measure()]
    print(as_markdown(results))
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(as_json(results), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        print(f"The figures cannot be written: {error.strerror}. Name another file with --out.", file=sys.stderr)
        return 1
    return 0 if all(result.met for result in results if isinstance(result, bench.Goal)) else 1


if __name__ == "__main__":
    sys.exit(main())
