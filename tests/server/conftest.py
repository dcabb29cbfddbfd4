"""The app that tests of the server ask over sockets, its visitors, and the folder of its uploads."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.documents import write_pdf
from tests.server.visitor import Visitor
from tests.ui.served_app import Served, served_app


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder in which Gradio stores uploads during a file of tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("uploads")
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, uploads: Path) -> Iterator[Served]:
    """Serve one sample page with the word backbone, under the `SETTINGS` of the file of tests."""
    samples = tmp_path_factory.mktemp("samples")
    write_pdf(samples / "tides.pdf", "tide tables of the harbour")
    with served_app("words", samples, tmp_path_factory.mktemp("data"), **request.module.SETTINGS) as served:
        yield served


@pytest.fixture
def new_visitor(app: Served) -> Iterator[Callable[..., Visitor]]:
    """Yield a function that returns a new visitor, or one with a known secret, who leaves after the test."""
    with ExitStack() as stack:
        yield lambda secret=None: stack.enter_context(closing(Visitor(app.url, secret)))
