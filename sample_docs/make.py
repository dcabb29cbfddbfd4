"""Regenerate the sample documents: python sample_docs/make.py [--out DIR] [NAME…]."""

from __future__ import annotations

import argparse
from pathlib import Path

from press import catalogue, fonts


def main() -> None:
    """Write the documents named on the command line, or all of them if no name is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write to")
    parser.add_argument("names", nargs="*", metavar="NAME", help="file names (all)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    fonts.register()
    for name, make in catalogue.DOCUMENTS.items():
        if not options.names or name in options.names:
            make(options.out / name)
            print(options.out / name)


if __name__ == "__main__":
    main()
