"""Markup of graded relevance: the pages of a query's pool in a random order, one of them large, each with its grade.

No rank is in it before it is asked for and every page has a grade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smart_demo.judging.records import Trial
from smart_demo.types import POOLED, SMART, StoredPage
from smart_demo.ui import judge_head
from smart_demo.ui.cards import Thumbnail, image
from smart_demo.ui.standing import Standing
from smart_demo.ui.vote_sheet import rank
from smart_demo.ui.wording import count, esc, name, page_key

GRADES = ("Not relevant", "A little", "It helps", "It answers")
"""What 0, 1, 2 and 3 say."""
_NOT_BLIND = "You have not voted on this query. Once you know the ranks, a vote on it is no longer blind."


@dataclass(frozen=True)
class Pool:
    """The pages of one query, to be graded."""

    query: str
    ticket: str
    pages: Sequence[StoredPage]
    """In the order of grading."""
    grades: Mapping[str, int]
    """What was given, by `str(page.id)`."""
    standing: Standing
    waiting: int
    """Ungraded pages of the other queries that were judged."""
    ranks: Trial | None
    """Where the ranks are shown: the rankings they are from."""

    @property
    def done(self) -> int:
        return sum(str(page.id) in self.grades for page in self.pages)


def grade_sheet(pool: Pool, thumbnail: Thumbnail) -> str:
    """The whole panel."""
    whole = pool.done == len(pool.pages)
    after = (_ranks(pool) if pool.ranks else _ask_for_ranks()) if whole else ""
    strip = "".join(_slip(pool, place, page, thumbnail(page)) for place, page in enumerate(pool.pages, start=1))
    following = min(pool.standing.at + 1, pool.standing.total)
    return (
        f'<section class="sheet-of-grades" data-ticket="{pool.ticket}" data-next="{following}" '
        f'aria-label="Graded relevance">{judge_head.head(pool.query, pool.standing, said(pool))}'
        f'{after}<div class="pool"><ul class="slips" role="listbox" aria-label="Pages to grade" '
        f'aria-orientation="horizontal">{strip}</ul>'
        '<div class="reading"><button type="button" class="reading-page" data-view aria-label="Open the page large">'
        '<img alt="" draggable="false" hidden></button><p class="reading-said"></p></div>'
        f"{_desk(following)}</div></section>"
    )


def said(pool: Pool) -> str:
    """How far it is, here and elsewhere.

    >>> from smart_demo.ui.standing import Standing
    >>> said(Pool("tide", "", (), {}, Standing((), 0), 31, None))
    '0 of 0 graded; 31 pages of other judged queries wait'
    """
    waits = f"; {count(pool.waiting, 'page')} of other judged queries {'waits' if pool.waiting == 1 else 'wait'}"
    return f"{pool.done} of {len(pool.pages)} graded{waits if pool.waiting else ''}"


def _slip(pool: Pool, place: int, page: StoredPage, thumbnail: bytes) -> str:
    grade = pool.grades.get(str(page.id))
    words = "not graded" if grade is None else f"grade {grade}, {GRADES[grade].lower()}"
    shown = "–" if grade is None else str(grade)
    label = f"Page {place} of {len(pool.pages)}: {page.document}, page {page.number}; {words}"
    return (
        f'<li class="slip" role="option" tabindex="-1" aria-selected="false" aria-label="{esc(label)}" '
        f'data-page="{esc(page_key(page.scope, page.id))}" data-grade="{"" if grade is None else grade}">'
        f'<span class="leaf-tray">{image(page, thumbnail)}</span>'
        f'<span class="slip-grade" aria-hidden="true">{shown}</span>'
        f'<span class="leaf-name">{name(page.document)}</span><span class="leaf-page">page {page.number}</span></li>'
    )


def _desk(following: int) -> str:
    buttons = "".join(
        f'<button type="button" class="choice" data-as="{grade}" aria-keyshortcuts="{grade}" aria-pressed="false">'
        f"<kbd>{grade}</kbd><span>{words}</span></button>"
        for grade, words in enumerate(GRADES)
    )
    return (
        '<div class="vote-desk is-grades"><p class="vote-trouble" role="alert" hidden></p>'
        f'<div class="choices" role="group" aria-label="How relevant is this page to the query?">{buttons}</div>'
        '<p class="vote-keys"><span><kbd>←</kbd> <kbd>→</kbd> pages, <kbd>v</kbd> large. '
        "The order is random, and ranks stay hidden until every page has a grade.</span>"
        f'<span class="vote-ways">{judge_head.UNDO}<button type="button" class="way" data-go="{following}" '
        'aria-keyshortcuts="n">Next query <kbd>n</kbd></button></span></p></div>'
    )


def _ask_for_ranks() -> str:
    """Whoever has not voted decides whether to know."""
    return (
        f'<div class="ranks is-hidden"><p><b>Every page has a grade.</b> {_NOT_BLIND}</p><p class="judge-ways">'
        '<button type="button" class="quiet-button" data-show="vote">Vote first</button>'
        '<button type="button" class="quiet-button" data-ranks>Show the ranks</button></p></div>'
    )


def _ranks(pool: Pool) -> str:
    """Every page with its grade and both ranks, by SMART's order."""
    trial = pool.ranks
    if trial is None:
        return ""
    order = trial.orders[SMART.name]
    by_rank = sorted(pool.pages, key=lambda page: order.index(page.id) if page.id in order else len(order))
    rows = "".join(
        f'<tr><th scope="row">{name(page.document)} <span>page {page.number}</span></th>'
        f"<td>{pool.grades[str(page.id)]}</td><td>{rank(trial, POOLED.name, page.id)}</td>"
        f'<td class="of-smart">{rank(trial, SMART.name, page.id)}</td></tr>'
        for page in by_rank
    )
    return (
        '<div class="ranks"><table><caption>Every page has a grade. This is where they stood.</caption><thead><tr>'
        '<th scope="col">page</th><th scope="col">grade</th><th scope="col">rank, pooled</th>'
        f'<th scope="col" class="of-smart">rank, SMART</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )
