"""Markup of the panel Vote: the blind comparison, its result, the start and the end, and parts shared with Grade.

Before the vote a sheet is made of `BlindColumns` alone, so it cannot contain a method, a score, a badge or a map. If
the columns are exchanged, the markup has them exchanged and is equal otherwise; a test checks that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smart_demo.judging.query_list import MAX_LISTED_QUERY_CHARS
from smart_demo.judging.queue import JudgingProgress, JudgingQueue, QueryStatus
from smart_demo.judging.records import MAX_NOTE_CHARS, REASONS, A, B, BlindColumns, Trial, Vote, VoteChoice
from smart_demo.judging.scoreboard import METHOD_LABELS
from smart_demo.search.request import SearchRequest
from smart_demo.types import POOLED, SMART, PageId, StoredPage
from smart_demo.ui.cards import ThumbnailLoader, render_thumbnail
from smart_demo.ui.compare import describe_formula
from smart_demo.ui.format import bdi, esc, page_key

UNDO_BUTTON = '<button type="button" class="way" data-undo aria-keyshortcuts="u">Undo <kbd>u</kbd></button>'
MAX_DOTS = 60
"""Maximum length of a list that shows a dot for each query."""
CHOICE_LABELS = {
    VoteChoice.A: "A is better",
    VoteChoice.B: "B is better",
    VoteChoice.TIE: "Tie",
    VoteChoice.BAD: "Both bad",
}
"""Labels of the choices, in the order of their keys 1 to 4."""
_STATUS_LABELS = {QueryStatus.OPEN: "not seen yet", QueryStatus.JUDGED: "judged", QueryStatus.SKIPPED: "skipped"}
_KEYS = (
    ("1", "A is better"), ("2", "B is better"), ("3", "Tie"), ("4", "Both bad"),
    ("v", "See a page large"), ("n", "Skip, or next"), ("u", "Undo"),
)  # fmt: skip
_SAME_COLUMNS = "Both columns show the same pages in the same order: skip it, or vote for a tie."
_SIDES_SHOWN = "You have already seen which column is which. A vote still counts, marked as not blind."


@dataclass(frozen=True, slots=True)
class SearchSetup:
    """The search of the judged queries, and the settings it can be changed to."""

    search: SearchRequest
    scopes: Sequence[str]
    """Scopes to choose from."""
    compare: SearchRequest
    """The search now set in Compare."""

    @property
    def differs(self) -> bool:
        """Whether Compare has another depth or other weights."""
        return (self.compare.top, self.compare.weights) != (self.search.top, self.search.weights)


@dataclass(frozen=True)
class VoteSheet:
    """One query to vote on, or voted on."""

    query: str
    ticket: str
    columns: BlindColumns
    progress: JudgingProgress
    setup: SearchSetup
    sides_shown: bool
    """Whether the judge has seen the sides of this query before."""
    vote: Vote | None
    """The vote, which reveals the sides, or None while the sheet is blind."""
    link: str
    """URL query that opens the same search in Compare."""


def render_vote_sheet(sheet: VoteSheet, thumbnail: ThumbnailLoader) -> str:
    """Render the panel Vote: blind before the vote, revealed after it."""
    vote, progress = sheet.vote, sheet.progress
    columns = "".join(_column(sheet, side, thumbnail) for side in (A, B))
    below = _result(vote, progress, sheet.link) if vote else _vote_form(sides_shown=sheet.sides_shown)
    return (
        f'<section class="sheet-of-votes is-{"told" if vote else "blind"}" data-ticket="{sheet.ticket}" '
        f'data-next="{progress.next_position}" aria-label="Blind comparison">'
        f"{sheet_header(sheet.query, progress, progress_text(progress))}"
        f'<div class="judge-under">{setup_form(sheet.setup)}{own_query_form()}</div>{_notices(sheet)}'
        f'<div class="blind-columns">{columns}</div>{below}</section>'
    )


def start_panel(queue: JudgingQueue, setup: SearchSetup, *, public: bool) -> str:
    """Render the panel before the first query: what the judge will do, and how long judgements are stored."""
    keys = "".join(f"<li><kbd>{key}</kbd> {esc(label)}</li>" for key, label in _KEYS)
    storage = (
        "Your judgements are stored on this server, and only this browser can open them. They are deleted together "
        "with your documents; Library says when. Export what you want to keep."
        if public
        else "Your judgements stay on this machine, in the data folder, until you delete them."
    )
    waiting = "query waits" if len(queue.queries) == 1 else "queries wait"
    source = queue.source or "the stories and the first of the sample library’s own questions"
    return (
        '<section class="judge-door" aria-label="Begin"><h2>Which column answers better? You decide, blind.</h2>'
        "<p>For each query you see two columns of pages, A and B. One is pooled only, the other SMART; which is which "
        "is random and shown after your vote. Then you may grade the pages one by one.</p>"
        f'<p class="judge-listed"><b>{len(queue.queries)} {waiting}</b>: {esc(source)}. Another list can be pasted '
        f"under Queries.</p>{setup_form(setup)}"
        '<p><button type="button" class="judge-start" data-start>Start judging</button></p>'
        f'<ul class="judge-keys" aria-label="Keys">{keys}</ul><p class="quiet">{esc(storage)}</p></section>'
    )


def end_panel(progress: JudgingProgress) -> str:
    """Render the panel after the last query, with buttons to those not seen and those skipped."""
    unseen = progress.total - progress.judged - progress.skipped
    buttons = _go_button(progress.next_position, f"Judge the {unseen} not seen yet") if unseen else ""
    if progress.first_skipped is not None:
        buttons += _go_button(progress.first_skipped, f"Go through the {progress.skipped} skipped")
    title = "All judged" if progress.judged == progress.total else "The end of the list"
    return (
        '<section class="judge-door is-end" data-next="-1" aria-label="The end of the list">'
        f"{sheet_header(title, progress, progress_text(progress))}"
        "<p>The scores are under Results. Judge a query of your own, paste another list under Queries, or go "
        f'back to any query by its dot.</p><p class="judge-ways">'
        f'<button type="button" class="judge-start" data-show="results">See the results</button>{buttons}'
        f"{UNDO_BUTTON}</p>{own_query_form()}</section>"
    )


def error_panel(title: str, sentence: str, *, retry: bool) -> str:
    """Render an error in place of the pages. retry: the page's script looks again by itself."""
    attribute = " data-again" if retry else ""
    return (
        f'<section class="judge-none"{attribute} role="status"><h2>{esc(title)}</h2><p>{esc(sentence)}</p>'
        '<button type="button" class="quiet-button" data-look>Look again</button></section>'
    )


