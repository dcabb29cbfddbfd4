"""An app around the word backbone, for fast tests of the tab Under the hood with real pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.registry import BackboneChoice
from smart_demo.backbones.serving import EMBEDDED, Backbones
from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.store.library import Library
from smart_demo.types import LOCAL
from smart_demo.ui import theme
from smart_demo.ui.api import SearchEndpoint
from smart_demo.ui.app import build_app
from smart_demo.ui.costs_tab import CostsTab
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.library_tab import SamplePreparation
from smart_demo.ui.upload_queue import UploadQueue
from tests.documents import write_pdf

HOSTILE_QUERIES = [
    'don\'t "stop"',
    "`touch x` $(touch x) ${HOME} $HOME",
    "two\nlines\r\nand\ta tab",
    "'; touch x; '",
    "back\\slash \\n \\0101 %s %b %%",
    "größe 文書 🔎 ﷺ",
    "\u202egpj.exe \x1b[31mred\x07 \u2028 a\u00a0b",
    "-x",
    "--json",
    "--",
    "* ? [a-z] ~ !! # & | < > ( ) { }",
    '"><img src=x onerror=alert(1)> </script> {{x}}',
    "</pre><b>",
    "@/etc/passwd",
    "long " * 2_000,
]


def started(folder: Path, *, main: WordBackbone | None = None, **changes: object) -> Handlers:
    """Return handlers over two sample pages, not prepared yet in a new folder. The caller closes their engine."""
    samples = folder / "samples"
    samples.mkdir(parents=True, exist_ok=True)
    write_pdf(samples / "tides.pdf", "tide table harbour", "tide gauge")
    words = WordBackbone()
    models = {"words": main or words, EMBEDDED: words}
    settings = Settings(data_dir=folder / "data", index_dir=folder / "index", samples=samples, **changes)
    library = Library.open(settings.data_dir, settings.index_dir, settings.codec)
    backbones = Backbones(BackboneChoice("words", "a test", explicit=True), models.__getitem__, fall_back=True)
    engine = Engine(library, backbones, settings)
    return Handlers(engine, UploadQueue(engine.add, 20), SamplePreparation(engine))


def add_own(handlers: Handlers, folder: Path) -> None:
    """Add a document of one page to the local library."""
    list(handlers.engine.add(LOCAL, [(write_pdf(folder / "mine.pdf", "harbour master"), "mine.pdf")]))


def under(handlers: Handlers) -> CostsTab:
    """Return the server functions of the tab."""
    return CostsTab(handlers, SearchEndpoint(handlers))


@contextmanager
def served(handlers: Handlers) -> Iterator[str]:
    """Launch the app in this process and yield its address."""
    app = build_app(handlers.engine, handlers.preparation)
    app.queue(max_size=20, default_concurrency_limit=4)
    options = theme.launch_options(handlers.engine.settings)
    _, url, _ = app.launch(**options, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    try:
        yield url
    finally:
        app.close(verbose=False)
