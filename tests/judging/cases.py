"""Trials, votes and grades for the tests of manual evaluation, small enough to calculate by hand."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from smart_demo.judging.journal import Journal
from smart_demo.judging.records import REASONS, Grade, SessionHeader, SidesRevealed, Skip, Undo, Vote, VoteChoice
from smart_demo.judging.trials import (
    JudgedQuery,
    RankedPage,
    Rankings,
    RecordedEncoder,
    RecordedLibrary,
    Trial,
    draw_sides,
)
from smart_demo.methods import Counted, Reduce, Weights
from smart_demo.types import LOCAL, PageId, Query

SEED = "5e" * 16
NOON = datetime(2026, 5, 24, 12, tzinfo=UTC)
HOSTILE = ['"><img src=x onerror=alert(1)>', "${alert(1)}", "`id`", "\u202egpj.exe", "=cmd|' /C calc'!A0", "x" * 2_000]


def page(n: int) -> PageId:
    return PageId(f"{n:016x}", 1)


def ranked(*pages: int) -> tuple[RankedPage, ...]:
    return tuple(RankedPage(page(n), f"document {n}.pdf", 1.0 - rank / 64) for rank, n in enumerate(pages))


def trial_of(text="tide", pooled=(1, 2, 3), smart=(2, 1, 3), late=None, **changes) -> Trial:
    """Return a trial with rankings by page number; `changes` are fields of Trial, `library` a fingerprint."""
    query, seed = changes.pop("query", JudgedQuery(text, Query(text).key, "")), changes.pop("seed", SEED)
    library = RecordedLibrary(changes.pop("library", "0a" * 8), ("samples",), 71, "int8")
    rankings = changes.pop("rankings", (ranked(*pooled), ranked(*(late or smart)), ranked(*smart)))
    facts = {
        "query": query,
        "seed": seed,
        "sides": draw_sides(seed, query.key),
        "library": library,
        "encoder": RecordedEncoder("minilm", "bert-384x6", "main", "0e" * 8),
        "weights": Weights(),
        "k": 2,
        "rankings": Rankings(*rankings),
        "versions": (("program", "0.1.0"), ("python", "3.11.7")),
    }
    return Trial(**(facts | changes))


class Script:
    """Writes events by hand, one second apart."""

    def __init__(self, session="0c" * 16):
        self.session, self.events = session, []

    def _stamp(self):
        n = len(self.events) + 1
        at = (NOON + timedelta(seconds=n)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return f"{self.session[:16]}{n:016x}", at, self.session

    def _add(self, kind, *what):
        self.events.append(kind(*self._stamp(), *what))
        return self.events[-1]

    def vote(self, trial, winner):
        """`winner`: a method's name, `tie` or `bad`."""
        choice = {trial.sides.a: "a", trial.sides.b: "b"}.get(winner, winner)
        return self._add(Vote, trial, VoteChoice(choice), (), "")

    def grade(self, trial, grades):
        """Add grades by page number."""
        return [self._add(Grade, trial, page(n), grade) for n, grade in grades.items()]

    def skip(self, trial):
        return self._add(Skip, trial.query)

    def undo(self, event):
        return self._add(Undo, event.id)


def open_journal(folder, **options) -> Journal:
    return Journal(folder, LOCAL, **options)


TRIALS = [trial_of(text, k=k) for text, k in (("tide", 2), ("bolt", 2), ("code", 3))]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("vote"), st.sampled_from(TRIALS), st.sampled_from(["a", "b", "tie", "bad"])),
        st.tuples(st.just("grade"), st.sampled_from(TRIALS), st.integers(1, 3), st.integers(0, 3)),
        st.tuples(st.just("skip"), st.sampled_from(TRIALS)),
        st.tuples(st.just("undo")),
    ),
    max_size=10,
)


def act(journal: Journal, step) -> None:
    """Do one of `steps`; an undo with nothing to undo is skipped."""
    match step:
        case ("vote", trial, choice):
            journal.vote(trial, choice)
        case ("grade", trial, number, grade):
            journal.grade(trial, page(number), grade)
        case ("skip", trial):
            journal.skip(trial.query)
        case ("undo",) if journal.judgements.last_step(journal.session.id):
            journal.undo()


# -- any valid event

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)
lines = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=9)
names = lines.filter(bool)
random_ids = st.integers(0, 2**128 - 1).map("{:032x}".format)
fingerprints = st.integers(0, 2**64 - 1).map("{:016x}".format)
page_ids = st.builds(PageId, fingerprints, st.integers(1, 9_999))
times = st.datetimes().map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z".rjust(27, "0"))
versions = st.dictionaries(lines, names, max_size=3).map(lambda some: tuple(sorted(some.items())))
queries = st.one_of(
    texts.filter(str.strip).map(lambda text: JudgedQuery(text, Query(text).key, "")),
    st.builds(JudgedQuery, texts, fingerprints, names),
)
rankings = st.lists(
    st.builds(RankedPage, page_ids, names, st.floats(-1e9, 1e9)), min_size=1, max_size=4, unique_by=lambda row: row.page
).map(lambda rows: tuple(sorted(rows, key=lambda row: -row.score)))


@st.composite
def trials(draw) -> Trial:
    query, seed = draw(queries), draw(random_ids)
    weight = st.floats(-1_000, 1_000)
    scopes = st.sampled_from([("samples",), ("local",), ("local", "samples")])
    return Trial(
        query,
        seed,
        draw_sides(seed, query.key),
        draw(st.builds(RecordedLibrary, fingerprints, scopes, st.integers(1, 10**7), names)),
        draw(st.builds(RecordedEncoder, names, names, lines, fingerprints)),
        draw(st.builds(Weights, weight, weight, st.sampled_from(Reduce), st.sampled_from(Counted))),
        draw(st.integers(1, 50)),
        draw(st.builds(Rankings, rankings, rankings, rankings)),
        draw(versions),
    )


@st.composite
def grades(draw) -> Grade:
    trial = draw(trials())
    page = draw(st.sampled_from([row.page for row in trial.rankings.late]))
    return Grade(draw(random_ids), draw(times), draw(random_ids), trial, page, draw(st.integers(0, 3)))


stamp = (random_ids, times, random_ids)
reasons = st.sets(st.sampled_from(REASONS)).map(tuple)
any_events = st.one_of(
    random_ids.flatmap(lambda id_: st.builds(SessionHeader, st.just(id_), times, st.just(id_), random_ids, versions)),
    st.builds(Vote, *stamp, trials(), st.sampled_from(VoteChoice), reasons, texts),
    grades(),
    st.builds(Skip, *stamp, queries),
    st.builds(SidesRevealed, *stamp, random_ids, queries),
    st.builds(Undo, *stamp, random_ids),
)
