"""evidence.json as Markdown: evidence.md, and the blocks of the README made from the same figures.

Numbers are rounded here and never computed, so equal evidence gives equal text; a test compares README and evidence.md
with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from smart_demo.backbones.minilm import WINDOW_PIECES
from smart_demo.evaluation.metrics import METRICS
from smart_demo.evaluation.runner import format_metric
from smart_demo.evidence import plots
from smart_demo.evidence.binding import make_pairs
from smart_demo.evidence.marker_pages import draw_example
from smart_demo.evidence.weight_curves import HEADLINE_METRIC, Json

METRIC_LABELS = {metric: format_metric(metric) for metric in METRICS}
METHOD_LABELS = {"pooled": "pooled only", "late": "late only", "smart": "SMART", "smart_sum": "SMART, late part a sum"}
DIRECTION_LABELS = {"a_to_b": "A's bindings", "b_to_a": "B's bindings", "both": "both"}
HEADINGS = {"text": "Text", "pages": "Pages", "binding": "Binding", "ablations": "Ablations"}
TABLE_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Weights of a curve that a table shows; the plot shows all."""
LIMITATIONS = """\
- **Not tried here**: the Qwen weights (no GPU available; the same command runs them), the adapter, ViDoRe, other text
  collections, other text embedders, trained late interaction, a tuned weight on held-out collections.
- Cranfield is one old, small collection on one subject. The sample library, its queries and its judgements were made by
  one person for this demo. Intervals show how far other queries of the same kind could move a figure; they do
  not cover other documents.
- We found no published results of SMART on text. Such results may exist."""


def write_evidence(evidence: Json, folder: Path) -> tuple[list[Path], list[str]]:
    """Write evidence.json, evidence.md and the images; return the files and notices.

    The folder is created if missing; older files of these names are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data, text = folder / "evidence.json", folder / "evidence.md"
    pictures = plots.draw_plots(evidence, folder) if plots.can_plot() else []
    if "seed" in evidence["binding"]:
        pictures.append(folder / "evidence-reports.png")
        draw_example(make_pairs(1, evidence["binding"]["seed"])[0]).save(pictures[-1], optimize=True)
    data.write_text(json.dumps(evidence, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text.write_text(format_evidence(evidence), encoding="utf-8")
    return [data, text, *pictures], [] if plots.can_plot() else [plots.MATPLOTLIB_MISSING]


def fill_blocks(readme: str, evidence: Json) -> str:
    """Return a text with every block between `<!-- evidence NAME -->` and `<!-- end -->` replaced.

    Raises KeyError if BLOCKS has no block of that name.
    """

    def replace_block(found: re.Match[str]) -> str:
        return f"{found[1]}\n{BLOCKS[found[2]](evidence)}\n{found[3]}"

    return re.sub(r"(<!-- evidence ([\w ]+) -->)\n.*?(<!-- end -->)", replace_block, readme, flags=re.DOTALL)


def _readme_difference(part: str, evidence: Json) -> str:
    found = evidence[part]["difference"]["smart-pooled"][HEADLINE_METRIC]
    return f"SMART − pooled, nDCG@10: {format_difference(found)}."


BLOCKS = {
    "pages": lambda evidence: format_methods(evidence["pages"], with_sum=False),
    "pages difference": lambda evidence: _readme_difference("pages", evidence),
    "text": lambda evidence: format_methods(evidence["text"], with_sum=False),
    "text difference": lambda evidence: _readme_difference("text", evidence),
    "binding": lambda evidence: format_binding(evidence["binding"]),
}
"""The README's blocks, by the name in their markers."""


def format_evidence(evidence: Json) -> str:
    """Return the text of evidence.md."""
    return "\n\n".join(_format_paragraphs(evidence)) + "\n"


def _format_paragraphs(evidence: Json) -> Iterator[str]:
    made, encoder = evidence["made"], evidence["encoder"]
    yield "# Evidence"
    yield (
        f"Made by `{made['command']}` at commit `{made['commit'][:12] or 'unknown'}`"
        f"{' with changes' if 'changes' in made['commit'] else ''}, {made['date']}."
    )
    yield (
        f"Encoder: {encoder['name']} ({encoder['model']}, fingerprint `{encoder['fingerprint']}`), frozen; token "
        f"states kept as {encoder['codec']}. Scores that agree to six decimals are ties, ordered by "
        "id. nDCG has linear gain, as trec_eval's. Intervals are paired bootstraps "
        f"({made['resamples']:,} resamples, seed {made['seed']['resampling']}); a difference whose interval contains 0 "
        "is no finding."
    )
    yield "Versions: " + ", ".join(f"{name} {version}" for name, version in made["versions"].items()) + "."
    for part, write_part in (
        ("text", _describe_text),
        ("pages", _describe_pages),
        ("binding", _describe_binding),
        ("ablations", _describe_ablations),
    ):
        yield f"## {HEADINGS[part]}"
        if "left_out" in evidence[part]:
            yield evidence[part]["left_out"]
        else:
            yield from write_part(evidence[part], evidence)
    yield "## Not tried, and limitations"
    yield LIMITATIONS


