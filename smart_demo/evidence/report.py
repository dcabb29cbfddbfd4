"""evidence.json -> Markdown tables. Equal evidence gives equal text, to which a test holds the README.

Nothing is worked out here that is not in the JSON; numbers are only rounded.

evidence.json -> evidence.md: what was run, the tables, and what they do not say.

evidence.json, evidence.md, and the blocks of the README that are made of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from smart_demo.backbones.minilm import WINDOW
from smart_demo.evidence import plots
from smart_demo.evidence.binding import make_pairs
from smart_demo.evidence.marker_pages import draw_example
from smart_demo.evidence.weight_curves import HEADLINE, Json

METRICS = {"ndcg@5": "nDCG@5", "ndcg@10": "nDCG@10", "recall@1": "recall@1", "recall@5": "recall@5", "mrr@10": "MRR@10"}
NAMES = {"pooled": "pooled only", "late": "late only", "smart": "SMART", "smart_sum": "SMART, late part a sum"}
SIDES = {"a_to_b": "A's bindings", "b_to_a": "B's bindings", "both": "both"}
POINTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Weights of a curve that are told in a table; the plot has all."""


def methods(collection: Json, *, of_sum: bool = True) -> str:
    """Every metric by method."""
    rows = [
        [NAMES[name], *(f"{means[metric]:.3f}" for metric in METRICS)]
        for name, means in collection["methods"].items()
        if of_sum or name != "smart_sum"
    ]
    return table(["", *METRICS.values()], rows)


def differences(collection: Json) -> str:
    """Who is better than whom, by how much and how surely."""
    rows = []
    for pair, by_metric in collection["difference"].items():
        name, base = pair.split("-")
        found = by_metric[HEADLINE]
        counts = [str(found[count]) for count in ("better", "same", "worse")]
        rows.append([f"{NAMES[name]} − {NAMES[base]}", signed(found["mean"]), interval(found), *counts])
    return table([METRICS[HEADLINE], "mean", "95 % interval", "better", "same", "worse"], rows)


def difference(found: Json) -> str:
    """One difference as a clause.

    >>> difference({"mean": 0.0279, "low": 0.017, "high": 0.039, "better": 118, "same": 36, "worse": 71})
    '+0.028 (95 % +0.017 to +0.039); 118 queries better, 36 the same, 71 worse'
    """
    counts = f"{found['better']} queries better, {found['same']} the same, {found['worse']} worse"
    return f"{signed(found['mean'])} (95 % {interval(found)}); {counts}"


def kinds(collection: Json) -> str:
    """nDCG@10 by kind of query."""
    rows = [
        [
            kind,
            str(own["queries"]),
            *(f"{own['methods'][name][HEADLINE]:.3f}" for name in ("pooled", "late", "smart")),
            signed(own["difference"]["mean"]),
            f"{own['difference']['better']} / {own['difference']['same']} / {own['difference']['worse']}",
        ]
        for kind, own in collection["kinds"].items()
    ]
    head = ["kind", "queries", "pooled", "late", "SMART", "SMART − pooled", "better / same / worse"]
    return table(head, rows)


def curve(collection: Json) -> str:
    """nDCG@10 and the difference to pooled for some weights of the late part, as a mean and as a sum."""
    by_weight = [{point["late_weight"]: point for point in collection["curve"][form]} for form in ("mean", "sum")]
    rows = []
    for weight in POINTS:
        cells = [f"{weight:g}"]
        for points in by_weight:
            point = points[weight]
            cells += [f"{point[HEADLINE]:.3f}", f"{signed(point['mean'])} ({interval(point)})"]
        rows.append(cells)
    return table(["λ late", "mean", "− pooled", "sum", "− pooled"], rows)


def binding(found: Json) -> str:
    """Accuracy by method and direction, each with its interval over pairs, beside the paper's."""
    rows = []
    for name in ("pooled", "late", "smart"):
        cells = [f"{percent(found[side][name])} ({span(found['intervals'][side][name])})" for side in SIDES]
        rows.append([NAMES[name], *cells, f"{found['one_sided'][name]:.2f}", percent(found["paper"][name])])
    return table(["accuracy, %", *SIDES.values(), "one-sided", "paper, 2B"], rows)


