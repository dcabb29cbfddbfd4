"""An owner's journal and desk -> the panels Vote and Grade as they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from smart_demo.judging.replay import Judgements, sides_told, to_grade, ungraded
from smart_demo.search.request import Asked, address
from smart_demo.types import Scope, StoredPage
from smart_demo.ui import judge_doors
from smart_demo.ui.cards import Thumbnail
from smart_demo.ui.grade_sheet import Pool, grade_sheet
from smart_demo.ui.judge_head import Setup
from smart_demo.ui.judging import Judging
from smart_demo.ui.standing import Standing, standing
from smart_demo.ui.trials import Shown, Trials
from smart_demo.ui.vote_sheet import Sheet, vote_sheet


def no_thumbnail(_: StoredPage) -> bytes:
    """For sheets whose thumbnails the browser has already."""
    return b""


class Sheets:
    """Markup of what one app's judges see."""

    def __init__(self, judging: Judging) -> None:
        self.judging = judging
        self.trials = Trials(judging.handlers)

    def vote_panel(self, owner: Scope, dials: Asked) -> str:
        """The open query's columns, or what stands there before the first and after the last."""
        return self._panel(owner, dials, lambda shown: self.votes(shown, self.judging.handlers.thumbnail))

    def grade_panel(self, owner: Scope, dials: Asked) -> str:
        """The open query's pool, or the same."""
        return self._panel(owner, dials, lambda shown: self.grades(shown, self.judging.handlers.thumbnail))

    def votes(self, shown: Shown, thumbnail: Thumbnail = no_thumbnail) -> str:
        """The sheet of a query: blind while there is no vote on it, told after it."""
        judged, trial = self.judging.journal(shown.owner).judgements, shown.trial
        vote = judged.votes.get((trial.conditions, trial.query.key))
        sheet = Sheet(
            trial.query.text,
            shown.ticket,
            shown.columns(vote.trial if vote else trial),
            self.standing(shown),
            Setup(shown.search, self.judging.handlers.choices(), shown.dials),
            _seen(judged, shown),
            vote,
            address(replace(shown.search, text=trial.query.text)),
        )
        return vote_sheet(sheet, thumbnail)

    def grades(self, shown: Shown, thumbnail: Thumbnail = no_thumbnail, *, ranks: bool = False) -> str:
        """The pool of a query. Its ranks are told after a vote, or when they are asked for."""
        judged, trial = self.judging.journal(shown.owner).judgements, shown.trial
        pages = [shown.pages[page] for page in to_grade(trial) if page in shown.pages]
        grades = {str(page): grade.grade for page, grade in judged.graded(trial).items()}
        voted = (trial.conditions, trial.query.key) in judged.votes
        left = ungraded(judged).queries
        waiting = sum(number for key, number in left.items() if key != trial.query.key)
        pool = Pool(
            trial.query.text,
            shown.ticket,
            pages,
            grades,
            self.standing(shown),
            waiting,
            trial if voted or ranks else None,
        )
        return grade_sheet(pool, thumbnail)

    def standing(self, shown: Shown) -> Standing:
        """How far the list is, seen from a query of it."""
        queries = self.judging.queries(shown.owner)
        judged = self.judging.journal(shown.owner).judgements
        return standing(queries, min(shown.at, len(queries)), judged, shown.trial.conditions)

    def _panel(self, owner: Scope, dials: Asked, sheet: Callable[[Shown], str]) -> str:
        judging = self.judging
        desk, public = judging.desk(owner), not judging.handlers.private
        if not judging.started(owner):
            setup = Setup(replace(dials, scope=desk.search.scope), judging.handlers.choices(), dials)
            return judge_doors.beginning(desk, setup, public=public)
        if desk.open is None:
            now = self.trials.conditions(desk.search)
            return judge_doors.ending(standing(desk.queries, desk.at, judging.journal(owner).judgements, now))
        return sheet(self.trials.show(owner, desk, desk.open, dials, judging.journal(owner).session.seed))


def _seen(judged: Judgements, shown: Shown) -> bool:
    """Whether the sides of this query were told, be it by a vote that was taken back."""
    return (shown.trial.seed, shown.trial.query.key) in map(sides_told, judged.events)