def _describe_text(own: Json, evidence: Json) -> Iterator[str]:
    tokens = own["tokens"]
    window = "cut at the encoder's window"
    if evidence["encoder"]["name"] == "minilm":
        full = tokens["with_most"] if tokens["most"] == WINDOW_PIECES else 0
        window = (
            f"cut at 512 positions and never windowed ({full} fill all {WINDOW_PIECES} word pieces, so their ends may "
            "be gone)"
        )
    yield (
        f"{own['collection']}: {own['documents']:,} texts, {own['queries']} queries, every text ranked for every "
        f"query. A text is its field .W (the title if that is empty), {window}. "
        "The gain of a judged text is 5 − grade, not below 1, and 1 for the paper a query came from; copies of the "
        "collection disagree about which end of the grades is best; recall and MRR do not depend on it. "
        f"{' '.join([_describe_ties(own), *own['notices']])}"
    )
    yield from _describe_collection(own, "text", evidence)


def _describe_pages(own: Json, evidence: Json) -> Iterator[str]:
    tokens, notes = own["tokens"], " ".join([_describe_ties(own), *own["notices"]])
    yield (
        f"The sample library: {own['documents']} pages, {own['queries']} judged queries, ranked among all pages; "
        f"{tokens['fewest']} to {tokens['most']} token states a page. {notes}"
    )
    yield from _describe_collection(own, "pages", evidence)
    yield "nDCG@10 by kind of query; few queries each, so read the counts before the means:"
    yield format_kinds(own)


def _describe_collection(own: Json, part: str, evidence: Json) -> Iterator[str]:
    yield format_methods(own)
    yield format_differences(own)
    yield "nDCG@10 by weight of the late part (pooled stays 1), each with its interval against pooled:"
    yield format_curve(own)
    yield _describe_best_weight(own)
    if part == next(name for name in ("text", "pages") if "curve" in evidence[name]):
        yield "![nDCG@10 over the weight of the late part](evidence-weights.png)"


def _describe_ties(own: Json) -> str:
    ties = own["ties"]
    counts = f"{ties['pooled']} queries pooled, {ties['late']} late, {ties['smart']} SMART"
    return f"Ties within the first ten places: {counts}."


def _describe_best_weight(own: Json) -> str:
    """Return the value of the curve's best weight, and its gain on queries it was not chosen on."""
    found = own["chosen"]
    best = f"The curve is highest at λ {found['best']:g} ({found['best_value']:.3f}), on the queries it is drawn from."
    if "picked" not in found:
        return best
    picked = found["picked"]
    return (
        f"{best} Chosen on a random half of the queries and measured on the other ({found['splits']:,} times), the "
        f"weight is mostly {picked['low']:g} to {picked['high']:g} (median {picked['middle']:g}) and changes nDCG@10 "
        f"by {format_signed(found['gain_over_one'])} over λ 1."
    )


def _describe_binding(own: Json, evidence: Json) -> Iterator[str]:
    tokens = own["tokens"]
    sees = evidence["encoder"]["visual_tokens"] > 0
    yield (
        f"The paper's code-marker stress test, rebuilt from its description: {own['pairs']} pairs of reports with "
        f"{own['panels']} chart panels each (seed {own['seed']}). B has A's layout, charts, markers and codes and only "
        "permutes which code labels which marker, so that no panel keeps its code: as bags the two are equal. "
        f'{own["questions"]:,} questions such as "find the report where code K7Q2 labels the red star marker", one for '
        "every panel of A and one for every panel of B; only the pair's two reports are ranked; a tie counts half."
    )
    yield "![Reports A and B of the first pair: the same bag, other bindings](evidence-reports.png)"
    yield format_binding(own)
    ties = ", ".join(
        f"{sum(side[name] for side in own['ties'].values())} {METHOD_LABELS[name]}"
        for name in ("pooled", "late", "smart")
    )
    yield (
        "In brackets the 95 % interval over pairs: the questions of a pair depend on each other, so whole pairs are "
        "drawn. The paper's own error (binomial, ±1.6 points) assumes 1,000 independent questions and is too small. "
        "One-sided is the mean over pairs of |accuracy on A's questions − accuracy on B's|: 0 is no preference between "
        "the reports, 1 a system that ignores the question. "
        f"Ties, of {own['questions']:,}: {ties}. The reports of a pair have pooled vectors with a mean cosine of "
        f"{own['pooled_cosine']:.4f}."
    )
    yield (
        "One direction alone is not enough: pooled's interval on A's questions is "
        f"{format_percent_interval(own['intervals']['a_to_b']['pooled'])} %, and it depends mostly on which report of "
        "a pair the method prefers for any question. Over both directions such a preference cancels."
    )
    yield "\n".join(_describe_differences(evidence["encoder"]["name"], tokens, sees=sees))
    yield "Accuracy by weight of the late part:"
    yield format_binding_curve(own)
    yield "![Binding accuracy in both directions](evidence-binding.png)"


