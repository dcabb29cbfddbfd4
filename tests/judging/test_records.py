"""Events as lines: written lines are read back, and every field of other lines is validated."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.errors import InputRefused
from smart_demo.judging.journal import format_line, parse_line, parse_lines
from smart_demo.judging.records import Grade, SessionHeader, SidesRevealed, Skip, Undo, Vote, VoteChoice
from smart_demo.judging.trials import JudgedQuery, RankedPage
from smart_demo.methods import Counted, Reduce, Weights
from smart_demo.types import Query
from tests.judging.cases import HOSTILE, SEED, any_events, page, ranked, trial_of

STAMP = ("01" * 16, "2026-05-24T12:00:00.000001Z", "0c" * 16)
PICTURE = JudgedQuery("", "77" * 8, "page samples/00ff-0001")
EVENTS = [
    SessionHeader("0c" * 16, STAMP[1], "0c" * 16, SEED, (("program", "0.1.0"),)),
    Vote(*STAMP, trial_of(), VoteChoice.A, ("table", "other"), "two\nlines"),
    Vote(*STAMP, trial_of(weights=Weights(0.5, 2.0, Reduce.SUM, Counted.CONTENT)), VoteChoice.BAD, (), ""),
    Grade(*STAMP, trial_of(late=(9, 8)), page(9), 3),
    Skip(*STAMP, trial_of().query),
    SidesRevealed(*STAMP, SEED, trial_of().query),
    Undo(*STAMP, "02" * 16),
]


def row_of(event):
    return json.loads(format_line(event))


def changed(path, value, event=EVENTS[1]):
    """A good line with one thing changed: the field at a path of keys and positions."""
    row = row_of(event)
    *way, last = path
    inner = row
    for key in way:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(row)


@settings(deadline=None, max_examples=60)
@given(event=any_events)
def test_any_valid_event_is_equal_after_it_was_written_and_read(event):
    line = format_line(event)
    assert line.isascii()
    assert "\n" not in line
    assert parse_line(line) == event
    assert format_line(parse_line(line)) == line


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_queries_notes_and_names_are_data(text):
    name = text[:255]
    rows = (RankedPage(page(1), name, 0.5),)
    vote = Vote(*STAMP, trial_of(text, rankings=(rows, rows, rows)), VoteChoice.A, (), text[:1_000])
    assert parse_line(format_line(vote)) == vote
    assert format_line(vote).isascii()


def test_a_question_with_a_picture_is_named_by_its_reference():
    trial = trial_of(query=PICTURE)
    assert parse_line(format_line(Vote(*STAMP, trial, VoteChoice.B, (), ""))).trial.query == PICTURE


@pytest.mark.parametrize(
    ("line_", "said"),
    [
        ("{not json", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("NaN", "not JSON"),
        ("[]", "the line must be a JSON object"),
        ("{}", "no event of this program"),
        ('{"v": 2}', "no event of this program"),
        (changed(["event"], "root"), '"event" must be one of'),
        (changed(["event"], ["vote"]), '"event" must be one of'),
        (changed(["id"], "../../etc"), '"id" must be 32 hex digits'),
        (changed(["id"], "01" * 16 + "\n"), '"id" must be 32 hex digits'),
        (changed(["at"], "yesterday"), '"at" must be a time'),
        (changed(["at"], "2026-13-24T12:00:00.000000Z"), '"at" is no time'),
        (changed(["session"], ...), '"session" is missing.'),
        (changed(["choice"], "smart"), '"choice" must be one of: a, b, tie, bad'),
        (changed(["reasons"], ["pretty"]), "A reason must be one of: figure, table, small text, wrong document, other"),
        (changed(["reasons"], [["table"]]), 'an entry of "reasons" must be a text'),
        (changed(["reasons"], ["table"] * 99), '"reasons" must be a list'),
        (changed(["note"], "x" * 1_001), '"note" must be a text of at most 1,000'),
        (changed(["note"], "\ud800"), '"note" must be a text'),
        (changed(["note"], 5), '"note" must be a text'),
        (changed(["trial"], None), '"trial" must be a JSON object'),
        (changed(["trial", "sides", "a"], trial_of().sides.b), "not those that the seed draws"),
        (changed(["trial", "seed"], "00" * 15), '"seed" must be'),
        (changed(["trial", "query", "text"], "another"), "key is not that of its words"),
        (changed(["trial", "query", "text"], "x" * 2_001), '"text" must be a text of at most 2,000'),
        (changed(["trial", "query", "picture"], "two\nlines"), '"picture" must be a text of one line'),
        (changed(["trial", "k"], 0), '"k" must be a whole number'),
        (changed(["trial", "k"], True), '"k" must be a whole number'),
        (changed(["trial", "k"], 51), '"k" must be a whole number'),
        (changed(["trial", "weights", "late"], 1e999), "not JSON"),
        (changed(["trial", "weights", "late"], 10**400), '"late" must be a number'),
        (changed(["trial", "weights", "reduce"], "max"), '"reduce" must be one of'),
        (changed(["trial", "library", "scopes"], ["f00d" * 8]), '"scopes" may hold'),
        (changed(["trial", "library", "pages"], -1), '"pages" must be'),
        (changed(["trial", "encoder", "name"], "a\x1b[2J"), '"name" must be a text of one line'),
        (changed(["trial", "encoder", "fingerprint"], "xyz"), '"fingerprint" must be'),
        (changed(["trial", "versions"], {str(n): "1" for n in range(21)}), "at most 20 programs"),
        (changed(["trial", "rankings", "late"], ...), '"late" is missing'),
        (changed(["trial", "rankings", "smart"], []), "a ranking is empty"),
        (changed(["trial", "rankings", "smart", 0], [1, 2]), "must be a list of page id"),
        (changed(["trial", "rankings", "smart", 0, 0], "../x"), "named by its id"),
        (changed(["trial", "rankings", "smart", 0, 0], None), "named by its id"),
        (changed(["trial", "rankings", "smart", 0, 1], ""), '"document" must be a text of one line of at most 255'),
        (changed(["trial", "rankings", "smart", 0, 1], "x" * 256), '"document" must be a text of one line'),
        (changed(["trial", "rankings", "smart", 0, 2], 2), "number must be the one in its id"),
        (changed(["trial", "rankings", "smart", 0, 2], True), "number must be the one in its id"),
        (changed(["trial", "rankings", "smart", 0, 3], "1"), '"score" must be a number from'),
        (changed(["trial", "rankings", "smart", 0, 3], 1e300), '"score" must be a number from'),
        (changed(["trial", "rankings", "smart", 0, 3], -5), "do not fall"),
        (changed(["trial", "rankings", "smart", 0, 0], str(page(3))), "has a page twice"),
        (changed(["grade"], 4, EVENTS[3]), '"grade" must be a whole number from 0 to 3'),
        (changed(["grade"], 1.0, EVENTS[3]), '"grade" must be a whole number'),
        (changed(["page"], str(page(77)), EVENTS[3]), "is in none of the rankings"),
        (changed(["id"], "0d" * 16, EVENTS[0]), "must belong to itself"),
        (changed(["undoes"], 7, EVENTS[6]), '"undoes" must be'),
        ('{"v": 1, "x": "' + "x" * 2**19 + '"}', "longer than 524 kB"),
    ],
)
def test_a_line_that_is_not_right_is_refused_in_words(line_, said):
    with pytest.raises(InputRefused) as caught:
        parse_line(line_)
    assert said in caught.value.sentence


def test_refusals_name_the_line_and_the_others_stand():
    data = "\r\n".join(
        [format_line(EVENTS[0]), "", "nonsense", format_line(EVENTS[1]), format_line(EVENTS[1])]
    ).encode()
    found = parse_lines(data)
    assert found.events == [EVENTS[0], EVENTS[1]]
    assert list(found.refused) == [3]
    assert found.repeated == 1


def test_unknown_keys_do_not_get_in():
    assert format_line(parse_line(changed(["payload"], "x" * 1_000))) == format_line(EVENTS[1])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PATHS = [
    *([key] for key in row_of(EVENTS[1]) if key != "v"),
    *(["trial", key] for key in row_of(EVENTS[1])["trial"]),
    *(["trial", "rankings", "smart", 0, n] for n in range(4)),
    *(["trial", "query", key] for key in ("text", "key", "picture")),
    *(["trial", "weights", key] for key in ("pooled", "late", "reduce", "counted")),
]


@settings(deadline=None, max_examples=150)
@given(path=st.sampled_from(PATHS), value=json_values)
def test_whatever_a_field_holds_is_written_again_as_it_is_or_refused(path, value):
    """Nothing is converted, except that a score or a weight may be an integer."""
    try:
        event = parse_line(changed(path, value))
    except InputRefused:
        return
    assert parse_line(format_line(event)) == event
    written = row_of(event)
    for key in path:
        written = written[key]
    assert written == value
    assert type(written) is type(value) or {type(written), type(value)} == {int, float}


def test_the_longest_trial_there_can_be_fits_into_a_line():
    rows = tuple(RankedPage(page(n), "\U0001f4c4" * 255, 1.0) for n in range(1, 51))
    trial = trial_of("\U0001f50d" * 2_000, rankings=(rows, rows, rows), k=50)
    vote = Vote(*STAMP, trial, VoteChoice.A, (), "\U0001f50d" * 1_000)
    assert parse_line(format_line(vote)) == vote


def test_a_key_that_fits_the_words_is_the_engines_own():
    assert trial_of("tide").query.key == Query("tide").key
    assert parse_line(format_line(EVENTS[1])).trial.rankings.pooled == ranked(1, 2, 3)
