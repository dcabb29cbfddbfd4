"""evidence.json -> Markdown tables. Equal evidence gives equal text, to which a test holds the README.

Nothing is worked out here that is not in the JSON; numbers are only rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smart_demo.evidence.standing import HEADLINE, Json

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
