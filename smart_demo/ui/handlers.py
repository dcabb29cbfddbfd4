"""What the page's events do. Every argument is doubted: private endpoints can still be called by anyone with curl.

No markup is made here and no component touched; `build` connects these to both.
"""

from __future__ import annotations

import base64
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from smart_demo.engine import Engine
from smart_demo.errors import InputRefused, LibraryError, SmartError
from smart_demo.samples import Samples
from smart_demo.serving import Serving
from smart_demo.types import (
    LATE,
    LOCAL,
    POOLED,
    SAMPLES,
    SMART,
    Document,
    Method,
    PageId,
    Query,
    Scope,
    StoredPage,
)
from smart_demo.ui import explaining, library_panel, picture_tag, presenting, results
from smart_demo.ui.asking import CHOICES, ON_BOTH, ON_MINE, ON_SAMPLES, Asked, address
from smart_demo.ui.pictures import QueryPictures
from smart_demo.ui.preparation import Preparation
from smart_demo.ui.references import region
from smart_demo.ui.replies import answered
from smart_demo.ui.stories import told
from smart_demo.ui.uploads import Uploads
from smart_demo.ui.wording import size

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pulse:
    """All that changes behind the page without anybody's doing."""

    serving: Serving
    ready: bool
    samples: Samples | None
    preparing: bool
    uploading: bool
    versions: tuple[int, int]
    """Of the library and of the uploads."""
    trouble: str

    @property
    def busy(self) -> bool:
        """Whether something may still change by itself."""
        return self.preparing or self.uploading or not self.ready

    @property
    def page(self) -> str:
        """Differs whenever anything around the answer does."""
        return repr(self)

    @property
    def answers(self) -> str:
        """Differs whenever the answer may; during an upload it waits for the end."""
        return repr((self.ready, self.samples, self.trouble, None if self.uploading else self.versions[0]))


