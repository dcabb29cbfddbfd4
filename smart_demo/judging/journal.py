"""The journal of one owner's evaluation: a file that only grows, one event a line, on disk before it is told.

    <data>/judgements/<scope>.jsonl

A killed program leaves at most the beginning of one line, which is not read and is cut off before the next one is
written. Lines that are no events (somebody edited the file) are left where they are and counted.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from smart_demo.diagnostics import journal_versions
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.judging.record_lines import (
    MAX_EVENTS,
    MAX_JOURNAL_BYTES,
    MAX_LINE_BYTES,
    ParsedLines,
    format_lines,
    parse_lines,
)
from smart_demo.judging.records import (
    Event,
    Grade,
    JudgedQuery,
    Session,
    SidesRevealed,
    Skip,
    Trial,
    Undo,
    Vote,
    new_seed,
)
from smart_demo.judging.replay import Judgements, replay
from smart_demo.store import atomic_files, judgement_files
from smart_demo.types import PageId, Scope

Kind = TypeVar("Kind", bound=Event)
FOLDER = judgement_files.FOLDER
MAX_CLOCK_SKEW = timedelta(days=1)
"""How far another machine's clock may be ahead of ours."""
PUBLIC_JOURNAL_BYTES = 2**20
"""Maximum size of a visitor's journal on a public page."""
MAX_REFUSALS_SHOWN = 20
"""Refused lines that an import tells of in words."""


@dataclass(frozen=True)
class ImportResult:
    """What became of an import."""

    added: int
    known: int
    """Events that were here already, or stood in the file twice."""
    refused: int
    told: tuple[str, ...]
    """Why lines were refused, by number: the first TOLD of them."""


def max_journal_bytes(*, private: bool) -> int:
    """Return the maximum size of one owner's journal in bytes, which is also the limit of an import."""
    return MAX_JOURNAL_BYTES if private else PUBLIC_JOURNAL_BYTES


