"""Example queries over the samples with the page that answers each, and the markup of their outcomes and of sharing.

A story names what to look at. Its outcome is computed from the rankings on the screen, so it is true for any encoder
and weights. With the bundled model and weights 1 and 1 SMART raises the right page in most stories, changes nothing in
one and loses in one, since visitors do not believe a demo that never loses; a test holds that mix. `compare.js` has the
behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from smart_demo.methods import Found, Method
from smart_demo.search.comparison import Change, Move
from smart_demo.types import SAMPLES, StoredPage
from smart_demo.ui.moves import describe_answer, name_places
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

    @property
    def number(self) -> int:
        """Number of the story, from 1; 0 for a judged question, which is none of the stories."""
        return STORIES.index(self) + 1 if self in STORIES else 0


@dataclass(frozen=True, slots=True)
class StoryOutcome:
    """The page that answers a story, with its ranks in one search. In a large library a ranking may not reach it."""

    story: Story
    page: StoredPage
    methods: tuple[Method, Method]
    """The left and the right method."""
    left: int | None
    """Rank of the page in the left ranking, or None if that did not reach it."""
    right: int | None
    """Rank of the page in the right ranking, or None if that did not reach it."""

    @property
    def is_ranked(self) -> bool:
        """Whether both rankings reached the page."""
        return self.left is not None and self.right is not None

    @property
    def ranks(self) -> str:
        """Both ranks, from the left to the right one."""
        return name_places(self.left, self.right)

    @property
    def change(self) -> Change:
        """Whether the page rises, falls or stays. A page that only one ranking reached is new there, or has left."""
        if self.left == self.right:
            return Change.SAME
        if self.left is None or self.right is None:
            return Change.LEFT if self.right is None else Change.NEW
        return Change.UP if self.right < self.left else Change.DOWN

    @property
    def sentence(self) -> str:
        """The outcome in one sentence that names the right method."""
        return self.describe(self.methods[1].label)

    def describe(self, name: str) -> str:
        """Return the outcome in one sentence that calls the right ranking by this name."""
        return describe_answer(Move(self.change, self.left, self.right), name)


STORIES = (
    Story(
        "Words on a map",
        "restricted area, no anchoring",
        "One label on a map, among depths, stations and a legend.",
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


def find_story(query: str) -> Story | None:
    """Return the story with this query, or None. A search with a picture too, or of other pages, is not a story's."""
    query = query.strip()
    return next((story for story in STORIES if story.query == query), None)


def find_outcome(found: Found) -> StoryOutcome | None:
    """Return the outcome of the story whose query was searched, in the two rankings that are compared.

    Returns None if no story has that query, a picture was searched too, or the story's page was not searched.
    """
    story = None if found.query.image_hash else find_story(found.query.text)
    if story is None:
        return None
    answer = (SAMPLES, story.document, story.page)
    page = next((page for page in found.parts.pages if (page.scope, page.document, page.number) == answer), None)
    return rank_answer(found, story, page) if page else None


def rank_answer(found: Found, story: Story, page: StoredPage) -> StoryOutcome:
    """Return the ranks of the page that answers a question in the two rankings that are compared."""
    left, right = found.compared
    return StoryOutcome(story, page, (left.method, right.method), left.ranks.get(page.key), right.ranks.get(page.key))


def render_story(outcome: StoryOutcome | None) -> Markup:
    """Return what to look at and the page's outcome.

    Returns nothing for None, if a ranking did not reach the page, and if the right ranking has no weights to rank by.
    """
    if outcome is None or not outcome.is_ranked:
        return NOTHING
    weights = outcome.methods[1].weights
    return render("story", outcome=outcome, stories=len(STORIES)) if weights.pooled or weights.late else NOTHING
