from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    pages: int
    bytes: int
    pages_limit: int
    bytes_limit: int
