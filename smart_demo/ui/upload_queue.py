"""Files on their way into libraries. One thread of the process does the work, so a reload or a closed tab stops
nothing; the page only looks on. People take turns page by page, so nobody waits for the end of somebody else's thick
file. Knows nothing of markup.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from pathlib import Path

from smart_demo.errors import SmartError
from smart_demo.types import Progress, Scope, State
from smart_demo.wording import count

log = logging.getLogger(__name__)
AddFiles = Callable[[Scope, Sequence[tuple[Path, str]]], Iterator[Progress]]
FILE_FAILED = "Something went wrong with this file; the log of the demo says what."
MAX_ACTIVE_OWNERS, STEPS_PER_TURN = 4, 25
"""People whose files are read in turns, and the steps after which one of them makes way for people who wait longer."""
MAX_REPORTS = 200
"""People of whom it is remembered what became of their last files."""


@dataclass(eq=False)
class _Job:
    path: Path
    progress: Progress
    context: Context = field(default_factory=copy_context)
    """Of the request that brought it: a borrowed GPU is charged to whoever asked."""
    begun: bool = False
    """Whether it is being read now; one that was set aside begins again where it was."""
    stop: bool = False
    steps_now: int = 0
    """Since it was begun or begun again,"""
    done_then: int = 0
    """and the pages that were stored by then."""
    steps: Iterator[Progress] = field(default_factory=lambda: iter(()))

    def rest(self) -> None:
        """Nothing more happens to it. What became of it is told long afterwards, and on these hang its request and its
        pictures.
        """
        self.context, self.steps = Context(), iter(())


class UploadQueue:
    """Everybody's queues of files and what became of each. Files are deleted as soon as they are through: they are
    copies.
    """

    def __init__(self, add: AddFiles, limit: int, waiting: int = 40) -> None:
        """`add` takes an owner and files of (path, name) and tells of every page, like Engine.add; `limit` is files at
        once, `waiting` files of everybody that are on their way.
        """
        self._add, self._limit, self._most = add, limit, waiting
        self._lock = threading.Lock()
        self._told: OrderedDict[Scope, list[_Job]] = OrderedDict()
        self._lines: OrderedDict[Scope, deque[_Job]] = OrderedDict()
        """Files that are not through, of everybody who has any; the first of a line is being read or is next."""
        self._turn = 0
        self._thread: threading.Thread | None = None

    def running(self, owner: Scope) -> bool:
        """Whether a file of somebody is being read or waits for it."""
        with self._lock:
            return owner in self._lines

    def progress(self, owner: Scope) -> tuple[Progress, ...]:
        """The latest of every file of somebody's last upload, oldest first."""
        with self._lock:
            return tuple(job.progress for job in self._told.get(owner, ()))

    def submit(self, owner: Scope, files: Sequence[Path]) -> None:
        """Queue copies of uploaded files, by their own base names. Those over a limit are refused in words.

        What became of earlier files leaves the list, unless some are still on their way.
        """
        with self._lock:
            told = self._told.pop(owner, []) if owner in self._lines else []
            self._told[owner] = told
            for place, path in enumerate(files):
                job = _Job(path, Progress(path.name, State.WORKING))
                told.append(job)
                if refused := self._refusal(owner, place):
                    job.progress = Progress(path.name, State.REFUSED, message=refused)
                else:
                    self._lines.setdefault(owner, deque()).append(job)
            for job in told:
                if job.progress.state is State.REFUSED:
                    job.rest()
                    self._let_go(job.path)
            self._forget_lists()
            if self._lines and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="uploads", daemon=True)
                self._thread.start()

    def cancel(self, owner: Scope) -> None:
        """Stop somebody's files after the page at hand; those that wait are dropped. Pages that were told of stay.

        What is submitted afterwards is another matter and is read.
        """
        with self._lock:
            for job in list(self._lines.get(owner, ())):
                if job.begun:
                    job.stop = True
                    continue
                self._lines[owner].remove(job)
                job.progress = _stopped(job.progress)
                job.rest()
                self._let_go(job.path)
            if not self._lines.get(owner, True):
                del self._lines[owner]

    def forget(self, owner: Scope) -> None:
        """Stop somebody's files and no longer say what became of any."""
        self.cancel(owner)
        with self._lock:
            self._told.pop(owner, None)

    def discard(self, path: Path) -> None:
        """Delete a copy that was read elsewhere, unless a file on its way reads it too."""
        with self._lock:
            self._let_go(path)

    def on_their_way(self) -> frozenset[Path]:
        """Copies that are still to be read."""
        with self._lock:
            return frozenset(job.path for line in self._lines.values() for job in line)

    def wait(self, seconds: float) -> None:
        """Until nothing is on its way, at most so long."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _refusal(self, owner: Scope, place: int) -> str:
        mine, all_of_them = len(self._lines.get(owner, ())), sum(map(len, self._lines.values()))
        if place >= self._limit:
            return f"Only {count(self._limit, 'file')} at once: add this one again."
        if mine >= self._limit:
            return f"{count(mine, 'file')} of yours wait to be read already: add this one again when they are through."
        # Who has nothing in the line is let in, so that nobody's many files keep others out.
        if all_of_them >= self._most and (mine or len(self._lines) >= self._most):
            waiting = count(all_of_them, "file")
            return f"{waiting} of all visitors wait to be read already: add this one again in a minute."
        return ""

    def _forget_lists(self) -> None:
        idle = [owner for owner in self._told if owner not in self._lines]
        for owner in idle[: max(0, len(self._told) - MAX_REPORTS)]:
            del self._told[owner]

    # -- the thread

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._lines:
                    self._thread = None
                    return
                self._turn = (self._turn + 1) % min(len(self._lines), MAX_ACTIVE_OWNERS)
                owner = list(self._lines)[self._turn]
                job = self._lines[owner][0]
                begins, job.begun = not job.begun, True
            if not job.context.run(self._step, owner, job, begins):
                with self._lock:
                    self._end(owner, job)
            elif (
                job.steps_now >= STEPS_PER_TURN
                and job.progress.done > job.done_then
                and len(self._lines) > MAX_ACTIVE_OWNERS
            ):
                self._set_aside(owner, job)

    def _end(self, owner: Scope, job: _Job) -> None:
        line = self._lines[owner]
        line.remove(job)
        job.rest()
        if line:
            self._lines.move_to_end(owner)
        else:
            del self._lines[owner]
        self._let_go(job.path)

    def _set_aside(self, owner: Scope, job: _Job) -> None:
        """Let people who wait longer go first. Pages that were stored stay, so that this ends."""
        _close(job.steps)
        with self._lock:
            job.begun = False
            self._lines.move_to_end(owner)

    def _step(self, owner: Scope, job: _Job, begins: bool) -> bool:
        """Read one page on; whether there is more."""
        try:
            job.steps_now += 1
            if begins:
                job.steps_now, job.done_then = 1, job.progress.done
                job.steps = iter(self._add(owner, [(job.path, job.path.name)]))
            progress = next(job.steps, None)
        except SmartError as error:
            progress = replace(job.progress, state=State.REFUSED, message=error.sentence)
        except Exception:
            log.exception("an upload failed")
            progress = replace(job.progress, state=State.REFUSED, message=FILE_FAILED)
        if progress is not None:
            stopped = job.stop and progress.state is State.WORKING
            progress = _stopped(progress) if stopped else progress
            with self._lock:
                job.progress = progress
            if progress.state is State.WORKING:
                return True
        _close(job.steps)
        return False

    def _let_go(self, path: Path) -> None:
        """Delete a copy under the lock, unless a file on its way reads it: one may have been submitted twice."""
        if not any(job.path == path for line in self._lines.values() for job in line):
            delete_copy(path)


def delete_copy(path: Path) -> None:
    """Delete an upload's temporary copy and the folder it had to itself."""
    try:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
    except OSError:  # something else was put into it
        log.debug("a temporary folder stays until the demo ends")


def _close(steps: Iterator[Progress]) -> None:
    """End a file's reading, which writes down what it has to; that this fails is not the next file's trouble."""
    try:
        getattr(steps, "close", lambda: None)()
    except Exception:
        log.exception("an upload could not be ended")


def _stopped(progress: Progress) -> Progress:
    if not progress.total:
        return replace(progress, state=State.REFUSED, message="Stopped before it was read.", seconds_left=None)
    if not progress.done:
        return replace(progress, state=State.REFUSED, message="Stopped before its first page.", seconds_left=None)
    return replace(progress, state=State.DONE, message="Stopped; add it again to go on.", seconds_left=None)
