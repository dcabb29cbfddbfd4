"""The page served by the test's own process, so that what happens in the engine can be asked while a browser drives it.

Everything is made as `app.py` makes it, but that the backbone counts what it is asked to encode, and that the samples
are encoded beforehand by the command that does it for a GPU.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from smart_demo import cli
from smart_demo.backbones import registry
from smart_demo.backbones.base import Backbone
from smart_demo.backbones.serving import Backbones
from smart_demo.config import read_settings
from smart_demo.engine import Engine
from smart_demo.errors import PageRefused
from smart_demo.store.library import Library
from smart_demo.types import Encoder, Page, PageEncoding, Query, QueryEncoding
from smart_demo.ui.app import build_app
from smart_demo.ui.library_tab import SamplePreparation
from smart_demo.ui.theme import launch_options


class Counting:
    """A `Backbone` that passes everything on and counts it."""

    def __init__(self, inner: Backbone) -> None:
        self.inner = inner
        self.pages = self.queries = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    @property
    def encoder(self) -> Encoder:
        return self.inner.encoder

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        self.pages += len(pages)
        return self.inner.encode_pages(pages)

    def encode_query(self, query: Query) -> QueryEncoding:
        self.queries += 1
        return self.inner.encode_query(query)


class Served:
    """A running page: where it is, its engine, and the backbone that answers it."""

    def __init__(self, url: str, engine: Engine, backbone: Counting) -> None:
        self.url, self.engine, self.backbone = url, engine, backbone


@contextmanager
def served_app(backbone: str, samples: Path, data: Path, **settings: str) -> Iterator[Served]:
    """`backbone` is what SMART_BACKBONE takes; `samples` are encoded by it first, as `smart_demo samples` does."""
    env = {"SMART_BACKBONE": backbone, "SMART_SAMPLE_DOCS": str(samples), "SMART_DATA_DIR": str(data)} | settings
    _encode_samples(backbone, env)
    read = read_settings(env)
    backbones = Backbones(
        registry.choose_backbone(read), lambda name: Counting(registry.load_backbone(name, read)), fall_back=False
    )  # fmt: skip
    engine = Engine(Library.open(read.data_dir, read.index_dir, read.codec, read.candidates), backbones, read)
    app = build_app(engine, SamplePreparation(engine))
    try:
        answering = engine.backbones.main()
        assert isinstance(answering, Counting)
        queue = app.queue(max_size=20, default_concurrency_limit=4)
        _, url, _ = queue.launch(prevent_thread_lock=True, quiet=True, server_port=_free_port(), **launch_options(read))
        yield Served(url.rstrip("/"), engine, answering)
    finally:
        app.close(verbose=False)
        engine.close()


def _encode_samples(backbone: str, env: dict[str, str]) -> None:
    before = signal.getsignal(signal.SIGTERM)  # the command ends cleanly when told to stop; this process is not it
    try:
        assert cli.main(["samples", "--backbone", backbone], env) == 0
    finally:
        signal.signal(signal.SIGTERM, before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
