"""Example queries over the samples with the page that answers each, and the markup of their outcomes and of sharing.

A story names what to look at. Its outcome is computed from the rankings on the screen, so it is true for any encoder
and weights. With the embedded model and weights 1 and 1 SMART raises the right page in most stories, changes nothing in
one and loses in one, since visitors do not believe a demo that never loses; a test holds that mix. `compare.js` has the
behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass

from smart_demo.types import POOLED, SAMPLES, SMART, Found, PageId, Scope
from smart_demo.ui.format import esc, page_key


@dataclass(frozen=True, slots=True)
class Story:
    """A query over the samples and the page that answers it."""

    title: str
    query: str
    look: str
    """What to look at, in one sentence."""
    document: str
    page: int


@dataclass(frozen=True, slots=True)
class StoryOutcome:
    """The ranks of a story's page in one search."""

    story: Story
    number: int
    """Number of the story, from 1."""
    key: tuple[Scope, PageId]
    """The page that answers the query."""
    pooled: int
    """Rank of that page by the pooled vectors alone."""
    smart: int
    """Rank of that page by SMART."""

    @property
    def change(self) -> str:
        """The direction of the page's move, as part of a class name: `up`, `down` or `same`."""
        return "up" if self.smart < self.pooled else "down" if self.smart > self.pooled else "same"

    @property
    def sentence(self) -> str:
        """The outcome in one sentence."""
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
PRESETS = (("Pooled only", 1.0, 0.0), ("Late only", 0.0, 1.0), ("SMART 1/1", 1.0, 1.0))
"""Label, weight of pooled and weight of late."""
OWN_LINK_COPIED = "Link copied. It shows your documents in this browser only."
EXPORT_FORMATS = (
    ("picture", "Picture", "PNG, 1920 × 1080, for slides"),
    ("page", "Web page", "One HTML file that prints on one page"),
)
"""Name, label and description."""


def find_story(found: Found) -> StoryOutcome | None:
    """Return the outcome of the story whose query was searched, by POOLED and SMART.

    Returns None if no story has that query, a picture was searched too, or the story's page is not ranked.
    """
    if found.query.image_hash:
        return None
    for number, story in enumerate(STORIES, start=1):
        if story.query != found.query.text.strip():
            continue
        pooled, smart = found.results[POOLED.name].ranks, found.results[SMART.name].ranks
        for page in found.parts.pages:
            if (page.scope, page.document, page.number) == (SAMPLES, story.document, story.page):
                ranked = page.key in pooled and page.key in smart
                return StoryOutcome(story, number, page.key, pooled[page.key], smart[page.key]) if ranked else None
    return None


def render_story(outcome: StoryOutcome | None) -> str:
    """Return what to look at and the page's outcome, or an empty text for None."""
    if outcome is None:
        return ""
    story, pooled, smart = outcome.story, outcome.pooled, outcome.smart
    position, key = f"{outcome.number} of {len(STORIES)}", esc(page_key(*outcome.key))
    return (
        f'<aside class="story is-{outcome.change}" data-told="{key}" aria-label="Story {position}">'
        f'<p class="story-at">Story {position}</p><h2>{esc(story.title)}</h2>'
        f'<p class="story-look">{esc(story.look)}</p><p class="story-outcome">{esc(outcome.sentence)}</p>'
        f'<p class="story-ranks" role="img" aria-label="Rank by pooled only {pooled}, by SMART {smart}">'
        f'<span class="of-pooled"><b>{pooled}</b><i>Pooled only</i></span><span class="story-arrow">→</span>'
        f'<span class="of-smart"><b>{smart}</b><i>SMART</i></span></p></aside>'
    )


def render_tools(*, public: bool) -> str:
    """Return the buttons to present and share the view, and to step through the stories while presenting.

    public: whether a copied link to the visitor's documents works in their browser only, which the page then says.
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
    """Return the button that exports the comparison, with its formats."""
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
