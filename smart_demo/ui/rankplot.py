"""How a page's rank hangs on the late weight: a small drawing, and the same in a sentence. Every word in it is ours."""

from __future__ import annotations

from smart_demo.search.explain import LARGEST, Sweep
from smart_demo.search.explain.explainer import Explanation
from smart_demo.types import Weights
from smart_demo.ui.facts import apart, weight
from smart_demo.ui.rankline import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, RankLine, rank_line
from smart_demo.ui.wording import count, esc


def section(explanation: Explanation) -> str:
    """The viewer's part below the score's anatomy. Markup."""
    ranks, weights = explanation.sweep, explanation.attribution.weights
    if ranks is None:
        body = "<p>No line: the search did not reach this page token by token, so SMART has no place for it.</p>"
    else:
        said = f"{sentence(ranks, explanation.leads, weights)}{_reached(ranks)}"
        body = f"{_drawing(rank_line(ranks, weights.late), spoken(ranks))}<p>{esc(said)}</p>"
    return (
        '<section class="rank-plot" aria-label="Place by late weight"><h3>Place by late weight</h3>'
        f'<p class="rank-plot-at">At the pooled weight in use, {weight(weights.pooled)}</p>{body}</section>'
    )


def sentence(ranks: Sweep, leads: tuple[float, float] | None, weights: Weights) -> str:
    """Where the page stands at weight 0, between which weights it is first, and where it stands now."""
    now = f" Now, at {weight(weights.late)}: place {_at(ranks, weights.late)}."
    places = ranks.ranks[ranks.late <= LARGEST]
    start, end = int(places[0]), int(places[-1])
    if not weights.pooled:
        return f"At a pooled weight of 0 the late part alone ranks: place {end} at any late weight."
    if len(set(places.tolist())) == 1:
        return f"{'First' if start == 1 else f'Place {start}'} at every late weight from 0 to {LARGEST:g}."
    reign = _reign(leads)
    if not reign:
        return f"{_never(ranks, start, end)}{now}"
    begin, until = reign
    if begin and until:
        first = f"first from {begin} to {until}"
    elif begin:
        first = f"first from {begin} on"
    else:
        first = f"first up to {until}" if until else "first from there on"
    told = [first] if start == 1 and not begin else [f"place {start} at weight 0", first]
    told += [f"place {end} at weight {LARGEST:g}"] if until else []
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}.{now}"


def spoken(ranks: Sweep) -> str:
    """The drawing for those who do not see it."""
    places = ", ".join(f"{_at(ranks, late)} at {late}" for late in range(int(LARGEST) + 1))
    return f"Place by SMART for late weights from 0 to {LARGEST:g}: {places}."


def _never(ranks: Sweep, start: int, end: int) -> str:
    """The same for a page that no weight puts first, but perhaps weight 0."""
    within = ranks.late <= LARGEST
    best = int(ranks.ranks[within].min())
    if start == 1:
        return f"First at weight 0 alone; place {end} at weight {LARGEST:g}."
    told = f"Place {start} at weight 0, place {end} at weight {LARGEST:g}"
    if best < min(start, end):
        told += f", at best place {best} at {weight(float(ranks.late[within][ranks.ranks[within].argmin()]))}"
    return f"{told}; never first."


def _reign(leads: tuple[float, float] | None) -> tuple[str, str] | None:
    """The weights between which a page is first; an end that the slider does not reach is empty. None where it is
    nowhere first on the slider.
    """
    if leads is None or leads[0] >= LARGEST:
        return None
    start, end = leads
    return apart(start, end) if start else "", apart(end, start) if end < LARGEST else ""


def _at(ranks: Sweep, late: float) -> int:
    return int(ranks.ranks[abs(ranks.late - late).argmin()])


def _reached(ranks: Sweep) -> str:
    if ranks.candidates == ranks.pages:
        return ""
    scored = f"any other weight the {ranks.candidates:,} scored token by token"
    return f" Weight 0 ranks all {count(ranks.pages, 'page')}, {scored}."


def _drawing(line: RankLine, alternative: str) -> str:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    rules = "".join(f'<path class="rank-rule" d="M{LEFT:.1f},{y:.1f}H{right:.1f}"/>' for _, y in line.ranks)
    ranks = "".join(f'<text x="{LEFT - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{r}</text>' for r, y in line.ranks)
    weights = "".join(
        f'<text x="{x:.1f}" y="{HEIGHT - 6:.1f}" text-anchor="middle">{w}</text>' for w, x in line.weights
    )
    now = ""
    if line.now:
        x, y = line.now
        now = f'<path class="rank-now" d="M{x:.1f},{TOP:.1f}V{bottom:.1f}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{esc(alternative)}">{rules}'
        f'{ranks}{weights}<path class="rank-steps" d="{line.path}"/>{now}</svg>'
    )
