"""Markup of a blind comparison: two columns of pages that tell nothing but themselves, and what is said of them.

Before the vote the sheet is made of `Columns` alone. No method, score, badge or map can be in it, since none is given;
exchange the columns, and the markup has them exchanged and is the same otherwise. A test holds that.
"""

from __future__ import annotations

from dataclasses import dataclass

from smart_demo.judging.records import LONGEST_NOTE, REASONS, A, B, Choice, Columns, Trial, Vote
from smart_demo.types import LATE, POOLED, SMART, PageId, StoredPage
from smart_demo.ui import judge_head
from smart_demo.ui.cards import Thumbnail, image
from smart_demo.ui.judge_head import Setup
from smart_demo.ui.standing import Standing
from smart_demo.ui.wording import esc, name, page_key

CHOICES = {Choice.A: "A is better", Choice.B: "B is better", Choice.TIE: "Tie", Choice.BAD: "Both bad"}
"""In the order of their keys, 1 to 4."""
METHODS = {POOLED.name: "Pooled only", LATE.name: "Late only", SMART.name: SMART.label}
_SAME = "Both columns show the same pages in the same order: skip it, or say that it is a tie."
_SEEN = "You were shown before which column is which here. A vote counts, and is marked as not blind."


@dataclass(frozen=True)
class Sheet:
    """One query as it is judged."""

    query: str
    ticket: str
    columns: Columns
    standing: Standing
    setup: Setup
    seen: bool
    """Whether the judge was shown the sides of this query before."""
    vote: Vote | None
    """What was said, if anything: then everything is told."""
    link: str
    """An address that shows it in Compare."""


def vote_sheet(sheet: Sheet, thumbnail: Thumbnail) -> str:
    """The whole panel, blind or, after the vote, revealed."""
    vote, standing = sheet.vote, sheet.standing
    columns = "".join(_column(sheet, side, thumbnail) for side in (A, B))
    below = _told(vote, standing, sheet.link) if vote else _desk(sheet.seen)
    return (
        f'<section class="sheet-of-votes is-{"told" if vote else "blind"}" data-ticket="{sheet.ticket}" '
        f'data-next="{standing.following}" aria-label="Blind comparison">'
        f"{judge_head.head(sheet.query, standing, judge_head.progress(standing))}"
        f'<div class="judge-under">{judge_head.setup(sheet.setup)}{judge_head.ask()}</div>{_notices(sheet)}'
        f'<div class="blind-columns">{columns}</div>{below}</section>'
    )


def _notices(sheet: Sheet) -> str:
    """What must be known before voting."""
    if sheet.vote:
        return ""
    same = [page.key for page in sheet.columns.a] == [page.key for page in sheet.columns.b]
    return "".join(f'<p class="notice">{said}</p>' for said, holds in ((_SAME, same), (_SEEN, sheet.seen)) if holds)


def _column(sheet: Sheet, side: str, thumbnail: Thumbnail) -> str:
    """One column; after the vote with its method and each page's ranks."""
    vote, letter = sheet.vote, side.upper()
    method = {A: vote.trial.sides.a, B: vote.trial.sides.b}[side] if vote else ""
    classes = f" of-{method}{' is-preferred' if vote and vote.choice == side else ''}" if method else ""
    told = f'<span class="side-told">{esc(METHODS[method])}</span>' if method else ""
    leaves = "".join(
        _leaf(page, side, place, thumbnail(page), _ranks(vote.trial, page.id) if vote else "")
        for place, page in enumerate({A: sheet.columns.a, B: sheet.columns.b}[side], start=1)
    )
    return (
        f'<section class="blind-column{classes}" aria-label="Column {letter}">'
        f'<h3><span class="side-letter">{letter}</span>{told}</h3><ol class="leaves">{leaves}</ol></section>'
    )


