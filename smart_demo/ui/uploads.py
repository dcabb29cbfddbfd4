"""Files on their way into the library. One thread of the process does the work, so a reload or a closed tab stops
nothing; the page only looks on. Knows nothing of markup.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smart_demo.errors import SmartError
from smart_demo.types import Progress, State
from smart_demo.ui.wording import count

log = logging.getLogger(__name__)
Add = Callable[[Sequence[tuple[Path, str]]], Iterator[Progress]]
BROKEN = "Something went wrong with this file; the log of the demo says what."


@dataclass(eq=False)
class _Job:
    path: Path
    progress: Progress


class Uploads:
    """A queue of files and what became of each. Files are deleted as soon as they are through: they are copies."""

    def __init__(self, add: Add, limit: int) -> None:
        """`add` takes files of (path, name) and tells of every page, like Engine.add; `limit` is files at once."""
        self._add, self._limit = add, limit
        self._lock = threading.Lock()
        self._jobs: list[_Job] = []
        self._waiting: deque[_Job] = deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._version = 0

    @property
    def running(self) -> bool:
        """Whether a file is being read or waits for it."""
        with self._lock:
            return self._thread is not None

    @property
    def version(self) -> int:
        """Changes with every step."""
        return self._version

    @property
    def progress(self) -> tuple[Progress, ...]:
        """The latest of every file, oldest first."""
        with self._lock:
            return tuple(job.progress for job in self._jobs)

    def submit(self, files: Sequence[Path]) -> None:
        """Queue copies of uploaded files, by their own base names. Those over the limit are refused in words.

        What became of earlier files leaves the list, unless some are still on their way.
        """
        refused = f"Only {count(self._limit, 'file')} at once: add this one again."
        with self._lock:
            if self._thread is None:
                self._jobs.clear()
            for place, path in enumerate(files):
                job = _Job(path, Progress(path.name, State.WORKING))
                self._jobs.append(job)
                if place < self._limit:
                    self._waiting.append(job)
                else:
                    job.progress = Progress(path.name, State.REFUSED, message=refused)
            for path in files[self._limit :]:
                self._let_go(path)
            self._version += 1
            if self._waiting and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="uploads", daemon=True)
                self._thread.start()

    def cancel(self) -> None:
        """Stop after the page at hand; files that wait are dropped. Pages that were told of stay.

        What is submitted afterwards is another matter and is read.
        """
        with self._lock:
            dropped = list(self._waiting)
            self._waiting.clear()
            for job in dropped:
                job.progress = replace(job.progress, state=State.REFUSED, message="Stopped before it was read.")
            for job in dropped:
                self._let_go(job.path)
            self._version += 1
            self._stop.set()

    def discard(self, path: Path) -> None:
        """Delete a copy that was read elsewhere, unless a file on its way reads it too."""
        with self._lock:
            self._let_go(path)

    def wait(self, seconds: float) -> None:
        """Until the queue is empty, at most so long."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    self._version += 1
                    return
                job = self._waiting.popleft()
                self._stop.clear()
            try:
                self._run(job)
            finally:
                with self._lock:
                    self._let_go(job.path)

    def _let_go(self, path: Path) -> None:
        """Delete a copy under the lock, unless a file on its way reads it: Gradio keeps equal files at one path."""
        if not any(job.path == path and job.progress.state is State.WORKING for job in self._jobs):
            discard(path)

    def _run(self, job: _Job) -> None:
        steps = iter(self._add([(job.path, job.path.name)]))
        try:
            for progress in steps:
                self._tell(job, progress)
                if self._stop.is_set() and progress.state is State.WORKING:
                    self._tell(job, _stopped(progress))
                    return
        except SmartError as error:
            self._tell(job, replace(job.progress, state=State.REFUSED, message=error.sentence))
        except Exception:
            log.exception("an upload failed")
            self._tell(job, replace(job.progress, state=State.REFUSED, message=BROKEN))
        finally:
            close = getattr(steps, "close", None)
            if close is not None:
                close()

    def _tell(self, job: _Job, progress: Progress) -> None:
        with self._lock:
            job.progress = progress
            self._version += 1


def discard(path: Path) -> None:
    """Delete an upload's temporary copy and the folder it had to itself."""
    try:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
    except OSError:  # another upload with the same bytes shares the folder
        log.debug("a temporary folder stays until the demo ends")


def _stopped(progress: Progress) -> Progress:
    if not progress.done:
        return replace(progress, state=State.REFUSED, message="Stopped before its first page.", seconds_left=None)
    return replace(progress, state=State.DONE, message="Stopped; add it again to go on.", seconds_left=None)
