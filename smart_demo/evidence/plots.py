"""Plots of evidence.json as PNG: SMART cobalt, pooled grey, late rust, as on the page, and legible without colour.

matplotlib is a development tool. Without it the evidence has no plots and is otherwise the same.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from smart_demo.evidence.weight_curves import HEADLINE_METRIC, Json

COBALT, GREY, RUST, INK, LINE = "#2f46d8", "#6c7078", "#a43d0a", "#15171c", "#e2dfd6"
COLOURS = {"pooled": GREY, "late": RUST, "smart": COBALT}
LABELS = {"pooled": "pooled only", "late": "late only", "smart": "SMART"}
HATCH = {"pooled": "", "late": "//", "smart": ""}
TITLES = {"text": "Texts: Cranfield", "pages": "Pages: sample library"}
MATPLOTLIB_MISSING = "The plots were left out: pip install -r tests/requirements.txt brings matplotlib."
STYLE = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
    "savefig.dpi": 160,
}


def can_plot() -> bool:
    """Return whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw_plots(evidence: Json, folder: Path) -> list[Path]:
    """Draw every plot that the evidence has figures for, and return the files in `folder`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    made = []
    with mpl.rc_context(STYLE):
        for name, plot in (("weights", _plot_weights), ("binding", _plot_binding), ("layers", _plot_layers)):
            figure = plot(pyplot, evidence)
            if figure is not None:
                path = folder / f"evidence-{name}.png"
                figure.savefig(path, bbox_inches="tight", metadata={"Software": None})
                pyplot.close(figure)
                made.append(path)
    return made


def _plot_weights(pyplot: Any, evidence: Json) -> Any:  # noqa: ANN401 (matplotlib is a development tool)
    """Plot nDCG@10 over the weight of the late part, with the interval of its difference to pooled."""
    parts = [part for part in TITLES if "curve" in evidence[part]]
    if not parts:
        return None
    figure, panels = pyplot.subplots(
        1, len(parts), figsize=(5.4 * len(parts), 4.0), squeeze=False, layout="constrained"
    )
    for axes, part in zip(panels[0], parts, strict=True):
        own = evidence[part]
        pooled, late = (own["methods"][name][HEADLINE_METRIC] for name in ("pooled", "late"))
        points = own["curve"]["mean"]
        x = [point["late_weight"] for point in points]
        low, high = ([pooled + point[end] for point in points] for end in ("low", "high"))
        axes.fill_between(x, low, high, color=COBALT, alpha=0.13, linewidth=0)
        axes.plot(x, [point[HEADLINE_METRIC] for point in points], color=COBALT, linewidth=2.2, label="SMART, mean")
        total = [point[HEADLINE_METRIC] for point in own["curve"]["sum"]]
        axes.plot(x, total, color=COBALT, linewidth=1.3, linestyle=(0, (4, 2)), label="SMART, sum")
        axes.axhline(late, color=RUST, linewidth=1.6, linestyle=(0, (1, 1.2)), label="late only")
        axes.axhline(pooled, color=GREY, linewidth=1.8, label="pooled only")
        default = next(point for point in points if point["late_weight"] == 1.0)
        axes.plot([1], [default[HEADLINE_METRIC]], "o", color=COBALT, markersize=7, markeredgecolor="white")
        axes.set_title(f"{TITLES[part]}, {own['queries']} queries")
        axes.set_xlabel("weight of the late part (pooled stays 1)")
        axes.set_ylabel("nDCG@10")
        axes.set_xlim(0, 4)
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _plot_binding(pyplot: Any, evidence: Json) -> Any:  # noqa: ANN401
    """Plot the accuracy in each direction, with its interval over pairs, beside the paper's."""
    own = evidence["binding"]
    if "both" not in own:
        return None
    figure, axes = pyplot.subplots(figsize=(8.0, 4.0), layout="constrained")
    groups = ("a_to_b", "b_to_a", "both", "paper")
    for at, (name, colour) in enumerate(COLOURS.items()):
        x = [group + (at - 1) * 0.26 for group in range(len(groups))]
        values = [100 * own[group][name] for group in groups]
        spans = [own["intervals"][group][name] for group in groups[:3]]
        tops = [*(100 * span["high"] for span in spans), values[3]]
        for left, value, top, alpha in zip(x, values, tops, (1.0, 1.0, 1.0, 0.45), strict=True):
            label = LABELS[name] if left == x[0] else None
            axes.bar(left, value, 0.24, color=colour, alpha=alpha, hatch=HATCH[name], edgecolor="white", label=label)
            axes.text(left, top + 1.5, f"{value:.0f}", ha="center", va="bottom", fontsize=10)
        ends = [[v - 100 * s["low"], 100 * s["high"] - v] for v, s in zip(values, spans, strict=False)]
        axes.errorbar(
            x[:3], values[:3], list(zip(*ends, strict=True)), fmt="none", ecolor=INK, elinewidth=1.2, capsize=3
        )
    axes.axhline(50, color=INK, linewidth=1, linestyle=(0, (2, 2)))
    axes.text(len(groups) - 0.48, 50, "chance", ha="left", va="center", fontsize=10)
    name = evidence["encoder"]["name"]
    axes.set_xticks(range(len(groups)), ["A's bindings", "B's bindings", "both", "paper: 2B,\none direction"])
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.set_ylim(0, 100)
    axes.set_ylabel("pairwise accuracy, %")
    axes.set_title(f"Binding: {name}, {own['pairs']} pairs, {own['questions']:,} questions")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _plot_layers(pyplot: Any, evidence: Json) -> Any:  # noqa: ANN401
    """Plot the quality with late states of earlier layers."""
    rows = evidence["ablations"].get("rows", [])
    layers = [row for row in rows if row["factor"] == "late layer" and row["pages"]]
    if not layers:
        return None
    default = next(row for row in rows if row["default"])
    last = int(layers[0]["setting"].split(" of ")[1])
    points = [(int(row["setting"].split(" of ")[0]), row) for row in layers] + [(last, default)]
    parts = [part for part in ("pages", "binding") if default[part]]
    figure, panels = pyplot.subplots(
        1, len(parts), figsize=(5.4 * len(parts), 3.7), squeeze=False, layout="constrained"
    )
    for axes, part in zip(panels[0], parts, strict=True):
        scale = 100 if part == "binding" else 1
        x = [layer for layer, _ in points]
        for name, marker in (("late", "s"), ("smart", "o")):
            y = [scale * row[part][name] for _, row in points]
            axes.plot(x, y, marker=marker, color=COLOURS[name], linewidth=2, markersize=6, label=LABELS[name])
        base = 50 if part == "binding" else evidence["pages"].get("methods", {}).get("pooled", {}).get(HEADLINE_METRIC)
        if base is not None:
            label = None if part == "binding" else "pooled only"
            axes.axhline(
                base, color=INK if part == "binding" else GREY, linewidth=1.4, linestyle=(0, (2, 2)), label=label
            )
        axes.set_title("Binding, both directions" if part == "binding" else "Pages")
        axes.set_xlabel(f"layer of the late states ({last} is the last)")
        axes.set_ylabel("accuracy, %" if part == "binding" else "nDCG@10")
        axes.set_xticks(x)
        if part == "binding":
            axes.set_ylim(*_widen(axes.get_ylim()))
        axes.grid(axis="y", color=LINE, linewidth=0.8)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _widen(limits: tuple[float, float]) -> tuple[float, float]:
    """Return limits at least ten points to both sides of chance, so that tenths do not look like findings."""
    low, high = limits
    return min(low, 40.0), max(high, 60.0)
