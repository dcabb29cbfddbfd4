"""Queries over the sample library that are worth telling, and how each of them comes out.

A story says where to look, never what happens there: that is read off the rankings on the screen, so it is as true
with another encoder or other weights. With the embedded model and weights 1 and 1 SMART lifts the right page in most,
changes nothing in one and loses in one: a demo that never loses is not believed. A test holds that mix.

Markup of a story, of the presenter's controls and of what shares a view. What they do is in `stories.js`.
"""

from __future__ import annotations

from dataclasses import dataclass

from smart_demo.types import POOLED, SAMPLES, SMART, Found, PageId, Scope
from smart_demo.ui.format import esc, page_key


@dataclass(frozen=True, slots=True)
class Story:
    """One query and the page that answers it."""

    title: str
    query: str
    look: str
    """One sentence: what to look at."""
    document: str
    page: int


@dataclass(frozen=True, slots=True)
class StoryOutcome:
    """A story as it came out in one search."""

    story: Story
    number: int
    """1 for the first of all stories."""
    key: tuple[Scope, PageId]
    """The page that answers,"""
    pooled: int
    """its rank by the pooled vectors alone"""
    smart: int
    """and by SMART."""

    @property
    def outcome(self) -> str:
        """What happened, in one sentence."""
        if self.smart == self.pooled:
            return "The same place in both: late interaction changes nothing here."
        if self.smart < self.pooled:
            first = "to first place" if self.smart == 1 else f"from place {self.pooled} to {self.smart}"
            return f"SMART lifts it {first}."
        return f"SMART loses here: the page falls from place {self.pooled} to {self.smart}."


STORIES = (
    Story(
        "Words on a map",
        "restricted area, no anchoring",
        "The answer is one label on a map, among depths, stations and a legend.",
        "site-map-and-floor-plan.pdf",
        1,
    ),
    Story(
        "One row of a table",
        "lost-time injuries per million hours",
        "The figure is a single row in the annual report's table on page 7.",
        "annual-report-2024.pdf",
        7,
    ),
    Story(
        "A price among look-alikes",
        "service engineer at sea, day rate 2024",
        "Two price lists share nearly every word. Only one of them is for 2024, and the rate is on its last page.",
        "price-list-2024.pdf",
        3,
    ),
    Story(
        "A number on a scan",
        "serial number P3-2309",
        "A service form on paper, scanned: no text layer, and the number stands in one box of it.",
        "scanned-service-form.pdf",
        1,
    ),
    Story(
        "Two editions of one list",
        "warranty in the 2023 price list",
        "The warranty stands at the foot of the first page, and the 2024 edition looks just like it.",
        "price-list-2023.pdf",
        1,
    ),
    Story(
        "A wind rose is a drawing",
        "wind rose of wave directions",
        "The rose on the station log's first page has few words, and other pages speak of wind and waves too.",
        "station-log-sk2-january-2024.pdf",
        1,
    ),
    Story(
        "Asked in German",
        "Wie wird die Boje verankert?",
        "How is the buoy anchored? The German guide answers it on its last page.",
        "wellenboje-kurzanleitung-de.pdf",
        3,
    ),
)
STORY_QUERIES = tuple(story.query for story in STORIES)


def find_story(found: Found) -> StoryOutcome | None:
    """The story that a search tells: None for any other query, with a picture too, and where its page is not ranked.

    `found` ranks by POOLED and SMART.
    """
    if found.query.image_hash:
        return None
    for number, story in enumerate(STORIES, start=1):
        if story.query != found.query.text.strip():
            continue
        pooled, smart = found.results[POOLED.name].ranks, found.results[SMART.name].ranks
        for page in found.parts.pages:
            if (page.scope, page.document, page.number) == (SAMPLES, story.document, story.page):
                known = page.key in pooled and page.key in smart
                return StoryOutcome(story, number, page.key, pooled[page.key], smart[page.key]) if known else None
    return None


PRESETS = (("Pooled only", 1.0, 0.0), ("Late only", 0.0, 1.0), ("SMART 1/1", 1.0, 1.0))
"""Label, weight of pooled, weight of late."""
OWN_LINK_COPIED = "Link copied. It shows your documents in this browser only."
EXPORT_FORMATS = (
    ("picture", "Picture", "PNG, 1920 × 1080, for slides"),
    ("page", "Web page", "One HTML file that prints on one page"),
)
"""Name, label, and what that is."""


def render_story(told: StoryOutcome | None) -> str:
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


def render_tools(*, public: bool) -> str:
    """Buttons to present and to share this view; while presenting, to step through the stories and to leave.

    On a public page a copied link to somebody's own documents is said to be for their browser alone.
    """
    own = f' data-own="{esc(OWN_LINK_COPIED)}"' if public else ""
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
        for form, label, note in EXPORT_FORMATS
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
