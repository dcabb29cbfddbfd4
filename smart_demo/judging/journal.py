"""The journal of one owner's evaluation: an append-only file with one event a line.

    <data>/judgements/<scope>.jsonl

    {"v": 1, "event": "vote", "id": "…", "at": "2026-05-24T10:11:12.131415Z", "session": "…", "trial": {…},
     "choice": "a", "reasons": ["table"], "note": ""}

A line is pure ASCII, so it contains no line break of any kind. `parse_line` accepts what `format_line` writes and
raises InputRefused, with the reason, for anything else: lines may come from any file or browser.

Every event is on disk before the caller learns of it. A killed process leaves at most the beginning of one line; it is
ignored, and the next write truncates it. Lines that hold no event, in a file that was edited by hand, stay in the file
and are exported as they are.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from smart_demo.config import Settings
from smart_demo.diagnostics import journal_versions
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.judging.records import (
    EVENT_TYPES,
    AnyEvent,
    Event,
    Grade,
    Judgements,
    SessionHeader,
    SidesRevealed,
    Skip,
    Undo,
    Vote,
    event_fields,
    read_event,
    replay,
)
from smart_demo.judging.trials import JudgedQuery, Trial, new_seed
from smart_demo.store import atomic_files
from smart_demo.store.judgement_files import FOLDER
from smart_demo.strict_json import parse_object, read_choice
from smart_demo.types import PageId, Scope
from smart_demo.wording import MEGABYTE, limit_in_words

FORMAT_VERSION = 1
"""Version of the format. `parse_line` refuses any other."""
MAX_LINE_BYTES = 2**19
"""Maximum length of a line. Fifty pages of each ranking, with the longest names and every character escaped, fit."""
LINE_TOO_LONG = f"the line is longer than {limit_in_words(MAX_LINE_BYTES)}."
MAX_EVENTS, MAX_JOURNAL_BYTES = 5_000, 32 * MEGABYTE
"""Limits of one journal: 500 queries, each with a vote, eight grades and an undo. A vote takes some 4 kB."""
PUBLIC_JOURNAL_BYTES = MEGABYTE
"""Maximum size of a visitor's journal on a public page: some 250 votes."""
MAX_READ_BYTES = 2**25 + MAX_LINE_BYTES
"""Maximum size of a file that is read. Earlier versions wrote up to 2^25 bytes, more than MAX_JOURNAL_BYTES."""
MAX_CLOCK_SKEW = timedelta(days=1)
"""Time by which imported events may be ahead of this machine's clock."""
MAX_REFUSALS_SHOWN = 20
"""Refused lines of an import for which the reason is given."""
_EVENT_NAMES = {kind: name for name, kind in EVENT_TYPES.items()}