def _describe_differences(encoder: str, tokens: Json, *, sees: bool) -> Iterator[str]:
    yield "What differs from the paper's test:"
    yield ""
    if sees:
        yield "- The encoder sees the drawn reports, as the paper's does. Layout, charts, markers and codes are ours."
    else:
        yield (
            "- **The encoder reads words.** It sees no shapes, so the text of a panel spells its marker beside its "
            'code ("red star K7Q2"), panel by panel, row by row. That is a test of binding in text, not of seeing.'
        )
    if encoder == "minilm" and tokens["most"] <= WINDOW_PIECES:
        yield (
            f"- A report is {tokens['fewest']} to {tokens['most']} word pieces (mean {tokens['mean']:.0f}), within "
            f"minilm's window of {WINDOW_PIECES}: one pass sees the whole report and nothing is cut."
        )
    yield "- Both directions are measured. The paper's 1,000 questions are 25 a pair: one direction."
    yield "- The paper's pages, codes and markers are not available; ours follow their description."
    yield "- The paper's figures are Qwen3-VL-Embedding-2B's, as transcribed from the paper; not measured again here."


def _describe_ablations(own: Json, evidence: Json) -> Iterator[str]:
    yield (
        "One setting changed at a time. Columns: late only, SMART, and SMART minus the default with its interval. "
        "Binding is accuracy over both directions, in per cent; its change is in shares. A dash: cannot change (the "
        "late-only ranking under another λ or a sum), or not measured (other encoders on the texts, which would "
        "have to be encoded again for each). With this many comparisons, one interval in twenty misses by chance alone."
    )
    yield format_ablations(own)
    if any(row["factor"] == "late layer" and row["pages"] for row in own["rows"]):
        yield (
            "Late layer k: the late part from the states of layer k, pooled always from the last (the paper's Table 4, "
            f"right half). {_describe_layers(evidence)}"
        )
        yield "![Quality by the layer of the late states](evidence-layers.png)"


def _describe_layers(evidence: Json) -> str:
    """Return what is made of the states of a layer below the last, as a sentence."""
    family, as_they_are = evidence["encoder"]["model"], "States below the last are L2-normalised as they are"
    if family.startswith("embedding_gemma2"):
        return "States below the last go through the model's final norm and projection before they are L2-normalised."
    if family.startswith("neomme"):
        return f"{as_they_are}; NeoMME's final norm has no weights, so it would change no direction."
    return (
        f"{as_they_are}; minilm's layers end in a norm of their own, Qwen's are the raw residual stream, without the "
        "final norm and before DeepStack's addition."
    )


def format_methods(collection: Json, *, with_sum: bool = True) -> str:
    """Return a table of every metric by method."""
    rows = [
        [METHOD_LABELS[name], *(f"{means[metric]:.3f}" for metric in METRIC_LABELS)]
        for name, means in collection["methods"].items()
        if with_sum or name != "smart_sum"
    ]
    return format_table(["", *METRIC_LABELS.values()], rows)


def format_differences(collection: Json) -> str:
    """Return a table of the differences between methods, with intervals and counts."""
    rows = []
    for pair, by_metric in collection["difference"].items():
        name, base = pair.split("-")
        found = by_metric[HEADLINE_METRIC]
        counts = [str(found[count]) for count in ("better", "same", "worse")]
        rows.append(
            [
                f"{METHOD_LABELS[name]} − {METHOD_LABELS[base]}",
                format_signed(found["mean"]),
                format_interval(found),
                *counts,
            ]
        )
    return format_table([METRIC_LABELS[HEADLINE_METRIC], "mean", "95 % interval", "better", "same", "worse"], rows)


def format_difference(found: Json) -> str:
    """Return one difference as a clause.

    >>> format_difference({"mean": 0.0279, "low": 0.017, "high": 0.039, "better": 118, "same": 36, "worse": 71})
    '+0.028 (95 % +0.017 to +0.039); 118 queries better, 36 the same, 71 worse'
    """
    counts = f"{found['better']} queries better, {found['same']} the same, {found['worse']} worse"
    return f"{format_signed(found['mean'])} (95 % {format_interval(found)}); {counts}"


