"""The queue of uploaded files, which one thread of the process adds to libraries.

A reload or a closed tab stops nothing. Owners take turns page by page, so a large file of one owner does not delay the
others. Knows nothing of markup.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from pathlib import Path

from smart_demo.errors import SmartError
from smart_demo.indexing.progress import BatchProgress, PageRate, Progress, State
from smart_demo.ingest import clean_name
from smart_demo.server.upload_limits import UPLOAD_TRACKER
from smart_demo.types import Scope
from smart_demo.wording import count

log = logging.getLogger(__name__)
AddFiles = Callable[[Scope, Sequence[tuple[Path, str]]], Iterator[Progress]]
CountPages = Callable[[Path, str], int]
SuggestQuestions = Callable[[Scope, Mapping[str, Collection[int]]], tuple[str, ...]]
FILE_FAILED = "This file could not be added. The demo’s log says why."
MAX_ACTIVE_OWNERS, STEPS_PER_TURN = 4, 25
"""Owners whose files are read by turns, and the steps after which one of them yields to an owner who waits longer."""
MAX_REPORTS = 200
"""Owners for whom the outcome of their last upload is stored."""


@dataclass(eq=False)
class _Job:
    path: Path
    name: str
    """The file's name on its owner's disk."""
    progress: Progress
    context: Context = field(default_factory=copy_context)
    """Context of the request that submitted the file, so that a borrowed GPU is charged to its visitor."""
    steps: Generator[Progress] | None = None
    """Reads the file page by page; None while it waits. A file that was set aside starts again at its next page."""
    stopping: bool = False
    turn_steps: int = 0
    """Steps since it was last started."""
    turn_start: int = 0
    """Number of its pages in the library when it was last started."""
    expected_pages: int | None = None
    """Number of its pages, counted before it is begun: 0 if that failed, None if it was not tried."""

    @property
    def may_yield(self) -> bool:
        """Whether its owner has had a turn in which pages were added, so that every file is finished in the end."""
        return self.turn_steps >= STEPS_PER_TURN and self.progress.done > self.turn_start

    def stop_reading(self) -> None:
        """Close its generator, which stores what it has to. An exception does not stop the next file."""
        try:
            if self.steps is not None:
                self.steps.close()
        except Exception:
            log.exception("an upload could not be ended")


@dataclass(eq=False)
class _Report:
    """The outcome of an owner's last upload, or of several if the next began before the last had ended."""

    started: float
    jobs: list[_Job] = field(default_factory=list)
    rate: PageRate = field(default_factory=PageRate)
    ended: float | None = None
    seconds_left: float | None = None
    questions: tuple[str, ...] | None = None
    """Queries made from the words of its pages; None until they are made, after an error and after a deletion."""
    stopped: bool = False
    deletions: int = 0
    """Number of times that pages were deleted since it began."""
    dismissed: bool = False

    @property
    def waiting_pages(self) -> int | None:
        """Pages of the files that were not begun; None until all of them are counted."""
        waiting = [job for job in self.jobs if job.progress.state is State.WORKING and not job.progress.total]
        counted = [job.expected_pages for job in waiting if job.expected_pages is not None]
        return sum(counted) if len(counted) == len(waiting) else None

    def update(self, job: _Job, progress: Progress, now: float) -> None:
        """Store a file's progress, and estimate the time that all files take from the pages so far."""
        before, job.progress = job.progress, progress
        if progress.state is State.WORKING and progress.total:
            follows = before.state is State.WORKING and before.file == progress.file and before.total
            self.rate.record(now, max(0, before.pages_left - progress.pages_left) if follows else 0)
        waiting = self.waiting_pages
        left = None if waiting is None else waiting + sum(job.progress.pages_left for job in self.jobs)
        self.seconds_left = self.rate.seconds_left(left)