def format_line(event: Event) -> str:
    """Return an event as one line without its line break. Equal events give equal lines."""
    row = {"v": FORMAT_VERSION, "event": _EVENT_NAMES[type(event)], **event_fields(event)}
    return json.dumps(row, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def format_lines(events: Iterable[Event], unreadable: Iterable[bytes] = ()) -> bytes:
    """Return events as lines for `parse_lines`. unreadable: lines that hold no event, added as they are."""
    formatted = (format_line(event).encode("ascii") for event in events)
    return b"".join(line + b"\n" for line in (*formatted, *unreadable))


def parse_line(text: str | bytes) -> Event:
    """Parse and validate the event of one line. Raises InputRefused with what is wrong with it."""
    if len(text) > MAX_LINE_BYTES:
        raise InputRefused(LINE_TOO_LONG)
    row = parse_object(text)
    if row.get("v") != FORMAT_VERSION:
        raise InputRefused(
            "this is no event of this program.", f"Its lines begin with the form's version, {FORMAT_VERSION}."
        )
    return read_event(EVENT_TYPES[read_choice(row, "event", EVENT_TYPES)], row)


@dataclass
class ParsedLines:
    """Events and refusals of several lines."""

    events: list[Event] = field(default_factory=list)
    """Events with distinct ids, in the order of the lines."""
    refused: dict[int, str] = field(default_factory=dict)
    """Why a line was refused, by its number from 1."""
    repeated: int = 0
    """Number of lines whose event id an earlier line has."""


def parse_lines(data: bytes, latest: str = "9999") -> ParsedLines:
    r"""Parse complete lines; empty lines are skipped. latest: events with a later time are refused.

    >>> parse_lines(b"{}\n\nnonsense\n").refused[3]
    'this is not JSON. Write one object a line.'
    """
    found, ids = ParsedLines(), set[str]()
    for number, text in enumerate(data.split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            event = parse_line(text)
            if event.at > latest:
                raise InputRefused("it is dated in the future.", "Check the clock of the machine it comes from.")
        except InputRefused as refused:
            found.refused[number] = refused.sentence
            continue
        if event.id in ids:
            found.repeated += 1
            continue
        ids.add(event.id)
        found.events.append(event)
    return found


@dataclass(frozen=True)
class ImportResult:
    """Counts of an import's lines by outcome."""

    added: int
    known: int
    """Events that the journal already had, or that the file repeats."""
    refused: int
    reasons: tuple[str, ...]
    """Why the first MAX_REFUSALS_SHOWN refused lines were refused, with their line numbers."""


def max_journal_bytes(settings: Settings) -> int:
    """Return the maximum size of one owner's journal in bytes, which is also the limit of an import."""
    return MAX_JOURNAL_BYTES if settings.is_private else PUBLIC_JOURNAL_BYTES


def journal_path(data_dir: Path, owner: Scope) -> Path:
    """Return the file of an owner's journal."""
    return data_dir / FOLDER / f"{owner}.jsonl"


class Journal:
    """One owner's events, on disk and in memory. Append-only and safe for threads.

    `vote`, `grade`, `skip` and `reveal_sides` accept values as they arrive from a browser and raise InputRefused if
    one is invalid (`records`).
    """

    def __init__(
        self,
        data_dir: Path,
        owner: Scope,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_bytes: int | None = None,
    ) -> None:
        """Open the journal of an owner; its file may not exist yet. Raises LibraryError if it cannot be read.

        max_bytes: maximum size of the file, MAX_JOURNAL_BYTES if None.
        """
        self._max_bytes = max_bytes
        self._path, self._now, self._lock = journal_path(data_dir, owner), now, threading.RLock()
        self._file_size = self._complete_size = 0
        self._parsed, self._unreadable_lines = ParsedLines(), tuple[bytes, ...]()
        self._judgements: Judgements | None = None
        self._load()

    @property
    def judgements(self) -> Judgements:
        """The state after all events."""
        with self._lock:
            if self._judgements is None:
                self._judgements = replay(self._parsed.events)
            return self._judgements

    @property
    def unreadable_lines(self) -> tuple[bytes, ...]:
        """Lines of the file that hold no event."""
        return self._unreadable_lines

    @property
    def session(self) -> SessionHeader:
        """The owner's session, whose seed draws the sides. The first access writes it to the file."""
        with self._lock:
            if self._own_session() is None:
                self._write([])
            session = self._own_session()
            if session is None:  # only if another process empties the file at this moment
                raise LibraryError("The evaluation could not be begun.", "Try again.")
            return session

    def vote(self, trial: Trial, choice: object, reasons: object = (), note: object = "") -> Vote:
        """Store a vote: one of `VoteChoice`, any of REASONS, a note of at most MAX_NOTE_CHARS characters.

        Raises InputRefused if the choice, a reason, the note or the trial is invalid.
        """
        return self._add(Vote, trial=trial, choice=choice, reasons=reasons, note=note)

    def grade(self, trial: Trial, page: PageId, grade: object) -> Grade:
        """Store a grade of a page. Raises InputRefused unless it is 0 to 3 and a ranking of the trial has the page."""
        return self._add(Grade, trial=trial, page=page, grade=grade)

    def skip(self, query: JudgedQuery) -> Skip:
        """Store that the judge skipped a query."""
        return self._add(Skip, query=query)

    def reveal_sides(self, trial: Trial) -> SidesRevealed:
        """Store that the judge saw the sides of a trial without a vote."""
        return self._add(SidesRevealed, seed=trial.seed, query=trial.query)

    def undo(self) -> Vote | Grade | Skip:
        """Undo the last vote, grade or skip of the owner's session and return it. Raises InputRefused if none is left.

        What was undone stays in the file.
        """
        with self._lock:
            last = self.judgements.last_step(self.session.id)
            if last is None:
                raise InputRefused("There is nothing to undo.")
            self._add(Undo, undoes=last.id)
            return last

    def import_lines(self, data: bytes) -> ImportResult:
        """Add the events of an exported journal. Known events are skipped, so importing twice adds nothing.

        Invalid lines are refused one by one. Raises InputRefused, and adds nothing, if `data` is too large or no line
        resembles an event.
        """
        if len(data) > MAX_JOURNAL_BYTES:
            raise InputRefused(
                f"The file is larger than {limit_in_words(MAX_JOURNAL_BYTES)}.", "Export a journal of this program."
            )
        with self._lock:
            latest = _format_time(self._now() + MAX_CLOCK_SKEW)
            found = parse_lines(data.removeprefix(b"\xef\xbb\xbf"), latest=latest)
            if found.refused and not found.events and not any(map(_resembles_event, data.split(b"\n"))):
                raise InputRefused(
                    "That is no evaluation: not one of its lines is an event of this program.",
                    "Choose a file that this program exported.",
                )
            known = {event.id for event in self._parsed.events}
            new = [event for event in found.events if event.id not in known]
            if new:
                self._write(new)
            repeated = found.repeated + len(found.events) - len(new)
            reasons = [f"Line {line}: {why}" for line, why in found.refused.items()]
            return ImportResult(len(new), repeated, len(reasons), tuple(reasons[:MAX_REFUSALS_SHOWN]))

    def export_lines(self) -> bytes:
        """Return every event as a line, by time, for `import_lines` of another journal; then `unreadable_lines`."""
        return format_lines(self.judgements.events, self.unreadable_lines)

    def delete(self) -> None:
        """Delete every event, on disk too."""
        with self._lock:
            with atomic_files.storage_errors("delete the evaluation"):
                atomic_files.delete_files([self._path])
            self._load()

    def _add(self, kind: type[AnyEvent], **fields: object) -> AnyEvent:
        """Store a new event and return it. `fields` may be any values: they are validated here."""
        with self._lock:
            session = self.session
            stamp = {"id": secrets.token_hex(16), "at": self._next_time(), "session": session.id}
            event = read_event(kind, stamp | fields)
            self._write([event])
            return event

    def _write(self, new: Sequence[Event]) -> None:
        """Append events, after the session's header if the file has none. Raises InputRefused if one is too long."""
        while True:
            header = [] if self._own_session() else [self._new_session()]
            events = [*header, *new]
            data = format_lines(events)
            # Escaped, an imported line may exceed the limit that it met as UTF-8; `parse_line` would not read it again.
            if any(len(line) > MAX_LINE_BYTES for line in data.split(b"\n")):
                raise InputRefused(f"That cannot be kept: {LINE_TOO_LONG}")
            self._check_size(events, len(data))
            with atomic_files.storage_errors("keep the judgement"):
                atomic_files.make_folder(self._path.parent)
                atomic_files.check_space(self._path.parent, len(data))
                if atomic_files.append(self._path, data, keep_size=self._complete_size, expected_size=self._file_size):
                    break
            self._load()  # another process wrote to the file: try again after its lines
        self._complete_size = self._file_size = self._complete_size + len(data)
        self._parsed.events += events
        self._judgements = None

    def _check_size(self, new: Sequence[Event], size: int) -> None:
        """Raise LibraryError if the journal has no room. An undo is accepted above MAX_EVENTS, so the last vote can be
        undone.
        """
        only_undo = all(isinstance(event, Undo) for event in new)
        too_many = len(self._parsed.events) + len(new) > MAX_EVENTS and not only_undo
        max_bytes = MAX_JOURNAL_BYTES if self._max_bytes is None else self._max_bytes
        if too_many or self._complete_size + size > max_bytes:
            raise LibraryError(
                f"The evaluation is full: it keeps {MAX_EVENTS:,} votes, grades and steps back, and "
                f"{limit_in_words(max_bytes)} of them.",
                "Export it, then delete it here and begin another.",
            )

    def _load(self) -> None:
        """Read the whole file."""
        data = b""
        with atomic_files.storage_errors("read the judgements"), suppress(FileNotFoundError):
            with atomic_files.open_file(self._path) as (_, size):
                if size > MAX_READ_BYTES:
                    raise LibraryError(f"{self._path.name} is too large to be an evaluation.", "Move it elsewhere.")
            data = atomic_files.read_file(self._path)
        self._file_size, self._complete_size = len(data), data.rfind(b"\n") + 1
        complete = data[: self._complete_size]
        self._parsed, lines = parse_lines(complete), complete.split(b"\n")
        self._unreadable_lines = tuple(lines[number - 1] for number in self._parsed.refused)
        self._judgements = None

    def _own_session(self) -> SessionHeader | None:
        """Return the file's first header; those of imported sessions come after it."""
        return next((event for event in self._parsed.events if isinstance(event, SessionHeader)), None)

    def _new_session(self) -> SessionHeader:
        session_id = secrets.token_hex(16)
        versions = tuple(sorted(journal_versions().items()))
        return SessionHeader(session_id, self._next_time(), session_id, new_seed(), versions)

    def _next_time(self) -> str:
        """Return the time now, or a microsecond after the last event if a clock was set back: the last must count."""
        events = self.judgements.events
        now = _format_time(self._now())
        if not events or now > events[-1].at:
            return now
        return _format_time(datetime.fromisoformat(events[-1].at) + timedelta(microseconds=1))


def _resembles_event(line: bytes) -> bool:
    """Return whether a line may have been an event, damaged or of another version."""
    return b'"v"' in line and b'"event"' in line


def _format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
