"""Reading the header of a safetensors file: its length in 8 bytes, then JSON: `__metadata__`, and one entry per tensor.

Model checkpoints and the token files of pages share this form; each caller validates the entries it needs.
"""

from __future__ import annotations

import json
from typing import Any

LENGTH_BYTES = 8
"""Bytes before the JSON."""


def header_end(first: bytes) -> int:
    """Return the position of the first tensor byte in the file, given the file's first 8 bytes."""
    return LENGTH_BYTES + int.from_bytes(first[:LENGTH_BYTES], "little")


def parse_header(text: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return `__metadata__` (empty if absent) and the entries by tensor name. Raises ValueError if not JSON.

    >>> parse_header(b'{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}')
    ({'format': 'pt'}, {'w': {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 4]}})
    """
    entries = json.loads(text)
    if not isinstance(entries, dict):
        raise ValueError("no safetensors header")
    return entries.pop("__metadata__", {}), entries
