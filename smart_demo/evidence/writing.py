"""evidence.json, evidence.md, and the blocks of the README that are made of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from smart_demo.evidence import plots, tables
from smart_demo.evidence.markers import make_pairs
from smart_demo.evidence.prose import document
from smart_demo.evidence.sheets import draw_example
from smart_demo.evidence.standing import HEADLINE, Json


def write(evidence: Json, folder: Path) -> tuple[list[Path], list[str]]:
    """(files written, notices). The folder is made where it is not there; older files of these names are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    data, text = folder / "evidence.json", folder / "evidence.md"
    pictures = plots.draw(evidence, folder) if plots.available() else []
    if "seed" in evidence["binding"]:
        pictures.append(folder / "evidence-reports.png")
        draw_example(make_pairs(1, evidence["binding"]["seed"])[0]).save(pictures[-1], optimize=True)
    data.write_text(json.dumps(evidence, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text.write_text(document(evidence), encoding="utf-8")
    return [data, text, *pictures], [] if plots.available() else [plots.MISSING]


def fill(readme: str, evidence: Json) -> str:
    """A text with every block between `<!-- evidence NAME -->` and `<!-- end -->` made anew.

    KeyError for a block that no evidence belongs to.
    """

    def made(found: re.Match[str]) -> str:
        return f"{found[1]}\n{BLOCKS[found[2]](evidence)}\n{found[3]}"

    return re.sub(r"(<!-- evidence ([\w ]+) -->)\n.*?(<!-- end -->)", made, readme, flags=re.DOTALL)


def _readme_methods(part: str, evidence: Json) -> str:
    return tables.methods(evidence[part], of_sum=False)


def _readme_difference(part: str, evidence: Json) -> str:
    found = evidence[part]["difference"]["smart-pooled"][HEADLINE]
    return f"SMART − pooled, nDCG@10: {tables.difference(found)}."


BLOCKS = {
    "pages": lambda evidence: _readme_methods("pages", evidence),
    "pages difference": lambda evidence: _readme_difference("pages", evidence),
    "text": lambda evidence: _readme_methods("text", evidence),
    "text difference": lambda evidence: _readme_difference("text", evidence),
    "binding": lambda evidence: tables.binding(evidence["binding"]),
}
"""What the README takes from the evidence, by the name in its markers."""