class Handlers:
    """Answers of one app, around one engine."""

    def __init__(self, engine: Engine, uploads: Uploads, preparation: Preparation) -> None:
        self.engine, self.uploads, self.preparation = engine, uploads, preparation
        self.pictures = QueryPictures(self.stored, engine.library.picture, engine.settings.limits)

    @property
    def private(self) -> bool:
        """Whether this page may see and change the `local` library."""
        return self.engine.settings.uploads and not self.engine.settings.public

    def visible(self, scope: Scope) -> bool:
        """Whether pages of a scope may be shown to whoever asks."""
        return scope == SAMPLES or (scope == LOCAL and self.private)

    def samples(self) -> Samples | None:
        """How far the samples are; None while not even the embedded model could be loaded."""
        try:
            return self.engine.samples()
        except SmartError as error:
            self.preparation.trouble = self.preparation.trouble or error.sentence
            return None

    def choices(self) -> list[str]:
        """Scopes to choose from; both together only where one encoder made them."""
        if not self.private:
            return [ON_SAMPLES]
        offered = [ON_SAMPLES, ON_MINE]
        try:
            if self.engine.backbones.ready:
                sides = {self.engine.backbone(scope).encoder.fingerprint for scope in (SAMPLES, LOCAL)}
                offered += [ON_BOTH] if len(sides) == 1 else []
        except SmartError as error:
            log.warning("no encoder to compare: %s", type(error).__name__)
        return offered

    def serving(self) -> Serving:
        """Which model answers; where not one could be loaded, the sentence why."""
        try:
            return self.engine.serving()
        except SmartError as error:
            wanted = self.engine.backbones.choice.name
            return Serving(wanted, "none", False, f"No model could be loaded. {error.sentence}")

    def answer(self, wanted: Asked) -> str:
        """The markup of an answer. InputRefused for what cannot be answered, LibraryError where the disk fails."""
        scopes = CHOICES[wanted.scope]
        if not all(map(self.visible, scopes)):
            raise InputRefused("Only the samples can be searched here.")
        if SAMPLES in scopes:
            samples = self.samples()
            if samples is None or (not samples.whole and self.preparation.trouble and not self.preparation.running):
                return results.empty("The samples are not ready", self.preparation.trouble, calm=False)
            if not samples.whole:
                return results.preparing(samples)
        if LOCAL in scopes and not self.engine.backbones.ready:
            name = self.serving().name
            return results.empty(f"{name} is still loading", "Your documents are searched as soon as it is there.")
        methods = (POOLED, LATE, Method(SMART.name, SMART.label, wanted.weights))
        found = self.engine.search(self.query(wanted), scopes, methods, wanted.top)
        answer = results.results(found, self.thumbnail, address(wanted), explaining.asking(wanted))
        return presenting.story(told(found)) + answer

    def query(self, wanted: Asked) -> Query:
        """What the encoder is given. Refused where its picture is gone, or is not for whoever asks."""
        return Query(wanted.text, self.pictures.pixels(wanted.picture) if wanted.picture else None)

    def keep(self, copy: Path) -> str:
        """Keep an uploaded picture for asking, delete its temporary copy; the picture's reference."""
        if not self.private:
            raise InputRefused("This page takes no pictures.", "Open a page and draw on it instead.")
        try:
            return self.pictures.keep(copy)
        finally:
            self.uploads.discard(copy)

    def alike(self, page: object, corners: object) -> str:
        """The reference of a part of a page, as a browser draws it."""
        return str(region(*parse_page(page), corners))

    def asked_with(self, wanted: Asked) -> str:
        """The markup of the picture that a question carries; empty where it has words alone."""
        if not wanted.picture:
            return ""
        try:
            return picture_tag.tag(self.pictures.glimpse(wanted.picture))
        except SmartError:  # the answer says why
            return picture_tag.tag(None)

    def shown(self, wanted: Asked) -> str:
        """The same, with a refusal in the place of the answer: for looks that nobody asked for."""
        try:
            return self.answer(wanted)
        except SmartError as error:
            return results.empty("No answer", error.sentence, calm=False)

    def documents(self, scope: Scope) -> tuple[Document, ...]:
        """What a scope holds; nothing while its model is not there."""
        try:
            return self.engine.documents(scope)
        except SmartError as error:
            log.warning("documents cannot be listed: %s", type(error).__name__)
            return ()

    def own_documents(self, serving: Serving) -> str:
        """The markup of one's own shelf."""
        if not self.engine.backbones.ready:
            return library_panel.documents((), 0, loading=serving.loading)
        try:
            others = self.engine.of_other_encoders(LOCAL)
        except SmartError:  # the banner above everything says why
            others = 0
        return library_panel.documents(self.documents(LOCAL), others, loading=False)

    def pulse(self) -> Pulse:
        """How things stand now."""
        return Pulse(
            self.serving(),
            self.engine.backbones.ready,
            self.samples(),
            self.preparation.running,
            self.uploads.running,
            (self.engine.library.generation, self.uploads.version),
            self.preparation.trouble,
        )

    def stored(self, scope: Scope, page: PageId) -> StoredPage:
        """A page that may be shown to whoever asks. LibraryError for any other."""
        if not self.visible(scope) or (scope == LOCAL and not self.engine.backbones.ready):
            raise LibraryError("That page cannot be shown here.")
        return self.engine.page(scope, page)

    def picture(self, key: object) -> dict[str, object]:
        """A page's picture as a data address for the viewer, or a sentence why there is none."""
        return answered(lambda: {"picture": self._picture(key)}, "a page could not be shown")

    def _picture(self, key: object) -> str:
        picture = self.engine.library.picture(self.stored(*parse_page(key)))
        return f"data:image/webp;base64,{base64.b64encode(picture).decode('ascii')}"

    def delete(self, file: object) -> str:
        """Remove one of one's own documents; the sentence that says how much room that made."""
        if not self.private or not isinstance(file, str) or not re.fullmatch(r"[0-9a-f]{16}", file):
            raise InputRefused("That document cannot be deleted here.")
        known = {document.file: document.name for document in self.engine.documents(LOCAL)}
        freed = self.engine.remove(LOCAL, file)
        return f"{known.get(file, 'The document')} is deleted: {size(freed)} freed."

    def thumbnail(self, page: StoredPage) -> bytes:
        """A page's small picture; empty where there is none."""
        try:
            return self.engine.library.thumbnail(page)
        except LibraryError as error:  # it may have been removed a moment ago; the card stands without it
            log.info("no thumbnail: %s", type(error).__name__)
            return b""


def parse_page(key: object) -> tuple[Scope, PageId]:
    """What `wording.page_key` wrote. InputRefused for anything else."""
    if not isinstance(key, str) or len(key) > 100:
        raise InputRefused("That is no page.")
    scope, _, page = key.partition("/")
    try:
        return Scope(scope), PageId.parse(page)
    except ValueError:
        raise InputRefused("That is no page.") from None