def binding_curve(found: Json) -> str:
    """Accuracy over both directions for some weights of the late part."""
    points = {point["late_weight"]: point for point in found["curve"]}
    rows = [[f"{w:g}", *(percent(points[w][side]) for side in SIDES), span(points[w])] for w in POINTS]
    return table(["λ late", *SIDES.values(), "95 % interval"], rows)


def ablations(found: Json) -> str:
    """One row for each setting that was moved; a dash where a figure cannot change or was not measured."""
    columns = [name for name in ("pages", "text", "binding") if any(row[name] for row in found["rows"])]
    head = ["", "setting"]
    for name in columns:
        what = "binding" if name == "binding" else f"{name}, {METRICS[HEADLINE]}"
        head += [f"{what}: late", "SMART", "SMART − default"]
    return table(head, [_ablation(row, columns) for row in found["rows"]])


def _ablation(row: Json, columns: Sequence[str]) -> list[str]:
    cells = [row["factor"], row["setting"] + (f" ({row['note']})" if row["note"] else "")]
    for name in columns:
        own = row[name]
        if own is None:
            cells += ["–"] * 3
            continue
        show = percent if name == "binding" else "{:.3f}".format
        change = own["change"]
        moved = "" if row["default"] else f"{signed(change['mean'])} ({interval(change)})"
        cells += ["–" if own["late"] is None else show(own["late"]), show(own["smart"]), moved]
    return cells


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: first column as it comes, the others to the right where they are figures.

    >>> print(table(["", "n"], [["a", "1"]]))
    | | n |
    |---|---|
    | a | 1 |
    """
    return "\n".join(_lines(head, rows))


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, None, *rows):
        yield "|" + "---|" * len(head) if cells is None else "".join(f"| {c} " if c else "| " for c in cells) + "|"


def signed(value: float) -> str:
    """With its sign, and a true minus.

    >>> signed(-0.0123), signed(0.0)
    ('−0.012', '+0.000')
    """
    return f"{value:+.3f}".replace("-", "−")


def interval(found: Json) -> str:
    """Both ends of an interval of a difference."""
    return f"{signed(found['low'])} to {signed(found['high'])}"


def percent(value: float) -> str:
    """An accuracy, in per cent without the sign.

    >>> percent(0.319)
    '31.9'
    """
    return f"{100 * value:.1f}"


def span(found: Json) -> str:
    """Both ends of an interval of an accuracy."""
    return f"{percent(found['low'])}–{percent(found['high'])}"


HEADINGS = {"text": "Text", "pages": "Pages", "binding": "Binding", "ablations": "Ablations"}
TRIED = """\
- **Not tried here**: the Qwen weights (no GPU at hand; the same command runs them), the adapter, ViDoRe, other text
  collections, other text embedders, trained late interaction, a tuned weight on held-out collections.
- Cranfield is one old, small collection on one subject. The sample library, its queries and its judgements were made by
  one person for this demo. Intervals say how far other queries of the same sort could move a figure, not how it would
  be on other documents.