def format_kinds(collection: Json) -> str:
    """Return a table of nDCG@10 by kind of query."""
    rows = [
        [
            kind,
            str(own["queries"]),
            *(f"{own['methods'][name][HEADLINE_METRIC]:.3f}" for name in ("pooled", "late", "smart")),
            format_signed(own["difference"]["mean"]),
            f"{own['difference']['better']} / {own['difference']['same']} / {own['difference']['worse']}",
        ]
        for kind, own in collection["kinds"].items()
    ]
    head = ["kind", "queries", "pooled", "late", "SMART", "SMART − pooled", "better / same / worse"]
    return format_table(head, rows)


def format_curve(collection: Json) -> str:
    """Return a table of nDCG@10 and its difference to pooled by late weight, as a mean and a sum."""
    by_weight = [{point["late_weight"]: point for point in collection["curve"][form]} for form in ("mean", "sum")]
    rows = []
    for weight in TABLE_WEIGHTS:
        cells = [f"{weight:g}"]
        for points in by_weight:
            point = points[weight]
            cells += [f"{point[HEADLINE_METRIC]:.3f}", f"{format_signed(point['mean'])} ({format_interval(point)})"]
        rows.append(cells)
    return format_table(["λ late", "mean", "− pooled", "sum", "− pooled"], rows)


def format_binding(found: Json) -> str:
    """Return a table of accuracy by method and direction, with intervals over pairs, beside the paper's."""
    rows = []
    for name in ("pooled", "late", "smart"):
        cells = [
            f"{format_percent(found[side][name])} ({format_percent_interval(found['intervals'][side][name])})"
            for side in DIRECTION_LABELS
        ]
        rows.append(
            [METHOD_LABELS[name], *cells, f"{found['one_sided'][name]:.2f}", format_percent(found["paper"][name])]
        )
    return format_table(["accuracy, %", *DIRECTION_LABELS.values(), "one-sided", "paper, 2B"], rows)


def format_binding_curve(found: Json) -> str:
    """Return a table of binding accuracy by weight of the late part."""
    points = {point["late_weight"]: point for point in found["curve"]}
    rows = [
        [f"{w:g}", *(format_percent(points[w][side]) for side in DIRECTION_LABELS), format_percent_interval(points[w])]
        for w in TABLE_WEIGHTS
    ]
    return format_table(["λ late", *DIRECTION_LABELS.values(), "95 % interval"], rows)


def format_ablations(found: Json) -> str:
    """Return a table with a row for each changed setting.

    A dash is a figure that cannot change or was not measured.
    """
    columns = [name for name in ("pages", "text", "binding") if any(row[name] for row in found["rows"])]
    head = ["", "setting"]
    for name in columns:
        what = "binding" if name == "binding" else f"{name}, {METRIC_LABELS[HEADLINE_METRIC]}"
        head += [f"{what}: late", "SMART", "SMART − default"]
    return format_table(head, [_format_ablation(row, columns) for row in found["rows"]])


def _format_ablation(row: Json, columns: Sequence[str]) -> list[str]:
    cells = [row["factor"], row["setting"] + (f" ({row['note']})" if row["note"] else "")]
    for name in columns:
        own = row[name]
        if own is None:
            cells += ["–"] * 3
            continue
        show = format_percent if name == "binding" else "{:.3f}".format
        change = own["change"]
        moved = "" if row["default"] else f"{format_signed(change['mean'])} ({format_interval(change)})"
        cells += ["–" if own["late"] is None else show(own["late"]), show(own["smart"]), moved]
    return cells


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table.

    >>> print(format_table(["", "n"], [["a", "1"]]))
    | | n |
    |---|---|
    | a | 1 |
    """
    lines = ["".join(f"| {cell} " if cell else "| " for cell in cells) + "|" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def format_signed(value: float) -> str:
    """Return a number with its sign and a true minus.

    >>> format_signed(-0.0123), format_signed(0.0)
    ('−0.012', '+0.000')
    """
    return f"{value:+.3f}".replace("-", "−")


def format_interval(found: Json) -> str:
    """Return both ends of a difference's interval."""
    return f"{format_signed(found['low'])} to {format_signed(found['high'])}"


def format_percent(value: float) -> str:
    """Return an accuracy in per cent, without the sign.

    >>> format_percent(0.319)
    '31.9'
    """
    return f"{100 * value:.1f}"


def format_percent_interval(found: Json) -> str:
    """Return both ends of an accuracy's interval."""
    return f"{format_percent(found['low'])}–{format_percent(found['high'])}"
