"""Where a checkpoint runs and in which number format, as one frozen choice that carries its reason.

`place` is a pure function of a described machine, so that every rule is tested without owning the machine.

Hugging Face's ZeroGPU: a GPU that exists only inside a decorated call. Everywhere else this does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from smart_demo.errors import BackboneUnavailable

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
WORKSPACE = 10**9
"""Bytes a forward pass needs beside the weights, at the checkpoint's own pixel budget."""
FAST_BF16 = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""Processor flags under which bfloat16 is at least as fast as float32; `bf16` is Arm's. Without one of them
it is several times slower (torch converts each block to float32 and back)."""
BF16_CAPABILITY = (8, 0)
"""First CUDA generation that multiplies bfloat16 (Ampere)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What matters of the machine. Memory is in bytes and None where the system does not tell."""

    device: str = "cpu"
    """`cuda`, `mps` or `cpu`."""
    flags: frozenset[str] = frozenset()
    """Of the processor."""
    capability: tuple[int, int] = (0, 0)
    """Of the CUDA device."""
    memory: int | None = None
    """Free main memory,"""
    device_memory: int | None = None
    """and free memory of the first CUDA device."""
    borrowed: bool = False
    """A ZeroGPU Space: there is a GPU only while a decorated call runs."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The choice: torch device and dtype by name, whether `accelerate` spreads the layers, pages per pass, reason."""

    device: str
    dtype: str
    spread: bool
    batch: int
    reason: str


def place(machine: Machine, stored: str, parameters: int, wanted: str = "auto") -> Placement:
    """Place `parameters` numbers stored as `stored` (`float32`, `bfloat16`, `float16`) on `machine`.

    `wanted` other than `auto` is obeyed. BackboneUnavailable where the weights cannot fit.
    """
    dtype, why = (wanted, f"SMART_DTYPE={wanted}") if wanted != "auto" else _dtype(machine, stored)
    room = machine.memory
    if wanted == "auto" and machine.device == "cpu" and not _fits(dtype, parameters, room):
        narrow = stored if stored != "float32" and _fits(stored, parameters, room) else dtype
        if narrow != dtype:
            dtype, why = narrow, f"it is stored in {stored}, and {dtype} does not fit into the free memory"
    spread = machine.device == "cuda" and not machine.borrowed
    spread = spread and not _fits(dtype, parameters, machine.device_memory)
    if machine.device != "cuda" or spread:
        both = None if room is None else room + (machine.device_memory or 0 if spread else 0)
        if not _fits(dtype, parameters, both):
            raise BackboneUnavailable(
                f"The model needs about {_need(dtype, parameters) / 1e9:.1f} GB of memory in {dtype}, "
                f"{(both or 0) / 1e9:.1f} GB are free.",
                "Use a smaller model, SMART_DTYPE=bfloat16, or SMART_BACKBONE=minilm.",
            )
    where = {"cuda": "GPU", "mps": "Apple GPU", "cpu": "CPU"}[machine.device]
    where = "GPU on demand (ZeroGPU)" if machine.borrowed else where
    overflow = ", spread over all devices because one GPU is too small" if spread else ""
    batch = 8 if machine.device == "cuda" and not spread else 1
    return Placement(machine.device, dtype, spread, batch, f"{where}, {dtype}: {why}{overflow}.")


def _dtype(machine: Machine, stored: str) -> tuple[str, str]:
    """The format and why. A checkpoint is only ever widened: what float32 weights know, a narrower copy forgets."""
    if stored == "float32":
        return "float32", "the checkpoint is stored in float32 and is not narrowed"
    if machine.device == "cuda":
        if machine.borrowed or machine.capability >= BF16_CAPABILITY or stored == "float16":
            return stored, f"as stored, and this GPU multiplies {stored}"
        # float16 ends at 65,504: states of bfloat16 weights can overflow it, so an older card gets the wide format.
        return "float32", "this GPU has no bfloat16, and float16 is too narrow for weights trained in it"
    if machine.device == "cpu" and stored == "bfloat16" and (found := sorted(machine.flags & FAST_BF16)):
        return "bfloat16", f"as stored, and this processor is good at it ({found[0]})"
    if machine.device == "cpu":
        return "float32", f"stored in {stored}, which this processor is slow at"
    return "float32", f"stored in {stored}, widened since not every Apple GPU computes in it"


def _need(dtype: str, parameters: int) -> int:
    return parameters * BYTES[dtype] + WORKSPACE


def _fits(dtype: str, parameters: int, room: int | None) -> bool:
    return room is None or _need(dtype, parameters) <= room


def this_machine() -> Machine:
    """The machine we run on. Imports torch; on ZeroGPU it asks torch nothing, since there is no GPU outside a call."""
    import torch

    flags = processor_flags(_lines("/proc/cpuinfo"))
    memory = free_memory(_lines("/proc/meminfo"), _lines("/sys/fs/cgroup/memory.max"))
    if os.environ.get("SPACES_ZERO_GPU"):
        return Machine("cuda", flags, memory=memory, borrowed=True)
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        return Machine("cuda", flags, torch.cuda.get_device_capability(), memory, free)
    return Machine("mps" if torch.backends.mps.is_available() else "cpu", flags, memory=memory)


def processor_flags(lines: Iterable[str]) -> frozenset[str]:
    """Flags of the first processor in Linux's cpuinfo; empty elsewhere.

    >>> sorted(processor_flags(["processor : 0", "flags : fpu avx2"]))
    ['avx2', 'fpu']
    """
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:
            return frozenset(value.split())
    return frozenset()


def free_memory(meminfo: Iterable[str], limit: Iterable[str] = ()) -> int | None:
    """Bytes that can be taken without swapping, from Linux's meminfo, within the container's limit; None elsewhere.

    >>> free_memory(["MemTotal: 9 kB", "MemAvailable: 2 kB"], ["max"]), free_memory(["MemAvailable: 2 kB"], ["999"])
    (2048, 999)
    """
    known = [int(line) for line in limit if line.isdecimal()]
    for line in meminfo:
        key, _, value = line.partition(":")
        if key == "MemAvailable":
            known.append(int(value.split()[0]) * 1024)
    return min(known, default=None)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not a Linux machine
        return []


P = ParamSpec("P")
R = TypeVar("R")


def borrowing(function: Callable[P, R], seconds: Callable[P, int]) -> Callable[P, R]:
    """`function` run on a borrowed GPU for at most `seconds(same arguments)` on ZeroGPU, `function` itself elsewhere.

    There it runs in a forked process: arguments and results are pickled, so both must be plain CPU arrays,
    and what it changes outside of them is lost. BackboneUnavailable where the Space lacks
    the package, and at a call for which no GPU is lent.
    """
    if not os.environ.get("SPACES_ZERO_GPU"):
        return function
    try:
        import spaces
    except ImportError as error:
        raise BackboneUnavailable("This ZeroGPU Space lacks the package `spaces`.", "pip install spaces") from error
    from gradio import Error

    lent = cast(Callable[P, R], spaces.GPU(duration=seconds)(function))

    @wraps(function)
    def run(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            return lent(*arguments, **named)
        except Error as error:  # quota exceeded, illegal duration, no GPU was available
            raise BackboneUnavailable(f"This Space could lend no GPU: {error.message}", "Try again later.") from error

    return run