- To our knowledge nobody has published SMART on text. That is a statement about what we found, not a proof."""


def document(evidence: Json) -> str:
    """The whole of evidence.md."""
    return "\n\n".join(_paragraphs(evidence)) + "\n"


def _paragraphs(evidence: Json) -> Iterator[str]:
    made, encoder = evidence["made"], evidence["encoder"]
    yield "# Evidence"
    yield (
        f"Made by `{made['command']}` at commit `{made['commit'][:12] or 'unknown'}`"
        f"{' with changes' if 'changes' in made['commit'] else ''}, {made['date']}."
    )
    yield (
        f"Encoder: {encoder['name']} ({encoder['model']}, fingerprint `{encoder['fingerprint']}`), frozen; token "
        f"states kept as {encoder['codec']}. Scores that agree to six decimals are ties and stand in the order of "
        "their ids. nDCG has linear gain, as trec_eval's. Intervals are paired bootstraps "
        f"({made['resamples']:,} resamples, seed {made['seed']['resampling']}); a difference whose interval holds 0 is "
        "no finding."
    )
    yield "Versions: " + ", ".join(f"{name} {version}" for name, version in made["versions"].items()) + "."
    for part, write_part in (("text", _text), ("pages", _pages), ("binding", _binding), ("ablations", _ablations)):
        yield f"## {HEADINGS[part]}"
        if "left_out" in evidence[part]:
            yield evidence[part]["left_out"]
        else:
            yield from write_part(evidence[part], evidence)
    yield "## What was not tried, and what this is not"
    yield TRIED


def _text(own: Json, evidence: Json) -> Iterator[str]:
    tokens = own["tokens"]
    window = "cut at the encoder's window"
    if evidence["encoder"]["name"] == "minilm":
        full = tokens["with_most"] if tokens["most"] == WINDOW else 0
        window = (
            f"cut at 512 positions and never windowed ({full} fill all {WINDOW} word pieces, so their ends may be gone)"
        )
    yield (
        f"{own['collection']}: {own['documents']:,} texts, {own['queries']} queries, every text ranked for every "
        f"query. A text is its field .W (the title where that is empty), {window}. "
        "The gain of a judged text is 5 − grade, not below 1, and 1 for the paper a query came from; copies of the "
        "collection disagree about which end of the grades is best, on which recall and MRR do not depend. "
        f"{_ties(own)} {' '.join(own['notices'])}"
    )
    yield from _collection(own, "text", evidence)


def _pages(own: Json, evidence: Json) -> Iterator[str]:
    tokens = own["tokens"]
    yield (
        f"The sample library: {own['documents']} pages, {own['queries']} judged queries, ranked among all pages; "
        f"{tokens['fewest']} to {tokens['most']} token states a page. {_ties(own)} {' '.join(own['notices'])}"
    )
    yield from _collection(own, "pages", evidence)
    yield "nDCG@10 by kind of query; few queries each, so read the counts before the means:"
    yield kinds(own)


def _collection(own: Json, part: str, evidence: Json) -> Iterator[str]:
    yield methods(own)
    yield differences(own)
    yield "nDCG@10 as the late part's weight grows, pooled staying at 1, each with its interval against pooled:"
    yield curve(own)
    yield _chosen(own)
    if part == next(one for one in ("text", "pages") if "curve" in evidence[one]):
        yield "![nDCG@10 over the weight of the late part](evidence-weights.png)"


def _ties(own: Json) -> str:
    ties = own["ties"]
    counts = f"{ties['pooled']} queries pooled, {ties['late']} late, {ties['smart']} SMART"
    return f"Ties within the first ten places: {counts}."


def _chosen(own: Json) -> str:
    """What the best weight of the curve is worth, told without letting it flatter itself."""
    found = own["chosen"]
    best = f"The curve is highest at λ {found['best']:g} ({found['best_value']:.3f}), on the queries it is drawn from."
    if "picked" not in found:
        return best
    picked = found["picked"]
    return (
        f"{best} Chosen on a random half of the queries and measured on the other ({found['splits']:,} times), the "
        f"weight lies at {picked['low']:g} to {picked['high']:g} (middle {picked['middle']:g}) and changes nDCG@10 by "
        f"{signed(found['gain_over_one'])} over λ 1."
    )


def _binding(own: Json, evidence: Json) -> Iterator[str]:
    tokens = own["tokens"]
    sees = evidence["encoder"]["visual_tokens"] > 0
    yield (
        f"The paper's code-marker stress test, rebuilt from its description: {own['pairs']} pairs of reports with "
        f"{own['panels']} chart panels each (seed {own['seed']}). B has A's layout, charts, markers and codes and only "
        "permutes which code stands with which marker, so that no panel keeps its own: as bags the two are equal. "
        f'{own["questions"]:,} questions such as "find the report where code K7Q2 labels the red star marker", one for '
        "every panel of A and one for every panel of B; only the pair's two reports are ranked; a tie counts half."
    )
    yield "![Reports A and B of the first pair: the same bag, other bindings](evidence-reports.png)"
    yield binding(own)
    ties = ", ".join(
        f"{sum(side[name] for side in own['ties'].values())} {NAMES[name]}" for name in ("pooled", "late", "smart")
    )
    yield (
        "In brackets the 95 % interval over pairs: the questions of a pair depend on each other, so whole pairs are "
        "drawn. The paper's own error (binomial, ±1.6 points) takes 1,000 questions for independent and is too small. "
        "One-sided is the mean over pairs of |accuracy on A's questions − accuracy on B's|: 0 is no preference between "
        "the reports, 1 a system that never looks at the question. "
        f"Ties, of {own['questions']:,}: {ties}. The reports of a pair have pooled vectors with a mean cosine of "
        f"{own['pooled_cosine']:.4f}."
    )
    yield (
        "One direction alone says little: pooled's interval on A's questions is "
        f"{span(own['intervals']['a_to_b']['pooled'])} %, and what moves it is which report of a pair is "
        "preferred, whatever is asked. Over both directions such a preference cancels."
    )
    yield "\n".join(_differs(evidence["encoder"]["name"], tokens, sees=sees))
    yield "Accuracy as the late part's weight grows:"
    yield binding_curve(own)
    yield "![Binding accuracy in both directions](evidence-binding.png)"


def _differs(encoder: str, tokens: Json, *, sees: bool) -> Iterator[str]:
    yield "What differs from the paper's test:"
    yield ""
    if sees:
        yield "- The encoder sees the drawn reports, as the paper's does. Layout, charts, markers and codes are ours."
    else:
        yield (
            "- **The encoder reads words.** It sees no shapes, so the text of a panel spells its marker beside its "
            'code ("red star K7Q2"), panel by panel, row by row. That is a test of binding in text, not of seeing.'
        )
    if encoder == "minilm" and tokens["most"] <= WINDOW:
        yield (
            f"- A report is {tokens['fewest']} to {tokens['most']} word pieces (mean {tokens['mean']:.0f}), within "
            f"minilm's window of {WINDOW}: one pass sees the whole report and nothing is cut."
        )
    yield "- Both directions are asked. The paper's 1,000 questions are 25 a pair: one direction."
    yield "- The paper's pages, codes and markers are not at hand; ours follow their description."
    yield "- The paper's figures are Qwen3-VL-Embedding-2B's, as transcribed from the paper; not measured again here."


def _ablations(own: Json, evidence: Json) -> Iterator[str]:
    yield (
        "One setting moved at a time. Columns: late only, SMART, and SMART minus the default with its interval. "
        "Binding is accuracy over both directions, in per cent; its change is in shares. A dash: cannot change (the "
        "late-only ranking under another λ or a sum), or not measured (other encoders on the texts, which would "
        "have to be encoded again for each). With so many comparisons, one interval in twenty misses by chance alone."
    )
    yield ablations(own)
    if any(row["factor"] == "late layer" and row["pages"] for row in own["rows"]):
        yield (
            "Late layer k: the late part from the states of layer k, pooled always from the last (the paper's Table 4, "
            "right half). States below the last are L2-normalised as they are; minilm's layers end in a norm of their "
            "own, Qwen's are the raw residual stream, without the final norm and before DeepStack's addition."
        )
        yield "![Quality by the layer of the late states](evidence-layers.png)"


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
    return methods(evidence[part], of_sum=False)


def _readme_difference(part: str, evidence: Json) -> str:
    found = evidence[part]["difference"]["smart-pooled"][HEADLINE]
    return f"SMART − pooled, nDCG@10: {difference(found)}."


BLOCKS = {
    "pages": lambda evidence: _readme_methods("pages", evidence),
    "pages difference": lambda evidence: _readme_difference("pages", evidence),
    "text": lambda evidence: _readme_methods("text", evidence),
    "text difference": lambda evidence: _readme_difference("text", evidence),
    "binding": lambda evidence: binding(evidence["binding"]),
}
"""What the README takes from the evidence, by the name in its markers."""
