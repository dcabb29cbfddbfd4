"""An app around the word backbone, for fast tests of the tab Under the hood with real pages."""

from contextlib import AbstractContextManager
from pathlib import Path

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.errors import SmartError
from smart_demo.types import LOCAL
from smart_demo.ui.api import SearchEndpoint
from smart_demo.ui.costs_tab import CostsTab
from smart_demo.ui.handlers import Handlers
from tests import apps
from tests.apps import handlers_of, open_words, settings_below
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


def started(folder: Path, *, main: WordBackbone | SmartError | None = None, **changes: object) -> Handlers:
    """Return handlers over two sample pages, not prepared yet in a new folder. The caller closes their engine."""
    samples = folder / "samples"
    samples.mkdir(parents=True, exist_ok=True)
    write_pdf(samples / "tides.pdf", "tide table harbour", "tide gauge")
    return handlers_of(open_words(settings_below(folder, **changes), main, WordBackbone()))


def add_own(handlers: Handlers, folder: Path) -> None:
    """Add a document of one page to the local library."""
    list(handlers.engine.add(LOCAL, [(write_pdf(folder / "mine.pdf", "harbour master"), "mine.pdf")]))


def under(handlers: Handlers) -> CostsTab:
    """Return the server functions of the tab."""
    return CostsTab(handlers, SearchEndpoint(handlers))


def served(handlers: Handlers) -> AbstractContextManager[str]:
    """Launch the app in this process and yield its address."""
    return apps.served(handlers.engine, handlers.preparation)
