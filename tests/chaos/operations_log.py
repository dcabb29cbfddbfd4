"""The acknowledged operations, and what a reopened library may therefore contain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.children import Event
from tests.chaos.pages import Key

Facts = tuple[float, int]
"""The time a page was added and its bytes, as acknowledged. They differ if a page was removed and added again."""


@dataclass
class Ledger:
    """The operations on one folder over all the processes that use it."""

    there: dict[Key, Facts] = field(default_factory=dict)
    acknowledged: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)
    """The kind and description of each fault that a process itself reported."""
    flying: Event = field(default_factory=dict)
    """The operation that was begun and not acknowledged."""

    def hear(self, said: Sequence[Event]) -> None:
        """Enter the TRY and ACK events of one process, in their order."""
        for event in said:
            if "try" in event:
                self.flying = event
            elif "ack" in event:
                self.acknowledged += 1
                self.flying = {}
                self.acknowledge(event)
            else:
                kind = "wrong" if "wrong" in event else "broke"
                self.faults.append((kind, str(event[kind])))

    def acknowledge(self, event: Event) -> None:
        if event["ack"] == "add":
            self.there[Key(*event["key"])] = (event["added"], event["bytes"])
        elif event["ack"] in ("remove", "forget"):
            for key in self.meant(event):
                del self.there[key]

    def meant(self, event: Event) -> list[Key]:
        """Return the pages that a removal deletes, under every encoder."""
        scope, file = event["scope"], event.get("file")
        return [key for key in self.there if key.scope == scope and file in (None, key.file)]

    def settle(self, seen: Mapping[Key, Facts]) -> list[tuple[str, str]]:
        """Return what contradicts the ledger, then continue it with the pages that were seen."""
        flying, faults = self.flying, []
        leaving = self.meant(flying) if flying.get("try") in ("remove", "forget") else []
        coming = [Key(*flying["key"])] if flying.get("try") == "add" else []
        for key, facts in self.there.items():
            if key not in seen and key not in leaving:
                faults.append(("lost", f"{key} was acknowledged and is gone"))
            elif key in seen and seen[key] != facts:
                faults.append(("lost", f"{key} was acknowledged with other facts: {facts}, now {seen[key]}"))
        for key in seen.keys() - self.there.keys():
            if key not in coming:
                faults.append(("returned", f"{key} is there, though it was removed or never added"))
        self.there, self.flying = dict(seen), {}
        return faults
