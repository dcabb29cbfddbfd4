"""The acknowledged operations, and what a reopened library may therefore contain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.page_content import Key
from tests.chaos.processes import Event

StoredFacts = tuple[float, int]
"""The time a page was added and its bytes, as acknowledged. They differ if a page was removed and added again."""


@dataclass
class OperationsLog:
    """The operations on one folder over all the processes that use it."""

    stored: dict[Key, StoredFacts] = field(default_factory=dict)
    acknowledged: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)
    """The kind and description of each fault that a process itself reported."""
    in_progress: Event = field(default_factory=dict)
    """The operation that was begun and not acknowledged."""

    def record(self, events: Sequence[Event]) -> None:
        """Record the events of one process, in their order."""
        for event in events:
            if "try" in event:
                self.in_progress = event
            elif "ack" in event:
                self.acknowledged += 1
                self.in_progress = {}
                self.acknowledge(event)
            else:
                kind = "wrong" if "wrong" in event else "broke"
                self.faults.append((kind, str(event[kind])))

    def acknowledge(self, event: Event) -> None:
        if event["ack"] == "add":
            self.stored[Key(*event["key"])] = (event["added"], event["bytes"])
        elif event["ack"] in ("remove", "delete scope"):
            for key in self.affected_pages(event):
                del self.stored[key]

    def affected_pages(self, event: Event) -> list[Key]:
        """Return the pages that a removal deletes, under every encoder."""
        scope, file = event["scope"], event.get("file")
        return [key for key in self.stored if key.scope == scope and file in (None, key.file)]

    def compare(self, seen: Mapping[Key, StoredFacts]) -> list[tuple[str, str]]:
        """Return what contradicts the log, then replace its pages by those that were seen."""
        begun, faults = self.in_progress, []
        leaving = self.affected_pages(begun) if begun.get("try") in ("remove", "delete scope") else []
        coming = [Key(*begun["key"])] if begun.get("try") == "add" else []
        for key, facts in self.stored.items():
            if key not in seen and key not in leaving:
                faults.append(("lost", f"{key} was acknowledged and is gone"))
            elif key in seen and seen[key] != facts:
                faults.append(("lost", f"{key} was acknowledged with other facts: {facts}, now {seen[key]}"))
        for key in seen.keys() - self.stored.keys():
            if key not in coming:
                faults.append(("returned", f"{key} is there, though it was removed or never added"))
        self.stored, self.in_progress = dict(seen), {}
        return faults