class UploadQueue:
    """Files of all owners that wait to be read, and the progress of each. A file is a copy and is deleted when done."""

    def __init__(
        self,
        add: AddFiles,
        max_files: int,
        max_waiting: int = 40,
        count_pages: CountPages | None = None,
        suggest: SuggestQuestions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create an empty queue.

        add: adds files of (path, name) to an owner's library and yields the progress after every page, as Engine.add.
        max_files: files of one upload, and of one owner in the queue.
        max_waiting: files of all owners in the queue.
        count_pages: returns the page count of a file of (path, name) before it is added, for the estimate of all files.
        suggest: returns queries for pages of an owner's library, by file; no numbers stand for all pages of a file.
        """
        self._add, self._max_files, self._max_waiting = add, max_files, max_waiting
        self._count_pages, self._suggest, self._clock = count_pages, suggest, clock
        self._lock = threading.Lock()
        self._reports: OrderedDict[Scope, _Report] = OrderedDict()
        self._queues: OrderedDict[Scope, list[_Job]] = OrderedDict()
        """Unfinished files of each owner who has any; the first is being read or is next."""
        self._turn = 0
        self._thread: threading.Thread | None = None

    def running(self, owner: Scope) -> bool:
        """Return whether a file of the owner is being read or waits."""
        with self._lock:
            return owner in self._queues

    def batch(self, owner: Scope) -> BatchProgress:
        """Return the latest progress of the owner's last upload, all files together."""
        with self._lock:
            report = self._reports.get(owner)
            if report is None:
                return BatchProgress()
            running = owner in self._queues
            return BatchProgress(
                files=tuple(job.progress for job in report.jobs),
                waiting_pages=report.waiting_pages,
                running=running,
                stopped=report.stopped,
                stopping=any(job.stopping for job in self._queues.get(owner, ())),
                seconds=0.0 if running or report.ended is None else report.ended - report.started,
                seconds_left=report.seconds_left if running else None,
                questions=None if running else report.questions,
                dismissed=report.dismissed,
            )

    def dismiss(self, owner: Scope) -> None:
        """Mark the outcome of the owner's last upload as read."""
        with self._lock:
            if report := self._reports.get(owner):
                report.dismissed = True

    def discard_outcome(self, owner: Scope, file: str) -> None:
        """Discard what is no longer true of the owner's last upload after a document was deleted.

        The queries may quote its pages, and its pages no longer count as added. A finished upload counts as read, but
        the list of its files keeps why others were refused.
        """
        with self._lock:
            report = self._reports.get(owner)
            jobs = [job for job in report.jobs if job.progress.file == file] if report else []
            if report is None or not jobs:
                return
            report.questions = None
            report.deletions += 1
            report.dismissed = owner not in self._queues
            for job in jobs:
                if job.progress.state is State.DONE:
                    job.progress = replace(job.progress, added=0)

    def submit(self, owner: Scope, files: Sequence[Path]) -> None:
        """Queue copies of uploaded files under their own names. A file over a limit is refused with a message.

        Replaces the report of the owner's earlier upload, unless some of its files are unfinished.
        """
        with self._lock:
            report = self._reports.pop(owner, None) if owner in self._queues else None
            report = report or _Report(self._clock())
            report.dismissed = report.stopped = False
            self._reports[owner] = report
            refused = list[_Job]()
            for index, path in enumerate(files):
                refusal = self._refusal(owner, index)
                name = UPLOAD_TRACKER.original_name(path)
                state = State.REFUSED if refusal else State.WORKING
                job = _Job(path, name, Progress(clean_name(name), state, message=refusal))
                report.jobs.append(job)
                if refusal:
                    refused.append(job)
                else:
                    UPLOAD_TRACKER.claim(path)
                    self._queues.setdefault(owner, []).append(job)
            for job in refused:
                self._release(job)
            if owner not in self._queues:
                report.ended = self._clock()
            idle = [owner for owner in self._reports if owner not in self._queues]
            for other in idle[: max(0, len(self._reports) - MAX_REPORTS)]:
                del self._reports[other]
            if self._queues and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="uploads", daemon=True)
                self._thread.start()

    def cancel(self, owner: Scope) -> None:
        """Stop the owner's files: the one being read after its current page, the others at once. Added pages stay.

        A file submitted afterwards is read.
        """
        with self._lock:
            if owner in self._queues and (report := self._reports.get(owner)):
                report.stopped = True
            for job in list(self._queues.get(owner, ())):
                if job.steps is None:
                    job.progress = _stopped(job.progress)
                    self._remove(owner, job)
                else:
                    job.stopping = True

    def delete(self, owner: Scope) -> None:
        """Stop the owner's files and delete their report."""
        self.cancel(owner)
        with self._lock:
            self._reports.pop(owner, None)

    def delete_copy(self, path: Path) -> None:
        """Delete a copy that was read elsewhere, and its directory, unless it is queued too."""
        with self._lock:
            self._delete_copy(path)

    def wait(self, seconds: float) -> None:
        """Wait until the queue is empty, at most `seconds`."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _refusal(self, owner: Scope, index: int) -> str:
        """Return why the file at `index` of an upload cannot be queued, or an empty text."""
        own, total = len(self._queues.get(owner, ())), sum(map(len, self._queues.values()))
        if index >= self._max_files:
            return f"Only {count(self._max_files, 'file')} at once. Add this one again."
        if own >= self._max_files:
            return f"{own:,} of your files {'is' if own == 1 else 'are'} still waiting. Add this one again later."
        # An owner with an empty queue may add one file, so that other owners' many files do not keep them out.
        if total >= self._max_waiting and (own or len(self._queues) >= self._max_waiting):
            verb = "is" if total == 1 else "are"
            return f"{count(total, 'file')} of all visitors {verb} still waiting. Add this one again in a minute."
        return ""

    # Call the next three under the lock.

    def _remove(self, owner: Scope, job: _Job) -> None:
        """Remove a file from the queue."""
        self._queues[owner].remove(job)
        if not self._queues[owner]:
            del self._queues[owner]
            if report := self._reports.get(owner):
                report.ended = self._clock()
        self._release(job)

    def _release(self, job: _Job) -> None:
        """Delete the copy of a finished file, and discard its request and pages: it is stored for its outcome only."""
        job.context, job.steps = Context(), None
        self._delete_copy(job.path)

    def _delete_copy(self, path: Path) -> None:
        if any(job.path == path for queue in self._queues.values() for job in queue):
            return  # it was submitted twice
        try:
            path.unlink(missing_ok=True)
            path.parent.rmdir()
        except OSError:  # the directory holds another file
            log.debug("a temporary folder stays until the demo ends")

    # The rest runs in the thread.

    def _work(self) -> None:
        while (turn := self._next_turn()) is not None:
            owner, job = turn
            self._count_next_file(owner)
            unfinished = job.context.run(self._step, owner, job)
            if unfinished and not (job.may_yield and len(self._queues) > MAX_ACTIVE_OWNERS):
                continue
            job.stop_reading()
            if not unfinished:
                self._suggest_questions(owner)
            with self._lock:
                job.steps = None
                if not unfinished:
                    self._remove(owner, job)
                if owner in self._queues:
                    self._queues.move_to_end(owner)

    def _next_turn(self) -> tuple[Scope, _Job] | None:
        """Return the owner whose turn is next and their first file, started; None if the queue is empty."""
        with self._lock:
            if not self._queues:
                self._thread = None
                return None
            self._turn = (self._turn + 1) % min(len(self._queues), MAX_ACTIVE_OWNERS)
            owner = list(self._queues)[self._turn]
            job = self._queues[owner][0]
            if job.steps is None:
                job.turn_steps, job.turn_start = 0, job.progress.done
                job.steps = self._read(owner, job)
            job.turn_steps += 1
            return owner, job

    def _read(self, owner: Scope, job: _Job) -> Generator[Progress]:
        yield from self._add(owner, [(job.path, job.name)])

    def _count_next_file(self, owner: Scope) -> None:
        """Count the pages of one waiting file of the owner, unless that would delay another owner's files."""
        if self._count_pages is None:
            return
        with self._lock:
            waiting = self._queues.get(owner, ()) if len(self._queues) == 1 else ()
            job = next((job for job in waiting if job.steps is None and job.expected_pages is None), None)
        if job is None:
            return
        pages = 0
        try:
            pages = self._count_pages(job.path, job.name)
        except SmartError:  # the reason is given when its turn comes
            pass
        except Exception:
            log.exception("the pages of an upload could not be counted")
        with self._lock:
            job.expected_pages = pages

    def _suggest_questions(self, owner: Scope) -> None:
        """Make the queries of an upload whose last file has its outcome."""
        with self._lock:
            report, queue = self._reports.get(owner), self._queues.get(owner, ())
            if self._suggest is None or report is None or len(queue) != 1:
                return
            deletions = report.deletions
            files: dict[str, Collection[int]] = {}
            for job in report.jobs:
                done = job.progress
                if done.file and done.done and done.state is not State.WORKING:
                    files[done.file] = done.outcome.added if done.outcome else ()
        questions: tuple[str, ...] | None = None
        try:
            questions = self._suggest(owner, files) if files else None
        except SmartError as error:
            log.warning("no questions are suggested: %s", type(error).__name__)
        except Exception:
            log.exception("questions could not be suggested")
        with self._lock:
            if report.deletions == deletions:
                report.questions = questions

    def _step(self, owner: Scope, job: _Job) -> bool:
        """Read the file's next page. Return whether there is more to read."""
        assert job.steps is not None
        try:
            progress = next(job.steps, None)
        except SmartError as error:
            progress = replace(job.progress, state=State.REFUSED, message=error.sentence)
        except Exception:
            log.exception("an upload failed")
            progress = replace(job.progress, state=State.REFUSED, message=FILE_FAILED)
        if progress is None:
            return False
        if job.stopping and progress.state is State.WORKING:
            progress = _stopped(progress)
        with self._lock:
            if report := self._reports.get(owner):
                report.update(job, progress, self._clock())
            job.progress = progress
        return progress.state is State.WORKING


def _stopped(progress: Progress) -> Progress:
    """Return the final progress of a file that was stopped."""
    if not progress.total:
        return replace(progress, state=State.REFUSED, message="Stopped before it was read.", seconds_left=None)
    if not progress.done:
        return replace(progress, state=State.REFUSED, message="Stopped before its first page.", seconds_left=None)
    return replace(progress, state=State.DONE, message="Stopped. Add it again to continue.", seconds_left=None)
