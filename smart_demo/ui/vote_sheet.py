"""Markup that the panels of the judging tab share: where one is in the list, how it is searched, what stands there when
nothing can be judged.

Markup of the beginning and the end of an evaluation.

Markup of a blind comparison: two columns of pages that tell nothing but themselves, and what is said of them.

Before the vote the sheet is made of `Columns` alone. No method, score, badge or map can be in it, since none is given;
exchange the columns, and the markup has them exchanged and is the same otherwise. A test holds that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smart_demo.judging.query_list import MAX_LISTED_QUERY_CHARS
from smart_demo.judging.queue import JudgingProgress, JudgingQueue, QueryStatus
from smart_demo.judging.records import MAX_NOTE_CHARS, REASONS, A, B, BlindColumns, Trial, Vote, VoteChoice
from smart_demo.search.request import SearchRequest
from smart_demo.types import LATE, POOLED, SMART, PageId, StoredPage
from smart_demo.ui.cards import ThumbnailLoader, render_thumbnail
from smart_demo.ui.compare import describe_formula
from smart_demo.ui.format import bdi, esc, page_key

UNDO_BUTTON = '<button type="button" class="way" data-undo aria-keyshortcuts="u">Undo <kbd>u</kbd></button>'
MAX_DOTS = 60
"""Queries up to which each has a dot of its own."""
_STATUS_LABELS = {QueryStatus.OPEN: "not seen yet", QueryStatus.JUDGED: "judged", QueryStatus.SKIPPED: "skipped"}


@dataclass(frozen=True, slots=True)
class SearchSetup:
    """How queries are searched for judging, and what else could be chosen."""

    search: SearchRequest
    scopes: Sequence[str]
    """Those that may be chosen."""
    dials: SearchRequest
    """How Compare searches at the moment."""

    @property
    def differs(self) -> bool:
        """Whether Compare stands otherwise."""
        return (self.dials.top, self.dials.weights) != (self.search.top, self.search.weights)


def sheet_header(query: str, standing: JudgingProgress, said: str) -> str:
    """The query in large type, its place in the list, and a way to any other."""
    at, total = standing.position, standing.total
    place = f"Query {at + 1} of {total}" if at < total else f"{total:,} {'query' if total == 1 else 'queries'}"
    before, after = (
        _step_button(at - 1, "Query before", "←", off=at < 1),
        _step_button(at + 1, "Query after", "→", off=at >= total),
    )
    return (
        f'<header class="judge-head"><div class="judge-where"><p class="judge-at">{place}</p>'
        f'{before}{query_dots(standing)}{after}<p class="judge-progress">{esc(said)}</p></div>'
        f'<h2 class="judge-query" tabindex="-1"><bdi>{esc(query)}</bdi></h2></header>'
    )


def progress_text(standing: JudgingProgress) -> str:
    """How far it is, in words.

    >>> progress(Standing((Fate.JUDGED, Fate.SKIPPED, Fate.OPEN), 2))
    '1 of 3 judged, 1 skipped'
    """
    skipped = f", {standing.skipped} skipped" if standing.skipped else ""
    return f"{standing.judged} of {standing.total} judged{skipped}"


def query_dots(standing: JudgingProgress) -> str:
    """One button a query; none for long lists."""
    if standing.total > MAX_DOTS:
        return ""
    here = ' aria-current="step"'
    each = "".join(
        f'<button type="button" class="dot is-{fate}" data-go="{at}" aria-label="Query {at + 1}: {_STATUS_LABELS[fate]}"'
        f"{here if at == standing.position else ''}></button>"
        for at, fate in enumerate(standing.statuses)
    )
    return f'<span class="dots" role="group" aria-label="Queries">{each}</span>'


def own_query_form() -> str:
    """A box for a query of one's own."""
    return (
        '<form class="judge-ask"><input type="text" name="query" autocomplete="off" '
        f'maxlength="{MAX_LISTED_QUERY_CHARS}" placeholder="Judge a query of your own" aria-label="A query of your own">'
        '<button type="submit">Judge it</button></form>'
    )


