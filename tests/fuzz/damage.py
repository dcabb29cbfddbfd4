"""Damage to the bytes of any file, and the damage that the kind of a file allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz import pdf_damage, picture_damage

LARGEST = 300_000
"""Bytes up to which damage may grow a file."""
HEAD = 256
"""Bytes at the start that half of all changes hit, since headers are there."""

Damage = Callable[[bytes, Random], bytes]


def damaged(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    """Return `content` after one to four kinds of damage, sometimes spliced with one of `others`. Never empty."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        choice = rng.random()
        if choice < 0.45:
            content = _structured(content, rng)
        elif choice < 0.52 and others:
            content = _spliced(content, rng.choice(others), rng)
        else:
            content = rng.choice(DAMAGES)(content, rng)
        content = content[:LARGEST] or b"\0"
    return content


def _structured(content: bytes, rng: Random) -> bytes:
    """Apply damage that knows the format, or damage to any byte if the structure is already lost."""
    known = pdf_damage.damage(content, rng) if b"%PDF-" in content[:1_024] else picture_damage.damage(content, rng)
    return known or rng.choice(DAMAGES)(content, rng)


def _place(content: bytes, rng: Random) -> int:
    return rng.randrange(min(len(content), HEAD) if rng.random() < 0.5 else len(content))


def _span(content: bytes, rng: Random) -> tuple[int, int]:
    start = _place(content, rng)
    return start, min(len(content), start + rng.choice((1, 2, 4, 8, 32, 200, 2_000)))


def _flip(content: bytes, rng: Random) -> bytes:
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        out[_place(content, rng)] ^= 1 << rng.randrange(8)
    return bytes(out)


def _random_bytes(content: bytes, rng: Random) -> bytes:
    start = _place(content, rng)
    new = rng.choice((rng.randbytes(rng.randint(1, 8)), b"\0" * 4, b"\xff" * 4))
    return content[:start] + new + content[start + len(new) :]


def _number(content: bytes, rng: Random) -> bytes:
    return picture_damage.replace_number(content, _place(content, rng), rng)


def _cut(content: bytes, rng: Random) -> bytes:
    return content[: rng.randint(1, len(content))]


def _lose(content: bytes, rng: Random) -> bytes:
    start, end = _span(content, rng)
    return content[:start] + content[end:]


def _repeat(content: bytes, rng: Random) -> bytes:
    start, end = _span(content, rng)
    return content[:end] + content[start:end] * rng.choice((1, 2, 50)) + content[end:]


def _swap(content: bytes, rng: Random) -> bytes:
    (a, b), (c, d) = sorted((_span(content, rng), _span(content, rng)))
    return content if b > c else content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _spliced(content: bytes, other: bytes, rng: Random) -> bytes:
    """Insert a block of another file, or join the head of one file and the tail of the other."""
    if rng.random() < 0.3:
        return content[: rng.randint(1, len(content))] + other[rng.randrange(len(other)) :]
    start, (first, last) = _place(content, rng), _span(other, rng)
    return content[:start] + other[first:last] + content[start + rng.choice((0, last - first)) :]


DAMAGES: tuple[Damage, ...] = (_flip, _flip, _random_bytes, _number, _number, _cut, _lose, _repeat, _swap)
