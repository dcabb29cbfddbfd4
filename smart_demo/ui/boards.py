"""Results of an owner's judgements: scoreboards, files to take away, evaluations that go on here.

Every argument is doubted, as in `handlers`. Files are made in memory and handed to whoever asks with the owner's name.
"""

from __future__ import annotations

import base64

from smart_demo.errors import InputRefused, SmartError
from smart_demo.judging.archive import JOURNAL, pack, unpack
from smart_demo.judging.journal import Journal, Taken
from smart_demo.judging.record_lines import MOST_JOURNAL_BYTES
from smart_demo.judging.replay import Judgements, ungraded
from smart_demo.judging.scoreboard import boards
from smart_demo.types import Scope
from smart_demo.ui.board_shell import taken
from smart_demo.ui.judgement_list import judgement_list
from smart_demo.ui.judging import PUBLIC_BYTES, Judging
from smart_demo.ui.replies import answered
from smart_demo.ui.scoreboard_panel import scoreboards
from smart_demo.ui.wording import count, queries

FAILURE = "a panel of the judging tab could not be answered"
FORMS = {"zip": ("smart-evaluation", "zip", "application/zip"), "jsonl": ("judgements", "jsonl", "application/jsonl")}
"""Form of a file -> its name, its ending, its type."""
EMPTY = "There is nothing to download yet: nothing is judged."


def most_bytes(*, private: bool) -> int:
    """Of an evaluation that is taken in."""
    return MOST_JOURNAL_BYTES if private else PUBLIC_BYTES


class Boards:
    """Answers of one app, around its judgements."""

    def __init__(self, judging: Judging) -> None:
        self._judging = judging

    @property
    def private(self) -> bool:
        """Whether there is one owner, whose machine this is."""
        return self._judging.handlers.private

    @property
    def most(self) -> int:
        """Bytes that are taken in."""
        return most_bytes(private=self.private)

    def look(self, wanted: object) -> dict[str, object]:
        """Markup of an owner's scoreboards and single judgements; or a sentence."""
        return answered(lambda: self._look(self._journal(field(wanted, "owner"))), FAILURE)

    def file(self, wanted: object) -> dict[str, object]:
        """The evaluation as a file of the `form` asked for: name, type and content in base64; or a sentence."""
        return answered(lambda: self._file(self._journal(field(wanted, "owner")), field(wanted, "form")), FAILURE)

    def forget(self, wanted: object) -> dict[str, object]:
        """Delete an owner's judgements and list; what was done, as `said`; or a sentence."""
        return answered(lambda: self._forget(self._judging.owner(field(wanted, "owner"))), FAILURE)

    def take(self, owner: object, data: bytes) -> str:
        """Go on with an exported evaluation. Markup of what became of it, refusals in words among it."""
        try:
            return taken(self._take(self._judging.owner(owner), data))
        except SmartError as error:
            return taken(error.sentence)

    def take_text(self, owner: object, text: object) -> str:
        """The same, from text that was pasted."""
        if not isinstance(text, str) or not text.strip():
            return taken("There is nothing to take in: paste the lines of a judgements.jsonl.")
        if len(text) > self.most:
            return taken(f"That is longer than {self.most // 2**20} MB.")
        return self.take(owner, text.encode("utf-8", "replace"))

    def _journal(self, owner: object) -> Journal:
        return self._judging.journal(self._judging.owner(owner))

    def _look(self, journal: Journal) -> dict[str, object]:
        judged = journal.judgements
        single = judgement_list(judged, len(journal.left_out))
        return {"boards": scoreboards(boards(judged)), "single": single, "remaining": _remaining(judged)}

    def _file(self, journal: Journal, form: object) -> dict[str, object]:
        if not isinstance(form, str) or form not in FORMS:
            raise InputRefused("An evaluation is saved as a zip or as JSON lines.")
        judged = journal.judgements
        if not judged.events:
            raise InputRefused(EMPTY)
        stem, ending, kind = FORMS[form]
        data = pack(judged) if form == "zip" else journal.lines()
        name = f"{stem}-{judged.events[-1].at[:10]}.{ending}"
        return {"name": name, "type": kind, "data": base64.b64encode(data).decode("ascii")}

    def _take(self, owner: Scope, data: bytes) -> Taken:
        if len(data) > self.most:
            raise InputRefused(f"The file is larger than {self.most // 2**20} MB.", f"Choose a zip or a {JOURNAL}.")
        journal, lines = self._judging.journal(owner), unpack(data)
        if not self.private and len(lines) + len(journal.lines()) > PUBLIC_BYTES:
            raise InputRefused(
                f"This page keeps {PUBLIC_BYTES // 2**20} MB of judgements for each visitor, and that would be more.",
                "Run the demo on your own machine to take it in.",
            )
        self._judging.admit(owner, len(lines))
        return journal.take(lines)

    def _forget(self, owner: Scope) -> dict[str, object]:
        self._judging.forget(owner)
        return {"said": "The evaluation is deleted."}


def _remaining(judged: Judgements) -> str:
    """How much of the pools nobody has graded, in a sentence; empty where that is nothing."""
    found = ungraded(judged)
    waiting = sum(number > 0 for number in found.queries.values())
    if not found.total:
        return ""
    return f"{count(found.total, 'page')} of {queries(waiting)} still to grade, under Grade."


def field(wanted: object, name: str) -> object:
    """One field of what a script sent; None where it sent no such thing."""
    return wanted.get(name) if isinstance(wanted, dict) else None