def setup_form(now: SearchSetup) -> str:
    """How it is searched, in one line, and behind it what may be changed."""
    scopes = "".join(
        f'<button type="button" class="chip" data-scope="{esc(scope)}" '
        f'aria-pressed="{str(scope == now.search.scope).lower()}">{esc(scope)}</button>'
        for scope in now.scopes
    )
    choice = (
        f'<div class="judge-scopes" role="group" aria-label="Search in">{scopes}</div>' if len(now.scopes) > 1 else ""
    )
    return (
        f'<details class="judge-setup"><summary><span>{esc(setup_summary(now.search))}</span></summary>'
        f"<div>{choice}{_setup_change(now)}<p>Other weights or another library begin a new round: votes given so far "
        "stay in the journal and are counted apart.</p></div></details>"
    )


def setup_summary(search: SearchRequest) -> str:
    """Scope, pages a column, weights."""
    return f"{search.scope} · {search.top} pages a column · SMART = {describe_formula(search.weights)}"


def _setup_change(now: SearchSetup) -> str:
    if not now.differs:
        return "<p>The dials of Compare stand the same. Turn them there, and take them over here.</p>"
    shown = f"{now.dials.top} pages, {describe_formula(now.dials.weights)}"
    return (
        f"<p>The dials of Compare stand otherwise ({esc(shown)}). They change nothing here until you take them over."
        '</p><button type="button" class="quiet-button" data-take>Judge with the dials of Compare</button>'
    )


def error_panel(title: str, said: str, *, again: bool) -> str:
    """What stands there instead of pages. `again`: it comes by itself, so the script looks once more."""
    tone = " data-again" if again else ""
    return (
        f'<section class="judge-none"{tone} role="status"><h2>{esc(title)}</h2><p>{esc(said)}</p>'
        '<button type="button" class="quiet-button" data-look>Look again</button></section>'
    )


def _step_button(to: int, label: str, icon: str, *, off: bool) -> str:
    return (
        f'<button type="button" class="judge-step" data-go="{to}" aria-label="{label}" title="{label}"'
        f"{' disabled' if off else ''}>{icon}</button>"
    )


_KEYS = (
    ("1", "A is better"), ("2", "B is better"), ("3", "Tie"), ("4", "Both bad"),
    ("v", "See a page large"), ("n", "Skip, or next"), ("u", "Undo"),
)  # fmt: skip


def start_panel(desk: JudgingQueue, setup: SearchSetup, *, public: bool) -> str:
    """What will be asked of whoever begins."""
    keys = "".join(f"<li><kbd>{key}</kbd> {esc(said)}</li>" for key, said in _KEYS)
    where = (
        "Your judgements are kept on this server, where only this browser finds them, as long as your documents are: "
        "Library says how long that is. Export what you want to keep."
        if public
        else "Your judgements stay on this machine, in the data folder, until you delete them."
    )
    listed = "query waits" if len(desk.queries) == 1 else "queries wait"
    source = desk.source or "the stories and the first of the sample library’s own questions"
    return (
        '<section class="judge-door" aria-label="Begin"><h2>Which column answers better? You decide, blind.</h2>'
        "<p>For each query you see two columns of pages, A and B. One is pooled only, the other SMART; which is which "
        "is drawn by lot and told after your vote. Then you may grade the pages one by one.</p>"
        f'<p class="judge-listed"><b>{len(desk.queries)} {listed}</b>: {esc(source)}. Another list can be pasted under '
        f"Queries.</p>{setup_form(setup)}"
        '<p><button type="button" class="judge-start" data-start>Start judging</button></p>'
        f'<ul class="judge-keys" aria-label="Keys">{keys}</ul><p class="quiet">{esc(where)}</p></section>'
    )


