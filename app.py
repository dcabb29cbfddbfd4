"""The page: settings -> engine -> `demo`. `python app.py` serves it; so does a Space."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import sys
from contextlib import suppress

from smart_demo.server.cleanup import create_work_folder
from smart_demo.server.process_memory import start_periodic_release, limit_malloc_arenas

limit_malloc_arenas()  # before anything makes threads
ON_ZEROGPU = bool(os.environ.get("SPACES_ZERO_GPU"))
if ON_ZEROGPU:
    import spaces  # noqa: F401 - patches torch, so it comes before everything that imports it

# Before Gradio is imported: uploads are held in a folder of this process alone, and nothing is reported to anyone.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# Gradio sums up its last 10,000 events after every one, for a monitor that is not served: 8 ms of a core (measured).
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
work = create_work_folder()
os.environ.setdefault("GRADIO_TEMP_DIR", str(work / "uploads"))

from smart_demo.config import read_settings  # noqa: E402
from smart_demo.engine import open_engine  # noqa: E402
from smart_demo.errors import SmartError  # noqa: E402
from smart_demo.server.cleanup import Cleanup  # noqa: E402
from smart_demo.ui.app import build_app  # noqa: E402
from smart_demo.ui.library_tab import SamplePreparation  # noqa: E402
from smart_demo.ui.theme import launch_options  # noqa: E402

logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
try:
    settings = read_settings(os.environ)
    engine = open_engine(settings, background=True)
except SmartError as error:
    sys.exit(error.sentence)
atexit.register(engine.close)
janitor = Cleanup(engine)
atexit.register(janitor.stop)  # before the engine is closed: last registered, first called
preparation = SamplePreparation(engine)
demo = build_app(engine, preparation, janitor)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # as Ctrl-C
    if ON_ZEROGPU:
        engine.backbones.main()  # what borrows a GPU must be decorated before the page is served
    demo.queue(max_size=settings.quotas.queue_size, default_concurrency_limit=4)
    demo.launch(**launch_options(settings), prevent_thread_lock=True)
    # The page is served: everything else comes after it, what people wait for first.
    if not ON_ZEROGPU:
        engine.backbones.load_behind()
    preparation.start()
    janitor.start()
    start_periodic_release()
    engine.library.start_background_tasks()
    with suppress(SystemExit):
        demo.block_thread()
    janitor.stop()
    engine.close()
    shutil.rmtree(work, ignore_errors=True)
    sys.stdout.flush()
    os._exit(0)  # all is in order, and taking models apart would take seconds
