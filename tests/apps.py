"""Engines and apps for tests: an engine over a folder, the page served by this process, and `python app.py`.

The page of this process is made as `app.py` makes it, except that the samples are encoded beforehand and that the
backbone counts what it encodes. It starts three times as fast as a process of its own, because everything is imported
already. Tests that kill and restart the app need the process.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest import mock

from smart_demo import cli
from smart_demo.backbones import registry
from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.base import Backbone
from smart_demo.backbones.registry import BUNDLED_BACKBONE, BackboneChoice, Backbones
from smart_demo.config import Settings, read_settings
from smart_demo.engine import Engine
from smart_demo.errors import PageRefused, SmartError
from smart_demo.server.picture_addresses import PictureAddresses
from smart_demo.store.library import Library
from smart_demo.types import Encoder, Page, PageEncoding, Query, QueryEncoding
from smart_demo.ui.app import build_app
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.library_tab import SamplePreparation
from smart_demo.ui.theme import launch_options
from smart_demo.ui.upload_queue import UploadQueue
from tests.documents import write_pdf

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 40_000
"""Milliseconds for what runs a model on busy cores; everything else is far quicker."""


# -- engines


def settings_below(folder: Path, **changes: object) -> Settings:
    """Return settings with the folders `data`, `index` and `samples` of `folder`."""
    folders = {"data_dir": folder / "data", "index_dir": folder / "index", "samples": folder / "samples"}
    return Settings(**folders | changes)


def open_words(
    settings: Settings,
    main: Backbone | SmartError | None = None,
    bundled: Backbone | None = None,
    *,
    library: Library | None = None,
    fall_back: bool = True,
) -> Engine:
    """Open an engine whose chosen backbone is `main`, by default the one that counts words.

    main: an error is raised when it is to be loaded. bundled: the backbone of the samples until `main` has encoded
    them, by default the same. library: an open library; the engine closes it.
    """
    main = main or WordBackbone()
    models = {"words": main, BUNDLED_BACKBONE: bundled or main}

    def load(name: str) -> Backbone:
        if isinstance(model := models[name], SmartError):
            raise model
        return model

    backbones = Backbones(BackboneChoice("words", "a test", explicit=True), load, fall_back=fall_back)
    library = library or Library.open(settings.data_dir, settings.index_dir, settings.codec, settings.candidates)
    return Engine(library, backbones, settings)


def handlers_of(engine: Engine) -> Handlers:
    """Return the page's handlers over an engine."""
    return Handlers(engine, UploadQueue(engine.add, 20), SamplePreparation(engine), PictureAddresses(engine))


# -- the page of this process


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
    """A running page: its address and folders, its engine, and the backbone that answers it."""

    def __init__(self, url: str, engine: Engine, backbone: Counting, uploads: Path) -> None:
        self.url, self.engine, self.backbone = url, engine, backbone
        self.folder, self.samples, self.uploads = engine.settings.data_dir, engine.settings.samples, uploads


@contextmanager
def served(engine: Engine, preparation: SamplePreparation | None = None) -> Iterator[str]:
    """Launch the page over an engine and yield its address, with a slash at its end. The caller closes the engine."""
    picture_addresses = PictureAddresses(engine)
    page = build_app(engine, preparation or SamplePreparation(engine), picture_addresses)
    page.queue(max_size=20, default_concurrency_limit=4)
    options = launch_options(engine.settings, picture_addresses)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_port=free_port(), **options)
    try:
        yield url
    finally:
        page.close(verbose=False)


@contextmanager
def served_app(backbone: str, samples: Path, data: Path, **settings: str) -> Iterator[Served]:
    """Serve the page with a backbone as SMART_BACKBONE names it, over samples that it encodes first.

    Uploads go to a folder beside `data`.
    """
    env = {"SMART_BACKBONE": backbone, "SMART_SAMPLE_DOCS": str(samples), "SMART_DATA_DIR": str(data)} | settings
    uploads = data.with_name(f"{data.name}-uploads")
    uploads.mkdir(parents=True, exist_ok=True)
    _encode_samples(backbone, env)
    read = read_settings(env)
    choice = registry.choose_backbone(read)
    backbones = Backbones(choice, lambda name: Counting(registry.load_backbone(name, read)), fall_back=False)
    library = Library.open(read.data_dir, read.index_dir, read.codec, read.candidates)
    with Engine(library, backbones, read) as engine, mock.patch.dict(os.environ, GRADIO_TEMP_DIR=str(uploads)):
        answering = engine.backbones.main()
        assert isinstance(answering, Counting)
        with served(engine) as url:
            yield Served(url.rstrip("/"), engine, answering, uploads)


def serve_documents(
    folder: Path, documents: Mapping[str, Sequence[str]], backbone: str = "minilm", **settings: str
) -> AbstractContextManager[Served]:
    """Serve the page over PDFs, given by name with the text of each page, in this process."""
    samples = folder / "samples"
    samples.mkdir()
    for name, pages in documents.items():
        write_pdf(samples / name, *pages)
    return served_app(backbone, samples, folder / "data", **settings)


def _encode_samples(backbone: str, env: dict[str, str]) -> None:
    before = signal.getsignal(signal.SIGTERM)  # the command sets its own, which this process must not have
    try:
        assert cli.main(["samples", "--backbone", backbone], env) == 0
    finally:
        signal.signal(signal.SIGTERM, before)


def free_port() -> int:
    """Return a port that no program uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# -- the page of its own process


class App:
    """`python app.py` in a process of its own, on a free port, with its own data folder."""

    def __init__(self, folder: Path, samples: Path, **settings: str) -> None:
        self.folder, self.samples, self.log_file = folder, samples, folder.with_name(f"{folder.name}.log")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("SMART_", "GRADIO_"))}
        self.env |= {
            "SMART_DATA_DIR": str(folder),
            "SMART_SAMPLE_DOCS": str(samples),
            "SMART_BACKBONE": "minilm",
            "GRADIO_SERVER_PORT": str(self.port),
            "OMP_NUM_THREADS": "1",
        } | settings
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when the page answers."""
        with self.log_file.open("ab") as log:
            command = [sys.executable, "app.py"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=subprocess.DEVNULL, stderr=log)
        end = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log
            try:
                with urllib.request.urlopen(self.url, timeout=5):
                    return
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.02)
        raise AssertionError(f"the page never answered:\n{self.log}")

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    @property
    def pid(self) -> int:
        """Process id of the running app."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything that it wrote to standard error."""
        return self.log_file.read_text(encoding="utf-8") if self.log_file.exists() else ""


@contextmanager
def running_app(samples: Path, **settings: str) -> Iterator[App]:
    """Run an app over some documents, which it encodes first, with a data folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder) / "data", samples, **settings)
        app.start()
        try:
            yield app
        finally:
            app.stop()
