"""The web app: settings -> engine -> `demo`. `python app.py` serves it, on a Space too."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

from smart_demo.server.cleanup import create_work_folder
from smart_demo.server.process_memory import limit_malloc_arenas, start_periodic_release

limit_malloc_arenas()  # before any thread starts
ON_ZEROGPU = bool(os.environ.get("SPACES_ZERO_GPU"))
if ON_ZEROGPU:
    import spaces  # noqa: F401 - patches torch, so it must be imported before anything that imports torch

# Before Gradio is imported: uploads go to a folder of this process alone, and Gradio sends no analytics.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# Gradio analyses its last 10,000 events after each event, for a monitor we do not serve: 8 ms of a core (measured).
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
work = create_work_folder()
os.environ.setdefault("GRADIO_TEMP_DIR", str(work / "uploads"))

from gradio.utils import get_upload_folder  # noqa: E402

from smart_demo.config import read_settings  # noqa: E402
from smart_demo.engine import open_engine  # noqa: E402
from smart_demo.errors import SmartError  # noqa: E402
from smart_demo.server.cleanup import Cleanup  # noqa: E402
from smart_demo.server.picture_addresses import PictureAddresses  # noqa: E402
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
cleanup = Cleanup(engine, Path(get_upload_folder()))
atexit.register(cleanup.stop)  # before engine.close: the last registered runs first
preparation = SamplePreparation(engine)
preparation.add_search_listener(engine.start_answer_check)
picture_addresses = PictureAddresses(engine)
demo = build_app(engine, preparation, picture_addresses, cleanup)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # as Ctrl-C
    if ON_ZEROGPU:
        engine.backbones.main()  # functions that borrow a GPU must be decorated before the page is served
    demo.queue(max_size=settings.quotas.queue_size, default_concurrency_limit=4)
    demo.launch(**launch_options(settings, picture_addresses), prevent_thread_lock=True)
    # Everything else starts after the page is served, what visitors wait for first.
    if not ON_ZEROGPU:
        engine.backbones.load_in_background(engine.resume_reencoding)
    preparation.start()
    cleanup.start()
    start_periodic_release()
    engine.library.start_background_tasks()
    with suppress(SystemExit):
        demo.block_thread()
    cleanup.stop()
    engine.close()
    shutil.rmtree(work, ignore_errors=True)
    sys.stdout.flush()
    os._exit(0)  # everything is closed; freeing the models would take seconds
