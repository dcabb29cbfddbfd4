"""Example queries over the samples with the page that answers each, and the markup of their outcomes and of sharing.

A story names what to look at. Its outcome is computed from the rankings on the screen, so it is true for any encoder
and weights. With the bundled model and weights 1 and 1 SMART raises the right page in most stories, changes nothing in
one and loses in one, since visitors do not believe a demo that never loses; a test holds that mix. `compare.js` has the
behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from smart_demo.types import SAMPLES, Found, Method, PageId, Scope, StoredPage
from smart_demo.ui.format import in_sentence
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
    methods: tuple[Method, Method]
    """The left and the right method."""
    left: int
    """Rank of that page in the left column."""
    right: int
    """Rank of that page in the right column."""

    @property
    def change(self) -> str:
        """The direction of the page's move, as part of a class name: `up`, `down` or `same`."""
        return "up" if self.right < self.left else "down" if self.right > self.left else "same"

    @property
    def sentence(self) -> str:
        """The outcome in one sentence."""
        label = self.methods[1].label
        if self.right == self.left:
            return f"The same place in both columns: {in_sentence(label)} changes nothing here."
        if self.right < self.left:
            first = "to first place" if self.right == 1 else f"from place {self.left} to {self.right}"
            return f"{label} lifts the answer {first}."
        return f"{label} loses here: the answer falls from place {self.left} to {self.right}."


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
    """Return the outcome of the story whose query was searched, in the two rankings that are compared.

    Returns None if no story has that query, a picture was searched too, or the story's page is not ranked.
    """
    if (answer := find_answer(found)) is None:
        return None
    (number, page), (left, right) = answer, found.compared
    if page.key not in left.ranks or page.key not in right.ranks:
        return None
    ranks = left.ranks[page.key], right.ranks[page.key]
    return StoryOutcome(STORIES[number - 1], number, page.key, (left.method, right.method), *ranks)


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