def end_panel(standing: JudgingProgress) -> str:
    """After the last query, whatever was passed over on the way."""
    unseen = standing.total - standing.judged - standing.skipped
    again = _go_button(standing.next_position, f"Judge the {unseen} not seen yet") if unseen else ""
    if standing.first_skipped is not None:
        again += _go_button(standing.first_skipped, f"Go through the {standing.skipped} skipped")
    title = "All judged" if standing.judged == standing.total else "The end of the list"
    return (
        '<section class="judge-door is-end" data-next="-1" aria-label="The end of the list">'
        f"{sheet_header(title, standing, progress_text(standing))}"
        "<p>What it comes to stands under Results. Judge a query of your own, paste another list under Queries, or go "
        f'back to any query by its dot.</p><p class="judge-ways">'
        f'<button type="button" class="judge-start" data-show="results">See the results</button>{again}'
        f"{UNDO_BUTTON}</p>{own_query_form()}</section>"
    )


def _go_button(to: int, words: str) -> str:
    return f'<button type="button" class="quiet-button" data-go="{to}">{words}</button>'


CHOICE_LABELS = {
    VoteChoice.A: "A is better",
    VoteChoice.B: "B is better",
    VoteChoice.TIE: "Tie",
    VoteChoice.BAD: "Both bad",
}
"""In the order of their keys, 1 to 4."""
COLUMN_LABELS = {POOLED.name: "Pooled only", LATE.name: "Late only", SMART.name: SMART.label}
_SAME_COLUMNS = "Both columns show the same pages in the same order: skip it, or say that it is a tie."
_SIDES_SHOWN = "You were shown before which column is which here. A vote counts, and is marked as not blind."


@dataclass(frozen=True)
class VoteSheet:
    """One query as it is judged."""

    query: str
    ticket: str
    columns: BlindColumns
    standing: JudgingProgress
    setup: SearchSetup
    seen: bool
    """Whether the judge was shown the sides of this query before."""
    vote: Vote | None
    """What was said, if anything: then everything is told."""
    link: str
    """An address that shows it in Compare."""


def render_vote_sheet(sheet: VoteSheet, thumbnail: ThumbnailLoader) -> str:
    """The whole panel, blind or, after the vote, revealed."""
    vote, standing = sheet.vote, sheet.standing
    columns = "".join(_column(sheet, side, thumbnail) for side in (A, B))
    below = _result(vote, standing, sheet.link) if vote else _vote_form(sheet.seen)
    return (
        f'<section class="sheet-of-votes is-{"told" if vote else "blind"}" data-ticket="{sheet.ticket}" '
        f'data-next="{standing.next_position}" aria-label="Blind comparison">'
        f"{sheet_header(sheet.query, standing, progress_text(standing))}"
        f'<div class="judge-under">{setup_form(sheet.setup)}{own_query_form()}</div>{_notices(sheet)}'
        f'<div class="blind-columns">{columns}</div>{below}</section>'
    )


def _notices(sheet: VoteSheet) -> str:
    """What must be known before voting."""
    if sheet.vote:
        return ""
    same = [page.key for page in sheet.columns.a] == [page.key for page in sheet.columns.b]
    return "".join(
        f'<p class="notice">{said}</p>' for said, holds in ((_SAME_COLUMNS, same), (_SIDES_SHOWN, sheet.seen)) if holds
    )


def _column(sheet: VoteSheet, side: str, thumbnail: ThumbnailLoader) -> str:
    """One column; after the vote with its method and each page's ranks."""
    vote, letter = sheet.vote, side.upper()
    method = {A: vote.trial.sides.a, B: vote.trial.sides.b}[side] if vote else ""
    classes = f" of-{method}{' is-preferred' if vote and vote.choice == side else ''}" if method else ""
    told = f'<span class="side-told">{esc(COLUMN_LABELS[method])}</span>' if method else ""
    leaves = "".join(
        _page_button(page, side, place, thumbnail(page), _ranks(vote.trial, page.id) if vote else "")
        for place, page in enumerate({A: sheet.columns.a, B: sheet.columns.b}[side], start=1)
    )
    return (
        f'<section class="blind-column{classes}" aria-label="Column {letter}">'
        f'<h3><span class="side-letter">{letter}</span>{told}</h3><ol class="leaves">{leaves}</ol></section>'
    )


