"""Markup that the panels of the judging tab share: where one is in the list, how it is searched, what stands there when
nothing can be judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smart_demo.judging.query_list import LONGEST_QUERY
from smart_demo.search.request import Asked
from smart_demo.ui.results import formula
from smart_demo.ui.standing import Fate, Standing
from smart_demo.ui.wording import esc

UNDO = '<button type="button" class="way" data-undo aria-keyshortcuts="u">Undo <kbd>u</kbd></button>'
MOST_DOTS = 60
"""Queries up to which each has a dot of its own."""
_SAID = {Fate.OPEN: "not seen yet", Fate.JUDGED: "judged", Fate.SKIPPED: "skipped"}


@dataclass(frozen=True, slots=True)
class Setup:
    """How queries are searched for judging, and what else could be chosen."""

    search: Asked
    scopes: Sequence[str]
    """Those that may be chosen."""
    dials: Asked
    """How Compare searches at the moment."""

    @property
    def differs(self) -> bool:
        """Whether Compare stands otherwise."""
        return (self.dials.top, self.dials.weights) != (self.search.top, self.search.weights)


def head(query: str, standing: Standing, said: str) -> str:
    """The query in large type, its place in the list, and a way to any other."""
    at, total = standing.at, standing.total
    place = f"Query {at + 1} of {total}" if at < total else f"{total:,} {'query' if total == 1 else 'queries'}"
    before, after = _step(at - 1, "Query before", "←", off=at < 1), _step(at + 1, "Query after", "→", off=at >= total)
    return (
        f'<header class="judge-head"><div class="judge-where"><p class="judge-at">{place}</p>'
        f'{before}{dots(standing)}{after}<p class="judge-progress">{esc(said)}</p></div>'
        f'<h2 class="judge-query" tabindex="-1"><bdi>{esc(query)}</bdi></h2></header>'
    )


def progress(standing: Standing) -> str:
    """How far it is, in words.

    >>> progress(Standing((Fate.JUDGED, Fate.SKIPPED, Fate.OPEN), 2))
    '1 of 3 judged, 1 skipped'
    """
    skipped = f", {standing.skipped} skipped" if standing.skipped else ""
    return f"{standing.judged} of {standing.total} judged{skipped}"


def dots(standing: Standing) -> str:
    """One button a query; none for long lists."""
    if standing.total > MOST_DOTS:
        return ""
    here = ' aria-current="step"'
    each = "".join(
        f'<button type="button" class="dot is-{fate}" data-go="{at}" aria-label="Query {at + 1}: {_SAID[fate]}"'
        f"{here if at == standing.at else ''}></button>"
        for at, fate in enumerate(standing.fates)
    )
    return f'<span class="dots" role="group" aria-label="Queries">{each}</span>'


def ask() -> str:
    """A box for a query of one's own."""
    return (
        '<form class="judge-ask"><input type="text" name="query" autocomplete="off" '
        f'maxlength="{LONGEST_QUERY}" placeholder="Judge a query of your own" aria-label="A query of your own">'
        '<button type="submit">Judge it</button></form>'
    )


def setup(now: Setup) -> str:
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
        f'<details class="judge-setup"><summary><span>{esc(conditions(now.search))}</span></summary>'
        f"<div>{choice}{_dials(now)}<p>Other weights or another library begin a new round: votes given so far "
        "stay in the journal and are counted apart.</p></div></details>"
    )


def conditions(search: Asked) -> str:
    """Scope, pages a column, weights."""
    return f"{search.scope} · {search.top} pages a column · SMART = {formula(search.weights)}"


def _dials(now: Setup) -> str:
    if not now.differs:
        return "<p>The dials of Compare stand the same. Turn them there, and take them over here.</p>"
    shown = f"{now.dials.top} pages, {formula(now.dials.weights)}"
    return (
        f"<p>The dials of Compare stand otherwise ({esc(shown)}). They change nothing here until you take them over."
        '</p><button type="button" class="quiet-button" data-take>Judge with the dials of Compare</button>'
    )


def trouble(title: str, said: str, *, again: bool) -> str:
    """What stands there instead of pages. `again`: it comes by itself, so the script looks once more."""
    tone = " data-again" if again else ""
    return (
        f'<section class="judge-none"{tone} role="status"><h2>{esc(title)}</h2><p>{esc(said)}</p>'
        '<button type="button" class="quiet-button" data-look>Look again</button></section>'
    )


def _step(to: int, label: str, icon: str, *, off: bool) -> str:
    return (
        f'<button type="button" class="judge-step" data-go="{to}" aria-label="{label}" title="{label}"'
        f"{' disabled' if off else ''}>{icon}</button>"
    )
