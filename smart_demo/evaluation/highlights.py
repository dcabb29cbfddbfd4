"""Five queries for a slide, out of a list: each shows another thing, and one of them shows SMART losing if any does.

Without grades nobody knows whether a change is for the better, so a page is said to rise or to fall and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from smart_demo.evaluation.contrasts import Contrast, Step, by_disagreement

FIVE = 5


class Shows(StrEnum):
    """What a query is picked for."""

    LOSS = "loss"
    """Grades say that SMART is worse."""
    GAIN = "gain"
    """Grades say that SMART is better."""
    RISE = "rise"
    """A page rises far."""
    FALL = "fall"
    """A page falls far."""
    UNCHANGED = "unchanged"
    """Both rankings are the same."""
    DIFFERENT = "different"
    """The rankings differ more than those of the other queries."""


@dataclass(frozen=True, slots=True)
class Highlight:
    """A query and what it is picked for."""

    shows: Shows
    contrast: Contrast

    @property
    def sentence(self) -> str:
        """What to look at, for the person who presents it."""
        one, k = self.contrast, self.contrast.disagreement.k
        match self.shows:
            case Shows.LOSS | Shows.GAIN:
                word = "loses" if self.shows is Shows.LOSS else "wins"
                return f"SMART {word}: nDCG {one.gain or 0.0:+z.2f} by the grades.".replace("-", "−")
            case Shows.RISE:
                return f"A page rises {_way(one.rise)}.{_verdict(one)}"
            case Shows.FALL:
                return f"A page falls {_way(one.fall)}.{_verdict(one)}"
            case Shows.UNCHANGED if k == 0:
                return "No change: nothing was found."
            case Shows.UNCHANGED:
                return f"No change: the same {k} pages in the same order." if k > 1 else "No change: the same page."
            case Shows.DIFFERENT:
                shared = one.disagreement.shared
                return (
                    f"The rankings differ: {shared} of {k} pages shared, RBO {one.disagreement.rbo:.2f}.{_verdict(one)}"
                )


def find_five(contrasts: Sequence[Contrast]) -> tuple[Highlight, ...]:
    """Up to five, each query once: the worst loss where there is one, the strongest rise, one without change, the most
    different, the best gain where there is one, the strongest fall; then the most different of the rest.
    """
    left, picked = list(contrasts), list[Highlight]()
    for shows, find in _WANTED:
        found = find(left)
        if found is not None and len(picked) < FIVE:
            left.remove(found)
            picked.append(Highlight(shows, found))
    for one in by_disagreement(left)[: FIVE - len(picked)]:
        picked.append(Highlight(Shows.UNCHANGED if one.disagreement.same else Shows.DIFFERENT, one))
    return tuple(picked)


def _loss(left: Sequence[Contrast]) -> Contrast | None:
    return min((one for one in left if one.worse), key=lambda one: one.gain or 0.0, default=None)


def _gain(left: Sequence[Contrast]) -> Contrast | None:
    return max((one for one in left if one.better), key=lambda one: one.gain or 0.0, default=None)


def _rise(left: Sequence[Contrast]) -> Contrast | None:
    return max((one for one in left if one.rise), key=lambda one: _worth(one.rise), default=None)


def _fall(left: Sequence[Contrast]) -> Contrast | None:
    return min((one for one in left if one.fall), key=lambda one: _worth(one.fall), default=None)


def _unchanged(left: Sequence[Contrast]) -> Contrast | None:
    return next((one for one in left if one.disagreement.same), None)


def _different(left: Sequence[Contrast]) -> Contrast | None:
    return next((one for one in by_disagreement(left) if not one.disagreement.same), None)


_WANTED: tuple[tuple[Shows, Callable[[Sequence[Contrast]], Contrast | None]], ...] = (
    (Shows.LOSS, _loss),
    (Shows.RISE, _rise),
    (Shows.UNCHANGED, _unchanged),
    (Shows.DIFFERENT, _different),
    (Shows.GAIN, _gain),
    (Shows.FALL, _fall),
)


def _worth(step: Step | None) -> float:
    return step.worth if step else 0.0


def _way(step: Step | None) -> str:
    """From where to where.

    >>> _way(Step(14, 1)), _way(Step(2, None))
    ('from rank 14 to rank 1', 'from rank 2 out of the ranking')
    """
    if step is None:
        return ""
    before = f"from rank {step.before}" if step.before else "from below the ranking"
    return f"{before} to rank {step.after}" if step.after else f"{before} out of the ranking"


def _verdict(one: Contrast) -> str:
    if one.gain is None:
        return ""
    word = "better" if one.better else "worse" if one.worse else "no better and no worse"
    return f" By the grades SMART is {word} here."
