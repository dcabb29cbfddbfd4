"""Markup of a list on its way. `data-run` names what there is to be shown."""

from __future__ import annotations

from smart_demo.ui.wording import esc, left


def waiting() -> str:
    """Another list is asked first."""
    return '<p class="list-going" role="status">Another list is being asked; this one comes after it.</p>'


def step(done: int, total: int, seconds: float | None = None) -> str:
    """So many queries are asked."""
    part = done / total * 100 if total else 0.0
    at, soon = f"{done:,} of {total:,}", f" · {left(seconds)}" if seconds is not None and done < total else ""
    return (
        f'<div class="list-going"><p><b>{at}</b>{esc(soon)}</p>'
        f'<div class="progress" role="progressbar" aria-label="Queries asked" aria-valuemin="0" '
        f'aria-valuemax="{total}" aria-valuenow="{done}" aria-valuetext="{at}"><i style="width:{part:.1f}%"></i></div>'
        "</div>"
    )


def ended(name: str) -> str:
    """A place for the table, which the script asks for."""
    return f'<div class="list-found" data-run="{esc(name)}" aria-busy="true"></div>'


def refused(sentence: str) -> str:
    """Why nothing is asked."""
    return f'<p class="list-refused notice" role="status">{esc(sentence)}</p>'


def told(sentence: str) -> str:
    """What is in the box."""
    return f'<p class="list-told" role="status">{esc(sentence)}</p>'