def _leaf(page: StoredPage, side: str, place: int, thumbnail: bytes, ranks: str) -> str:
    """A page in a column. `ranks` is markup already."""
    label = f"Column {side.upper()}, place {place}: {page.document}, page {page.number} of {page.pages}. Open it large."
    return (
        f'<li><button type="button" class="leaf" data-page="{esc(page_key(page.scope, page.id))}" data-side="{side}" '
        f'aria-label="{esc(label)}"><span class="leaf-tray">{image(page, thumbnail)}</span>'
        f'<span class="leaf-place" aria-hidden="true">{place}</span>'
        f'<span class="leaf-about"><span class="leaf-name">{name(page.document)}</span>'
        f'<span class="leaf-page">page {page.number}</span>{ranks}</span></button></li>'
    )


def rank(trial: Trial, method: str, page: PageId) -> str:
    """A page's rank as it was recorded, or how far down it is at least."""
    order = trial.orders[method]
    return str(order.index(page) + 1) if page in order else f"{len(order) + 1}+"


def _ranks(trial: Trial, page: PageId) -> str:
    """Where a page stood in both rankings."""
    pooled, smart = (rank(trial, method, page) for method in (POOLED.name, SMART.name))
    return f'<span class="leaf-ranks"><span>pooled {pooled}</span> <span>SMART {smart}</span></span>'


def _desk(seen: bool) -> str:
    """What can be said, why, and in which words."""
    blind = "" if seen else " Nothing tells which column is which before you have voted."
    choices = "".join(
        f'<button type="button" class="choice is-{choice}" data-choice="{choice}" aria-keyshortcuts="{key}">'
        f"<kbd>{key}</kbd><span>{label}</span></button>"
        for key, (choice, label) in enumerate(CHOICES.items(), start=1)
    )
    reasons = "".join(
        f'<button type="button" class="chip" data-reason="{reason}" aria-pressed="false">{reason}</button>'
        for reason in REASONS
    )
    return (
        '<div class="vote-desk"><p class="vote-trouble" role="alert" hidden></p>'
        f'<div class="choices" role="group" aria-label="Which column answers the query better?">{choices}</div>'
        f'<div class="vote-more"><div class="reasons" role="group" aria-label="What decided it">'
        f"<span>What decided it</span>{reasons}</div>"
        f'<textarea class="vote-note" rows="1" maxlength="{LONGEST_NOTE}" placeholder="A note, if you like" '
        'aria-label="Note"></textarea>'
        f'<span class="vote-ways">{judge_head.UNDO}'
        '<button type="button" class="way" data-skip aria-keyshortcuts="n">Skip <kbd>n</kbd></button></span></div>'
        f'<p class="vote-keys">Click a page to see it large, or press <kbd>v</kbd>.{blind}</p></div>'
    )


def _told(vote: Vote, standing: Standing, link: str) -> str:
    """What was said, and what it was said of."""
    extra = "".join(f"<span>{esc(part)}</span>" for part in (", ".join(vote.reasons), vote.note) if part)
    sides, last = vote.trial.sides, standing.following >= standing.total
    return (
        f'<div class="vote-desk is-told"><div><p class="vote-told"><b>{esc(verdict(vote))}</b>'
        f"<span>A was {esc(METHODS[sides.a])}, B was {esc(METHODS[sides.b])}.</span></p>"
        f'<p class="vote-why">{extra}</p></div>'
        f'<p class="vote-after"><a href="?{esc(link)}" target="_blank" rel="noopener">Open in Compare</a>'
        f'{judge_head.UNDO}<button type="button" class="vote-next" data-go="{standing.following}" '
        'aria-keyshortcuts="n">'
        f"{'Finish' if last else 'Next query'} <kbd>n</kbd></button></p></div>"
    )


def verdict(vote: Vote) -> str:
    """What was said, in a sentence that tells the sides."""
    if vote.winner:
        return f"You preferred {vote.choice.upper()}: {METHODS[vote.winner]}."
    return "You said: a tie." if vote.choice is Choice.TIE else "You said: both are bad."