def sheet_header(query: str, progress: JudgingProgress, progress_words: str) -> str:
    """Render the query in large type, its position in the list, and buttons to the other queries."""
    position, total = progress.position, progress.total
    place = (
        f"Query {position + 1} of {total}" if position < total else f"{total:,} {'query' if total == 1 else 'queries'}"
    )
    before = _step_button(position - 1, "Query before", "←", off=position < 1)
    after = _step_button(position + 1, "Query after", "→", off=position >= total)
    return (
        f'<header class="judge-head"><div class="judge-where"><p class="judge-at">{place}</p>'
        f'{before}{query_dots(progress)}{after}<p class="judge-progress">{esc(progress_words)}</p></div>'
        f'<h2 class="judge-query" tabindex="-1"><bdi>{esc(query)}</bdi></h2></header>'
    )


def progress_text(progress: JudgingProgress) -> str:
    """Return the number of judged and skipped queries in words.

    >>> progress_text(JudgingProgress((QueryStatus.JUDGED, QueryStatus.SKIPPED, QueryStatus.OPEN), 2))
    '1 of 3 judged, 1 skipped'
    """
    skipped = f", {progress.skipped} skipped" if progress.skipped else ""
    return f"{progress.judged} of {progress.total} judged{skipped}"


def query_dots(progress: JudgingProgress) -> str:
    """Render one button for each query, or nothing for a list longer than MAX_DOTS."""
    if progress.total > MAX_DOTS:
        return ""
    dots = []
    for index, status in enumerate(progress.statuses):
        label = f"Query {index + 1}: {_STATUS_LABELS[status]}"
        current = ' aria-current="step"' if index == progress.position else ""
        dots.append(
            f'<button type="button" class="dot is-{status}" data-go="{index}" aria-label="{label}"{current}></button>'
        )
    return f'<span class="dots" role="group" aria-label="Queries">{"".join(dots)}</span>'


def own_query_form() -> str:
    """Render the box for a query of the judge's own."""
    return (
        '<form class="judge-ask"><input type="text" name="query" autocomplete="off" '
        f'maxlength="{MAX_LISTED_QUERY_CHARS}" placeholder="Judge a query of your own" '
        'aria-label="A query of your own">'
        '<button type="submit">Judge it</button></form>'
    )


def setup_form(setup: SearchSetup) -> str:
    """Render how queries are searched in one line, and behind it the controls that change it."""
    scopes = "".join(
        f'<button type="button" class="chip" data-scope="{esc(scope)}" '
        f'aria-pressed="{str(scope == setup.search.scope).lower()}">{esc(scope)}</button>'
        for scope in setup.scopes
    )
    if len(setup.scopes) > 1:
        scopes = f'<div class="judge-scopes" role="group" aria-label="Search in">{scopes}</div>'
    else:
        scopes = ""
    return (
        f'<details class="judge-setup"><summary><span>{esc(setup_summary(setup.search))}</span></summary>'
        f"<div>{scopes}{_setup_change(setup)}<p>Other weights or another library begin a new round: votes given so far "
        "stay in the journal and are counted apart.</p></div></details>"
    )


def setup_summary(search: SearchRequest) -> str:
    """Return scope, pages a column and weights in one line."""
    return f"{search.scope} · {search.top} pages a column · SMART = {describe_formula(search.weights)}"


