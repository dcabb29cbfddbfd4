"""The queue of uploaded files, which one thread of the process adds to libraries.

A reload or a closed tab stops nothing. Owners take turns page by page, so a large file of one owner does not delay the
others. Knows nothing of markup.
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
"""Owners whose files are read by turns, and the steps after which one of them yields to an owner who waits longer."""
MAX_REPORTS = 200
"""Owners for whom the outcome of their last upload is stored."""


@dataclass(eq=False)
class _Job:
    path: Path
    progress: Progress
    context: Context = field(default_factory=copy_context)
    """Context of the request that submitted the file, so that a borrowed GPU is charged to its visitor."""
    started: bool = False
    """Whether it is being read. A file that was set aside starts again at its next page."""
    stopping: bool = False
    turn_steps: int = 0
    """Steps since it was last started."""
    turn_start: int = 0
    """Number of its pages in the library when it was last started."""
    steps: Iterator[Progress] = field(default_factory=lambda: iter(()))

    def release(self) -> None:
        """Release its request and its pages: a finished job is stored for its outcome only."""
        self.context, self.steps = Context(), iter(())


class UploadQueue:
    """Files of all owners that wait to be read, and the progress of each. A file is a copy and is deleted when done."""

    def __init__(self, add: AddFiles, max_files: int, max_waiting: int = 40) -> None:
        """Create an empty queue.

        add: adds files of (path, name) to an owner's library and yields the progress after every page, as Engine.add.
        max_files: files of one upload, and of one owner in the queue.
        max_waiting: files of all owners in the queue.
        """
        self._add, self._max_files, self._max_waiting = add, max_files, max_waiting
        self._lock = threading.Lock()
        self._reports: OrderedDict[Scope, list[_Job]] = OrderedDict()
        self._queues: OrderedDict[Scope, deque[_Job]] = OrderedDict()
        """Unfinished files of each owner who has any; the first is being read or is next."""
        self._turn = 0
        self._thread: threading.Thread | None = None

    def running(self, owner: Scope) -> bool:
        """Return whether a file of the owner is being read or waits."""
        with self._lock:
            return owner in self._queues

    def progress(self, owner: Scope) -> tuple[Progress, ...]:
        """Return the latest progress of every file of the owner's last upload, oldest first."""
        with self._lock:
            return tuple(job.progress for job in self._reports.get(owner, ()))

    def submit(self, owner: Scope, files: Sequence[Path]) -> None:
        """Queue copies of uploaded files under their base names. A file over a limit is refused with a message.

        Replaces the report of the owner's earlier upload, unless some of its files are unfinished.
        """
        with self._lock:
            report = self._reports.pop(owner, []) if owner in self._queues else []
            self._reports[owner] = report
            for index, path in enumerate(files):
                job = _Job(path, Progress(path.name, State.WORKING))
                report.append(job)
                if refusal := self._refusal(owner, index):
                    job.progress = Progress(path.name, State.REFUSED, message=refusal)
                else:
                    self._queues.setdefault(owner, deque()).append(job)
            for job in report:
                if job.progress.state is State.REFUSED:
                    job.release()
                    self._delete_unless_queued(job.path)
            self._evict_reports()
            if self._queues and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="uploads", daemon=True)
                self._thread.start()

    def cancel(self, owner: Scope) -> None:
        """Stop the owner's files: the one being read after its current page, the others at once. Added pages stay.

        A file submitted afterwards is read.
        """
        with self._lock:
            for job in list(self._queues.get(owner, ())):
                if job.started:
                    job.stopping = True
                    continue
                self._queues[owner].remove(job)
                job.progress = _stopped(job.progress)
                job.release()
                self._delete_unless_queued(job.path)
            if not self._queues.get(owner, True):
                del self._queues[owner]

    def delete(self, owner: Scope) -> None:
        """Stop the owner's files and delete their report."""
        self.cancel(owner)
        with self._lock:
            self._reports.pop(owner, None)

    def delete_copy(self, path: Path) -> None:
        """Delete a copy that was read elsewhere, unless it is queued too."""
        with self._lock:
            self._delete_unless_queued(path)

    def unread_paths(self) -> frozenset[Path]:
        """Return the copies that are unfinished."""
        with self._lock:
            return frozenset(job.path for queue in self._queues.values() for job in queue)

    def wait(self, seconds: float) -> None:
        """Wait until the queue is empty, at most `seconds`."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _refusal(self, owner: Scope, index: int) -> str:
        """Return why the file at `index` of an upload cannot be queued, or an empty text."""
        own, total = len(self._queues.get(owner, ())), sum(map(len, self._queues.values()))
        if index >= self._max_files:
            return f"Only {count(self._max_files, 'file')} at once: add this one again."
        if own >= self._max_files:
            return f"{count(own, 'file')} of yours wait to be read already: add this one again when they are done."
        # An owner with an empty queue may add one file, so that other owners' many files do not keep them out.
        if total >= self._max_waiting and (own or len(self._queues) >= self._max_waiting):
            return f"{count(total, 'file')} of all visitors wait to be read already: add this one again in a minute."
        return ""

    def _evict_reports(self) -> None:
        idle = [owner for owner in self._reports if owner not in self._queues]
        for owner in idle[: max(0, len(self._reports) - MAX_REPORTS)]:
            del self._reports[owner]

    def _delete_unless_queued(self, path: Path) -> None:
        """Delete a copy under the lock, unless it is queued: a path may have been submitted twice."""
        if not any(job.path == path for queue in self._queues.values() for job in queue):
            delete_copy(path)

    # The rest runs in the thread.

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queues:
                    self._thread = None
                    return
                self._turn = (self._turn + 1) % min(len(self._queues), MAX_ACTIVE_OWNERS)
                owner = list(self._queues)[self._turn]
                job = self._queues[owner][0]
                starting, job.started = not job.started, True
            if not job.context.run(self._step, owner, job, starting):
                with self._lock:
                    self._finish(owner, job)
            elif (
                job.turn_steps >= STEPS_PER_TURN
                and job.progress.done > job.turn_start
                and len(self._queues) > MAX_ACTIVE_OWNERS
            ):
                self._set_aside(owner, job)

    def _step(self, owner: Scope, job: _Job, starting: bool) -> bool:
        """Read the file's next page. Return whether there is more to read."""
        try:
            job.turn_steps += 1
            if starting:
                job.turn_steps, job.turn_start = 1, job.progress.done
                job.steps = iter(self._add(owner, [(job.path, job.path.name)]))
            progress = next(job.steps, None)
        except SmartError as error:
            progress = replace(job.progress, state=State.REFUSED, message=error.sentence)
        except Exception:
            log.exception("an upload failed")
            progress = replace(job.progress, state=State.REFUSED, message=FILE_FAILED)
        if progress is not None:
            stopped = job.stopping and progress.state is State.WORKING
            progress = _stopped(progress) if stopped else progress
            with self._lock:
                job.progress = progress
            if progress.state is State.WORKING:
                return True
        _close(job.steps)
        return False

    def _finish(self, owner: Scope, job: _Job) -> None:
        queue = self._queues[owner]
        queue.remove(job)
        job.release()
        if queue:
            self._queues.move_to_end(owner)
        else:
            del self._queues[owner]
        self._delete_unless_queued(job.path)

    def _set_aside(self, owner: Scope, job: _Job) -> None:
        """Move the owner behind those who wait longer. Added pages stay, so every file is finished in the end."""
        _close(job.steps)
        with self._lock:
            job.started = False
            self._queues.move_to_end(owner)


def delete_copy(path: Path) -> None:
    """Delete an upload's temporary copy and its directory."""
    try:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
    except OSError:  # the directory holds another file
        log.debug("a temporary folder stays until the demo ends")


def _close(steps: Iterator[Progress]) -> None:
    """Close a file's generator, which stores what it has to. An exception is logged and does not stop the next file."""
    try:
        getattr(steps, "close", lambda: None)()
    except Exception:
        log.exception("an upload could not be ended")


def _stopped(progress: Progress) -> Progress:
    """Return the final progress of a file that was stopped."""
    if not progress.total:
        return replace(progress, state=State.REFUSED, message="Stopped before it was read.", seconds_left=None)
    if not progress.done:
        return replace(progress, state=State.REFUSED, message="Stopped before its first page.", seconds_left=None)
    return replace(progress, state=State.DONE, message="Stopped. Add it again to continue.", seconds_left=None)