def _page_button(page: StoredPage, side: str, place: int, thumbnail: bytes, ranks: str) -> str:
    """A page in a column. `ranks` is markup already."""
    label = f"Column {side.upper()}, place {place}: {page.document}, page {page.number} of {page.pages}. Open it large."
    return (
        f'<li><button type="button" class="leaf" data-page="{esc(page_key(page.scope, page.id))}" data-side="{side}" '
        f'aria-label="{esc(label)}"><span class="leaf-tray">{render_thumbnail(page, thumbnail)}</span>'
        f'<span class="leaf-place" aria-hidden="true">{place}</span>'
        f'<span class="leaf-about"><span class="leaf-name">{bdi(page.document)}</span>'
        f'<span class="leaf-page">page {page.number}</span>{ranks}</span></button></li>'
    )


def rank_text(trial: Trial, method: str, page: PageId) -> str:
    """A page's rank as it was recorded, or how far down it is at least."""
    order = trial.orders[method]
    return str(order.index(page) + 1) if page in order else f"{len(order) + 1}+"


def _ranks(trial: Trial, page: PageId) -> str:
    """Where a page stood in both rankings."""
    pooled, smart = (rank_text(trial, method, page) for method in (POOLED.name, SMART.name))
    return f'<span class="leaf-ranks"><span>pooled {pooled}</span> <span>SMART {smart}</span></span>'


def _vote_form(seen: bool) -> str:
    """What can be said, why, and in which words."""
    blind = "" if seen else " Nothing tells which column is which before you have voted."
    choices = "".join(
        f'<button type="button" class="choice is-{choice}" data-choice="{choice}" aria-keyshortcuts="{key}">'
        f"<kbd>{key}</kbd><span>{label}</span></button>"
        for key, (choice, label) in enumerate(CHOICE_LABELS.items(), start=1)
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
        f'<textarea class="vote-note" rows="1" maxlength="{MAX_NOTE_CHARS}" placeholder="A note, if you like" '
        'aria-label="Note"></textarea>'
        f'<span class="vote-ways">{UNDO_BUTTON}'
        '<button type="button" class="way" data-skip aria-keyshortcuts="n">Skip <kbd>n</kbd></button></span></div>'
        f'<p class="vote-keys">Click a page to see it large, or press <kbd>v</kbd>.{blind}</p></div>'
    )


def _result(vote: Vote, standing: JudgingProgress, link: str) -> str:
    """What was said, and what it was said of."""
    extra = "".join(f"<span>{esc(part)}</span>" for part in (", ".join(vote.reasons), vote.note) if part)
    sides, last = vote.trial.sides, standing.next_position >= standing.total
    return (
        f'<div class="vote-desk is-told"><div><p class="vote-told"><b>{esc(verdict(vote))}</b>'
        f"<span>A was {esc(COLUMN_LABELS[sides.a])}, B was {esc(COLUMN_LABELS[sides.b])}.</span></p>"
        f'<p class="vote-why">{extra}</p></div>'
        f'<p class="vote-after"><a href="?{esc(link)}" target="_blank" rel="noopener">Open in Compare</a>'
        f'{UNDO_BUTTON}<button type="button" class="vote-next" data-go="{standing.next_position}" '
        'aria-keyshortcuts="n">'
        f"{'Finish' if last else 'Next query'} <kbd>n</kbd></button></p></div>"
    )


def verdict(vote: Vote) -> str:
    """What was said, in a sentence that tells the sides."""
    if vote.winner:
        return f"You preferred {vote.choice.upper()}: {COLUMN_LABELS[vote.winner]}."
    return "You said: a tie." if vote.choice is VoteChoice.TIE else "You said: both are bad."
