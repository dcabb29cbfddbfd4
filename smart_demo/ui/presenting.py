"""Markup of a story, of the presenter's controls and of what shares a view. What they do is in `stories.js`."""

from __future__ import annotations

from smart_demo.ui.stories import STORIES, Told
from smart_demo.ui.wording import esc, page_key

PRESETS = (("Pooled only", 1.0, 0.0), ("Late only", 0.0, 1.0), ("SMART 1/1", 1.0, 1.0))
"""Label, weight of pooled, weight of late."""
ONLY_HERE = "Link copied. It shows your documents in this browser only."
SAVED_AS = (
    ("picture", "Picture", "PNG, 1920 × 1080, for slides"),
    ("page", "Web page", "One HTML file that prints on one page"),
)
"""Name, label, and what that is."""


def story(told: Told | None) -> str:
    """What to look at and what became of the page; nothing for a query that is no story."""
    if told is None:
        return ""
    change = "up" if told.smart < told.pooled else "down" if told.smart > told.pooled else "same"
    at = f"{told.number} of {len(STORIES)}"
    return (
        f'<aside class="story is-{change}" data-told="{esc(page_key(*told.key))}" aria-label="Story {at}">'
        f'<p class="story-at">Story {at}</p><h2>{esc(told.story.title)}</h2>'
        f'<p class="story-look">{esc(told.story.look)}</p><p class="story-outcome">{esc(told.outcome)}</p>'
        f'<p class="story-ranks" role="img" aria-label="Rank by pooled only {told.pooled}, by SMART {told.smart}">'
        f'<span class="of-pooled"><b>{told.pooled}</b><i>Pooled only</i></span><span class="story-arrow">→</span>'
        f'<span class="of-smart"><b>{told.smart}</b><i>SMART</i></span></p></aside>'
    )


def tools(*, public: bool) -> str:
    """Buttons to present and to share this view; while presenting, to step through the stories and to leave.

    On a public page a copied link to somebody's own documents is said to be for their browser alone.
    """
    own = f' data-own="{esc(ONLY_HERE)}"' if public else ""
    return (
        f'<div class="share"{own}><button type="button" class="share-button" data-share="present" '
        'title="Large type, one story after the other">Present</button>'
        f'<button type="button" class="share-button" data-share="copy">Copy link</button>{_save()}</div>'
        '<div class="stepper" role="group" aria-label="Stories">'
        f"{_step('previous', 'Previous story', '←')}"
        '<output class="stepper-at" aria-label="Story"></output>'
        f"{_step('next', 'Next story', '→')}"
        '<button type="button" class="share-button" data-share="copy">Copy link</button>'
        '<button type="button" class="share-button" data-share="leave">Leave <kbd>Esc</kbd></button></div>'
        '<p class="share-said" role="status"></p>'
    )


def _save() -> str:
    """What takes the comparison away, and in which forms."""
    choices = "".join(
        f'<button type="button" data-save="{form}"><b>{label}</b><span>{note}</span></button>'
        for form, label, note in SAVED_AS
    )
    return (
        '<div class="save"><button type="button" class="share-button" data-share="save" aria-expanded="false" '
        f'aria-controls="save-choices">Save</button><div class="save-choices" id="save-choices" role="group" '
        f'aria-label="Save this comparison" hidden>{choices}<p class="save-said" role="status"></p></div></div>'
    )


def _step(name: str, label: str, icon: str) -> str:
    return (
        f'<button type="button" class="share-button" data-share="{name}" aria-label="{label}" '
        f'title="{label}">{icon}</button>'
    )
