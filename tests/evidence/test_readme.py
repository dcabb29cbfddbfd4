"""The README's figures are those of assets/evidence.json, and its sentences are true of them."""

import json
import re
from pathlib import Path

import pytest

from smart_demo.evidence.report import BLOCKS, fill_blocks, format_evidence

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = json.loads((ROOT / "assets" / "evidence.json").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
CURE = "copy build/evidence* to assets/ and write the README with smart_demo.evidence.report.fill_blocks"


def row(factor, setting=""):
    return next(r for r in EVIDENCE["ablations"]["rows"] if r["factor"] == factor and r["setting"].startswith(setting))


def test_the_tables_are_made_of_the_evidence():
    assert fill_blocks(README, EVIDENCE) == README, CURE
    assert set(re.findall(r"<!-- evidence ([\w ]+) -->", README)) == set(BLOCKS)
    assert (ROOT / "assets" / "evidence.md").read_text(encoding="utf-8") == format_evidence(EVIDENCE), CURE


def test_every_picture_of_the_evidence_is_there():
    named = re.findall(r"\((evidence-[a-z]+\.png)\)", format_evidence(EVIDENCE))
    assert len(named) == 4
    assert all((ROOT / "assets" / name).is_file() for name in named)


def test_a_block_that_no_evidence_belongs_to_is_an_error():
    with pytest.raises(KeyError):
        fill_blocks("<!-- evidence videos -->\n<!-- end -->", EVIDENCE)
    assert fill_blocks("no blocks", EVIDENCE) == "no blocks"
    made = fill_blocks("a\n<!-- evidence text difference -->\nold\n<!-- end -->\nb", EVIDENCE)
    assert made.startswith("a\n<!-- evidence text difference -->\nSMART − pooled, nDCG@10: +0.0")
    assert made.endswith("\n<!-- end -->\nb")


def test_the_run_was_a_whole_one_of_minilm():
    made, encoder = EVIDENCE["made"], EVIDENCE["encoder"]
    assert "with changes" not in made["commit"]
    assert made["commit"]
    assert (encoder["name"], encoder["codec"], EVIDENCE["binding"]["questions"]) == ("minilm", "int8", 2000)
    assert (EVIDENCE["pages"]["documents"], EVIDENCE["pages"]["queries"]) == (71, 63)
    assert (EVIDENCE["text"]["documents"], EVIDENCE["text"]["queries"]) == (1398, 225)


def test_what_the_readme_says_holds_does():
    for part in ("pages", "text"):
        for point in EVIDENCE[part]["curve"]["mean"]:
            assert point["low"] > 0 or point["late_weight"] == 0.0
    assert round(EVIDENCE["text"]["chosen"]["gain_over_one"], 3) <= 0.001
    whole, default = row("codec", "float32"), row("default")
    assert all(abs(whole["text"][method] - default["text"][method]) < 0.001 for method in ("late", "smart"))
    assert round(default["pages"]["smart"] - whole["pages"]["smart"], 3) == 0.006
    assert whole["pages"]["change"]["high"] == 0
    layers = [r for r in EVIDENCE["ablations"]["rows"] if r["factor"] == "late layer"]
    assert len(layers) == 5
    assert all(abs(r["pages"]["change"]["mean"]) < 0.03 for r in layers)


def test_what_the_readme_says_does_not_hold_does_not():
    pages, text = EVIDENCE["pages"]["difference"], EVIDENCE["text"]["difference"]
    assert pages["smart-late"]["ndcg@10"]["mean"] < 0 < pages["smart-late"]["ndcg@10"]["high"]
    assert round(EVIDENCE["pages"]["chosen"]["gain_over_one"], 3) == 0.020
    assert row("λ late", "4")["pages"]["change"]["low"] > 0
    assert text["late-pooled"]["ndcg@10"]["low"] < 0 < text["late-pooled"]["ndcg@10"]["high"]
    assert text["smart_sum-pooled"]["ndcg@10"]["low"] < 0
    assert row("reduction")["pages"]["change"]["low"] > 0
    binding = EVIDENCE["binding"]
    assert all(abs(binding["both"][method] - 0.5) < 0.02 for method in ("pooled", "late", "smart"))
    spans = binding["intervals"]["both"].values()
    assert all(0.48 <= span["low"] <= span["high"] <= 0.52 for span in spans)
    assert binding["one_sided"]["pooled"] > 0.5
    one_direction = binding["intervals"]["a_to_b"]["pooled"]
    assert one_direction["high"] - one_direction["low"] > 0.2
