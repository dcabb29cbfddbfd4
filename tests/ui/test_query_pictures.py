"""Decoding of uploaded pictures: which visitors wait."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from smart_demo.config import Limits
from smart_demo.errors import InputRefused
from smart_demo.types import Scope
from smart_demo.ui.query_input import QueryPictures


def test_a_slow_picture_delays_only_its_own_visitor(tmp_path, monkeypatch):
    """A visitor decodes one picture at a time, and an upload is refused if too many are being decoded."""
    slow, begun, who = threading.Event(), threading.Semaphore(0), threading.local()

    def decode(path, _):
        begun.release()
        if path.name == "slow.png":
            assert slow.wait(60)
        return np.zeros((40, 40, 3), np.uint8)

    monkeypatch.setattr("smart_demo.ui.query_input.ingest.decode_image_file", decode)
    kept = QueryPictures(None, None, Limits(), lambda: who.is_, timeout=0.0)

    def keep(name, owner):
        who.is_ = Scope(owner)
        return kept.store(tmp_path / name)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(keep, "slow.png", "a")
        begun.acquire()
        with pytest.raises(InputRefused, match="Other pictures"):
            keep("quick.png", "a")
        assert keep("quick.png", "b").startswith("kept:")
        second = threads.submit(keep, "slow.png", "b")
        begun.acquire()  # of the quick one
        begun.acquire()
        with pytest.raises(InputRefused, match="Other pictures"):
            keep("quick.png", "c")
        slow.set()
        assert {first.result()[:5], second.result()[:5]} == {"kept:"}
    assert keep("quick.png", "c").startswith("kept:")
