"""Steps that are taken ahead, in a thread of their own, so that whoever uses them does not wait for their work."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class _End:
    """No more steps, and what ended them."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(steps: Generator[T], most: int) -> Generator[T]:
    """What `steps` yields, in order, up to `most` of it before it is asked for; its errors come in their place.

    Closing this waits for the step that is being taken and closes `steps`, so nothing goes on behind it.
    """
    done, room, over = SimpleQueue[T | _End](), threading.Semaphore(most), threading.Event()

    def work() -> None:
        try:
            with closing(steps):
                # Room comes first: what waits is bounded, and so is its memory.
                while room.acquire() and not over.is_set():
                    done.put(next(steps))
        except StopIteration:
            done.put(_End())
        except BaseException as error:  # noqa: BLE001 (whatever it is, whoever takes the steps hears of it)
            done.put(_End(error))

    worker = threading.Thread(target=work, name="ahead", daemon=True)
    worker.start()
    try:
        while not isinstance(step := done.get(), _End):
            room.release()
            yield step
        if step.error is not None:
            raise step.error
    finally:
        over.set()
        room.release()
        worker.join()
