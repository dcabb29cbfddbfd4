"""How far an evaluation is: what has become of each query of the list. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from smart_demo.judging.query_list import Listed
from smart_demo.judging.records import Conditions
from smart_demo.judging.replay import Judgements


class Fate(StrEnum):
    """What has become of a query."""

    OPEN = "open"
    JUDGED = "judged"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Standing:
    """The fates of a list's queries, in its order."""

    fates: tuple[Fate, ...]
    at: int
    """The query that is open; the number of queries where none is."""

    @property
    def total(self) -> int:
        return len(self.fates)

    @property
    def judged(self) -> int:
        return self.fates.count(Fate.JUDGED)

    @property
    def skipped(self) -> int:
        return self.fates.count(Fate.SKIPPED)

    @property
    def following(self) -> int:
        """Where to go on: the next query that nobody has seen, from the beginning again after the last one; then
        those that were skipped, once through; then the end.
        """
        order = [*range(self.at + 1, self.total), *range(min(self.at, self.total))]
        unseen: int | None = next((at for at in order if self.fates[at] is Fate.OPEN), None)
        if unseen is not None:
            return unseen
        later = range(self.at + 1, self.total)
        skipped: int | None = next((at for at in later if self.fates[at] is Fate.SKIPPED), None)
        return self.total if skipped is None else skipped

    @property
    def first_skipped(self) -> int | None:
        return next((at for at, fate in enumerate(self.fates) if fate is Fate.SKIPPED), None)


def standing(queries: Sequence[Listed], at: int, judged: Judgements, conditions: Conditions) -> Standing:
    """Votes count under the conditions in which they were cast, skips under any."""
    voted = {key for under, key in judged.votes if under == conditions}
    return Standing(tuple(_fate(one.key, voted, judged.skipped) for one in queries), at)


def _fate(key: str, voted: set[str], skipped: frozenset[str]) -> Fate:
    if key in voted:
        return Fate.JUDGED
    return Fate.SKIPPED if key in skipped else Fate.OPEN