def rank_text(trial: Trial, method: str, page: PageId) -> str:
    """Return a page's recorded rank, or the lowest rank it can have, such as `11+`."""
    order = trial.orders[method]
    return str(order.index(page) + 1) if page in order else f"{len(order) + 1}+"


def verdict(vote: Vote) -> str:
    """Return a vote in one sentence that reveals the winner."""
    if vote.winner:
        return f"You preferred {vote.choice.upper()}: {METHOD_LABELS[vote.winner]}."
    return "You said: a tie." if vote.choice is VoteChoice.TIE else "You said: both are bad."


def _setup_change(setup: SearchSetup) -> str:
    if not setup.differs:
        return "<p>Same settings as Compare. Change them there, then apply them here.</p>"
    settings = f"{setup.compare.top} pages, {describe_formula(setup.compare.weights)}"
    return (
        f"<p>Compare has other settings ({esc(settings)}). They change nothing here until you apply them."
        '</p><button type="button" class="quiet-button" data-take>Apply the settings of Compare</button>'
    )


def _notices(sheet: VoteSheet) -> str:
    """Render what the judge must know before the vote."""
    if sheet.vote:
        return ""
    same = [page.key for page in sheet.columns.a] == [page.key for page in sheet.columns.b]
    notices = ((_SAME_COLUMNS, same), (_SIDES_SHOWN, sheet.sides_shown))
    return "".join(f'<p class="notice">{sentence}</p>' for sentence, applies in notices if applies)


def _column(sheet: VoteSheet, side: str, thumbnail: ThumbnailLoader) -> str:
    """Render one column; after the vote with its method and each page's ranks."""
    vote, letter = sheet.vote, side.upper()
    method = {A: vote.trial.sides.a, B: vote.trial.sides.b}[side] if vote else ""
    classes = f" of-{method}{' is-preferred' if vote and vote.choice == side else ''}" if method else ""
    label = f'<span class="side-told">{esc(METHOD_LABELS[method])}</span>' if method else ""
    pages = "".join(
        _page_button(page, side, place, thumbnail(page), _ranks(vote.trial, page.id) if vote else "")
        for place, page in enumerate({A: sheet.columns.a, B: sheet.columns.b}[side], start=1)
    )
    return (
        f'<section class="blind-column{classes}" aria-label="Column {letter}">'
        f'<h3><span class="side-letter">{letter}</span>{label}</h3><ol class="leaves">{pages}</ol></section>'
    )


def _page_button(page: StoredPage, side: str, place: int, thumbnail: bytes, ranks: str) -> str:
    """Render a page in a column. ranks: markup, not escaped."""
    label = f"Column {side.upper()}, place {place}: {page.document}, page {page.number} of {page.pages}. Open it large."
    return (
        f'<li><button type="button" class="leaf" data-page="{esc(page_key(page.scope, page.id))}" data-side="{side}" '
        f'aria-label="{esc(label)}"><span class="leaf-tray">{render_thumbnail(page, thumbnail)}</span>'
        f'<span class="leaf-place" aria-hidden="true">{place}</span>'
        f'<span class="leaf-about"><span class="leaf-name">{bdi(page.document)}</span>'
        f'<span class="leaf-page">page {page.number}</span>{ranks}</span></button></li>'
    )


def _ranks(trial: Trial, page: PageId) -> str:
    pooled, smart = (rank_text(trial, method, page) for method in (POOLED.name, SMART.name))
    return f'<span class="leaf-ranks"><span>pooled {pooled}</span> <span>SMART {smart}</span></span>'


def _vote_form(*, sides_shown: bool) -> str:
    """Render the choices, the reasons and the note."""
    blind = "" if sides_shown else " Which column is which is shown after your vote."
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


def _result(vote: Vote, progress: JudgingProgress, link: str) -> str:
    """Render the vote, the sides, and the button to the next query."""
    details = "".join(f"<span>{esc(part)}</span>" for part in (", ".join(vote.reasons), vote.note) if part)
    sides, is_last = vote.trial.sides, progress.next_position >= progress.total
    return (
        f'<div class="vote-desk is-told"><div><p class="vote-told"><b>{esc(verdict(vote))}</b>'
        f"<span>A was {esc(METHOD_LABELS[sides.a])}, B was {esc(METHOD_LABELS[sides.b])}.</span></p>"
        f'<p class="vote-why">{details}</p></div>'
        f'<p class="vote-after"><a href="?{esc(link)}" target="_blank" rel="noopener">Open in Compare</a>'
        f'{UNDO_BUTTON}<button type="button" class="vote-next" data-go="{progress.next_position}" '
        'aria-keyshortcuts="n">'
        f"{'Finish' if is_last else 'Next query'} <kbd>n</kbd></button></p></div>"
    )


def _go_button(position: int, label: str) -> str:
    return f'<button type="button" class="quiet-button" data-go="{position}">{label}</button>'


def _step_button(position: int, label: str, icon: str, *, off: bool) -> str:
    return (
        f'<button type="button" class="judge-step" data-go="{position}" aria-label="{label}" title="{label}"'
        f"{' disabled' if off else ''}>{icon}</button>"
    )
