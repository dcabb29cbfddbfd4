"""Example queries over the samples with the page that answers each, and the markup of their outcomes and of sharing.

A story names what to look at. Its outcome is computed from the rankings on the screen, so it is true for any encoder
and weights. With the bundled model and weights 1 and 1 SMART raises the right page in most stories, changes nothing in
one and loses in one, since visitors do not believe a demo that never loses; a test holds that mix. `compare.js` has the
behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from smart_demo.types import POOLED, SAMPLES, SMART, Found, PageId, Scope, StoredPage
from smart_demo.ui.render import NOTHING, render


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


def find_story(found: Found) -> StoryOutcome | None:
    """Return the outcome of the story whose query was searched, by POOLED and SMART.

    Returns None if no story has that query, a picture was searched too, or the story's page is not ranked.
    """
    if (answer := find_answer(found)) is None:
        return None
    number, page = answer
    pooled, smart = found.results[POOLED.name].ranks, found.results[SMART.name].ranks
    if page.key not in pooled or page.key not in smart:
        return None
    return StoryOutcome(STORIES[number - 1], number, page.key, pooled[page.key], smart[page.key])


def find_answer(found: Found) -> tuple[int, StoredPage] | None:
    """Return the number of the story whose query was searched, from 1, and its page, if that was searched too."""
    if found.query.image_hash:
        return None
    for number, story in enumerate(STORIES, start=1):
        if story.query != found.query.text.strip():
            continue
        for page in found.parts.pages:
            if (page.scope, page.document, page.number) == (SAMPLES, story.document, story.page):
                return number, page
    return None


def render_story(outcome: StoryOutcome | None) -> Markup:
    """Return what to look at and the page's outcome, or nothing for None."""
    return render("story", outcome=outcome, stories=len(STORIES)) if outcome else NOTHING
