"""Makes every sample document again: python sample_docs/make.py [--out DIR] [NAME…]."""

from __future__ import annotations

import argparse
from pathlib import Path

from press import catalogue, fonts


def main() -> None:
    """Write the documents named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="where to write them")
    parser.add_argument("names", nargs="*", metavar="NAME", help="file names; all of them by default")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    fonts.register()
    for name, make in catalogue.DOCUMENTS.items():
        if not asked.names or name in asked.names:
            make(asked.out / name)
            print(asked.out / name)


if __name__ == "__main__":
    main()
