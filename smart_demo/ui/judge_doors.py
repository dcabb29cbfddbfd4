"""Markup of the beginning and the end of an evaluation."""

from __future__ import annotations

from smart_demo.ui import judge_head
from smart_demo.ui.desk import Desk
from smart_demo.ui.judge_head import Setup
from smart_demo.ui.standing import Standing
from smart_demo.ui.wording import esc

_KEYS = (
    ("1", "A is better"), ("2", "B is better"), ("3", "Tie"), ("4", "Both bad"),
    ("v", "See a page large"), ("n", "Skip, or next"), ("u", "Undo"),
)  # fmt: skip


def beginning(desk: Desk, setup: Setup, *, public: bool) -> str:
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
        f"Queries.</p>{judge_head.setup(setup)}"
        '<p><button type="button" class="judge-start" data-start>Start judging</button></p>'
        f'<ul class="judge-keys" aria-label="Keys">{keys}</ul><p class="quiet">{esc(where)}</p></section>'
    )


def ending(standing: Standing) -> str:
    """After the last query, whatever was passed over on the way."""
    unseen = standing.total - standing.judged - standing.skipped
    again = _way(standing.following, f"Judge the {unseen} not seen yet") if unseen else ""
    if standing.first_skipped is not None:
        again += _way(standing.first_skipped, f"Go through the {standing.skipped} skipped")
    title = "All judged" if standing.judged == standing.total else "The end of the list"
    return (
        '<section class="judge-door is-end" data-next="-1" aria-label="The end of the list">'
        f"{judge_head.head(title, standing, judge_head.progress(standing))}"
        "<p>What it comes to stands under Results. Judge a query of your own, paste another list under Queries, or go "
        f'back to any query by its dot.</p><p class="judge-ways">'
        f'<button type="button" class="judge-start" data-show="results">See the results</button>{again}'
        f"{judge_head.UNDO}</p>{judge_head.ask()}</section>"
    )


def _way(to: int, words: str) -> str:
    return f'<button type="button" class="quiet-button" data-go="{to}">{words}</button>'