class Journal:
    """Append-only and safe for threads. What `judgements` says was on disk before."""

    def __init__(
        self,
        data_dir: Path,
        owner: Scope,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        most_bytes: int | None = None,
    ) -> None:
        """Open the journal of an owner, which need not be there yet. LibraryError where it cannot be read."""
        self._most = most_bytes
        self._path, self._now, self._lock = data_dir / FOLDER / f"{owner}.jsonl", now, threading.RLock()
        self._length = self._whole = 0
        self._read = ParsedLines()
        self._state: Judgements | None = None
        self._load()

    @property
    def judgements(self) -> Judgements:
        """What the events come to."""
        with self._lock:
            if self._state is None:
                self._state = replay(self._read.events)
            return self._state

    @property
    def left_out(self) -> tuple[int, ...]:
        """Numbers of the file's lines that are no events."""
        return tuple(self._read.refused)

    @property
    def session(self) -> Session:
        """The owner's session, whose seed draws the sides. It begins when it is first asked for, and lasts."""
        with self._lock:
            if self._own() is None:
                self._write([])
            session = self._own()
            if session is None:  # only where somebody else empties the file at this moment
                raise LibraryError("The evaluation could not be begun.", "Try again.")
            return session

    def vote(self, trial: Trial, choice: object, reasons: object = (), note: object = "") -> Vote:
        """Keep a vote: one of `Choice`, some of `REASONS`, a note. InputRefused for anything else."""
        return self._add(Vote, trial, choice, reasons, note)

    def grade(self, trial: Trial, page: PageId, grade: object) -> Grade:
        """Keep a grade, 0 to 3, of a page in one of the trial's rankings. InputRefused for anything else."""
        return self._add(Grade, trial, page, grade)

    def skip(self, query: JudgedQuery) -> Skip:
        """Keep that the person went on without a vote."""
        return self._add(Skip, query)

    def told(self, trial: Trial) -> SidesRevealed:
        """Keep that the sides of a trial were told without a vote."""
        return self._add(SidesRevealed, trial.seed, trial.query)

    def undo(self) -> Vote | Grade | Skip:
        """Take back the last vote, grade or skip of the owner's session, and give it. InputRefused if there is none."""
        with self._lock:
            last = self.judgements.last(self.session.id)
            if last is None:
                raise InputRefused("There is nothing to take back.")
            self._add(Undo, last.id)
            return last

    def take(self, data: bytes) -> ImportResult:
        """Add the events of an exported journal. What is here already is left alone, so that twice is once.

        Lines that are not right are refused one by one. InputRefused, and nothing is added, for too much at once.
        """
        if len(data) > MAX_JOURNAL_BYTES:
            raise InputRefused(
                f"The file is larger than {MAX_JOURNAL_BYTES // 2**20} MB.", "Export a journal of this program."
            )
        with self._lock:
            found = parse_lines(data.removeprefix(b"\xef\xbb\xbf"), latest=_format_time(self._now() + MAX_CLOCK_SKEW))
            here = {event.id for event in self._read.events}
            new = [event for event in found.events if event.id not in here]
            if new:
                self._write(new)
            refused = [f"Line {line}: {why}" for line, why in found.refused.items()]
            return ImportResult(
                len(new),
                found.repeated + len(found.events) - len(new),
                len(refused),
                tuple(refused[:MAX_REFUSALS_SHOWN]),
            )

    def lines(self) -> bytes:
        """Every event in the journal's own form, by time, for `take` somewhere else."""
        return format_lines(self.judgements.events)

    def discard(self) -> None:
        """Delete everything, on disk too."""
        with self._lock:
            with atomic_files.storage_errors("delete the evaluation"):
                atomic_files.delete_files([self._path])
            self._load()

    def _add(self, kind: Callable[..., Kind], *what: object) -> Kind:
        """Keep an event of today. What is given may be anything that came as JSON: `_write` doubts it."""
        with self._lock:
            session = self.session
            self._write([kind(secrets.token_hex(16), self._time(), session.id, *what)])
            kept: Kind = self._read.events[-1]  # type: ignore[assignment]  # as it was read back, so of this kind
            return kept

    def _write(self, new: Sequence[Event]) -> None:
        """Append events, and the owner's header before them where there is none. InputRefused for impossible ones."""
        while True:
            begun = [] if self._own() else [self._header()]
            data = format_lines([*begun, *new])
            checked = parse_lines(data)  # what could not be read again must not be written
            if checked.refused:
                raise InputRefused(f"That cannot be kept: {next(iter(checked.refused.values()))}")
            self._see_to_room(checked.events, len(data))
            with atomic_files.storage_errors("keep the judgement"):
                atomic_files.make_folder(self._path.parent)
                atomic_files.check_space(self._path.parent, len(data))
                if atomic_files.append(self._path, data, keep_size=self._whole, expected_size=self._length):
                    break
            self._load()
        self._whole = self._length = self._whole + len(data)
        self._read.events += checked.events
        self._state = None

    def _see_to_room(self, new: Sequence[Event], size: int) -> None:
        """LibraryError where it is full. The last vote can be taken back even then."""
        back = all(isinstance(event, Undo) for event in new)
        most = MAX_JOURNAL_BYTES if self._most is None else self._most
        if self._whole + size > most or (len(self._read.events) + len(new) > MAX_EVENTS and not back):
            raise LibraryError(
                f"The evaluation is full: it keeps {MAX_EVENTS:,} votes, grades and steps back, and "
                f"{most / 2**20:,.0f} MB of them.",
                "Export it, then delete it here and begin another.",
            )

    def _load(self) -> None:
        """Read the file from its beginning."""
        data = b""
        with atomic_files.storage_errors("read the judgements"), suppress(FileNotFoundError):
            with atomic_files.open_file(self._path) as (_, size):
                if size > MAX_JOURNAL_BYTES + MAX_LINE_BYTES:
                    raise LibraryError(f"{self._path.name} is too large to be an evaluation.", "Move it elsewhere.")
            data = atomic_files.read_file(self._path)
        self._length, self._whole = len(data), data.rfind(b"\n") + 1
        self._read = parse_lines(data[: self._whole])
        self._state = None

    def _own(self) -> Session | None:
        """The first header in the file: those of imported sessions come after it."""
        return next((event for event in self._read.events if isinstance(event, Session)), None)

    def _header(self) -> Session:
        name = secrets.token_hex(16)
        return Session(name, self._time(), name, new_seed(), tuple(sorted(journal_versions().items())))

    def _time(self) -> str:
        """Now, but after everything that is here: clocks are set back, and what is said last must count."""
        events = self.judgements.events
        now = _format_time(self._now())
        if not events or now > events[-1].at:
            return now
        return _format_time(datetime.fromisoformat(events[-1].at) + timedelta(microseconds=1))


def _format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
