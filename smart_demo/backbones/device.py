"""Device and number format for a checkpoint, chosen once with the reason, and GPUs lent by Hugging Face's ZeroGPU.

`choose_placement` is a pure function of a described machine, so every rule is tested without that machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from smart_demo.config import free_memory, read_system_file
from smart_demo.errors import BackboneUnavailable, SettingRefused

P = ParamSpec("P")
R = TypeVar("R")
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
WORKSPACE_BYTES = 10**9
"""Bytes a forward pass needs beside the weights, at the checkpoint's own pixel budget."""
FAST_BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""Processor flags under which bfloat16 is at least as fast as float32; `bf16` is Arm's. Without one of them
it is several times slower (torch converts each block to float32 and back)."""
BF16_CAPABILITY = (8, 0)
"""First CUDA generation that multiplies bfloat16 (Ampere)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The properties of a machine that decide a placement. Memory is in bytes, or None if unknown."""

    device: str = "cpu"
    """Best torch device: `cuda`, `mps` or `cpu`."""
    flags: frozenset[str] = frozenset()
    """Feature flags of the processor."""
    capability: tuple[int, int] = (0, 0)
    """Compute capability of the CUDA device."""
    memory: int | None = None
    """Free main memory."""
    device_memory: int | None = None
    """Free memory of the first CUDA device."""
    zerogpu: bool = False
    """Whether this is a ZeroGPU Space: there is a GPU only while a decorated call runs."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A chosen torch device and number format, with the reason."""

    device: str
    """Torch device: `cuda`, `mps` or `cpu`."""
    dtype: str
    """Number format: `float32`, `bfloat16` or `float16`."""
    sharded: bool
    """Whether `accelerate` distributes the layers over several devices."""
    batch: int
    """Pages per forward pass."""
    reason: str
    """One sentence for the footer and `doctor`."""


def choose_placement(
    machine: Machine, stored: str, parameters: int, requested: str = "auto", *, overflows: bool = False
) -> Placement:
    """Choose device and format for `parameters` numbers stored as `stored` (`float32`, `bfloat16`, `float16`).

    `requested` is SMART_DTYPE; any value but `auto` is used as it is. overflows: whether the model's states can exceed
    float16's range, which is then never used. Raises SettingRefused if it is requested all the same, and
    BackboneUnavailable if the weights do not fit.
    """
    if overflows and requested == "float16":
        raise SettingRefused(
            "SMART_DTYPE=float16 is too narrow for this model: its states can exceed 65,504.",
            "It takes auto, bfloat16 or float32.",
        )
    dtype, why = (requested, f"SMART_DTYPE={requested}") if requested != "auto" else _choose_dtype(machine, stored)
    if overflows and dtype == "float16":
        dtype, why = "float32", "stored in float16, which is too narrow for this model's states"
    free = machine.memory
    if requested == "auto" and machine.device == "cpu" and not _fits(dtype, parameters, free):
        usable = stored != "float32" and not (overflows and stored == "float16")
        narrow = stored if usable and _fits(stored, parameters, free) else dtype
        if narrow != dtype:
            dtype, why = narrow, f"it is stored in {stored}, and {dtype} does not fit into the free memory"
    sharded = machine.device == "cuda" and not machine.zerogpu
    sharded = sharded and not _fits(dtype, parameters, machine.device_memory)
    if machine.device != "cuda" or sharded:
        total = None if free is None else free + (machine.device_memory or 0 if sharded else 0)
        if not _fits(dtype, parameters, total):
            raise BackboneUnavailable(
                f"The model needs about {_required_bytes(dtype, parameters) / 1e9:.1f} GB of memory in {dtype}, "
                f"{(total or 0) / 1e9:.1f} GB are free.",
                "Use a smaller model, SMART_DTYPE=bfloat16, or SMART_BACKBONE=minilm.",
            )
    name = {"cuda": "GPU", "mps": "Apple GPU", "cpu": "CPU"}[machine.device]
    name = "GPU on demand (ZeroGPU)" if machine.zerogpu else name
    overflow = ", spread over all devices because one GPU is too small" if sharded else ""
    batch = 8 if machine.device == "cuda" and not sharded else 1
    return Placement(machine.device, dtype, sharded, batch, f"{name}, {dtype}: {why}{overflow}.")


def _choose_dtype(machine: Machine, stored: str) -> tuple[str, str]:
    """Return the format and why. A checkpoint is only ever widened: a narrower copy of float32 weights loses digits."""
    if stored == "float32":
        return "float32", "the checkpoint is stored in float32 and is not narrowed"
    if machine.device == "cuda":
        if machine.zerogpu or machine.capability >= BF16_CAPABILITY or stored == "float16":
            return stored, f"as stored, and this GPU multiplies {stored}"
        # float16 ends at 65,504: states of bfloat16 weights can overflow it, so an older card gets the wide format.
        return "float32", "this GPU has no bfloat16, and float16 is too narrow for weights trained in it"
    if machine.device == "cpu" and stored == "bfloat16" and (found := sorted(machine.flags & FAST_BF16_FLAGS)):
        return "bfloat16", f"as stored, and this processor is good at it ({found[0]})"
    if machine.device == "cpu":
        return "float32", f"stored in {stored}, which this processor is slow at"
    return "float32", f"stored in {stored}, widened since not every Apple GPU computes in it"


def _required_bytes(dtype: str, parameters: int) -> int:
    return parameters * DTYPE_BYTES[dtype] + WORKSPACE_BYTES


def _fits(dtype: str, parameters: int, free: int | None) -> bool:
    return free is None or _required_bytes(dtype, parameters) <= free


def detect_machine() -> Machine:
    """Describe the machine of this process. Imports torch, but does not query it on ZeroGPU: no call runs yet."""
    import torch

    flags, memory = parse_cpu_flags(read_system_file("/proc/cpuinfo")), free_memory()
    if os.environ.get("SPACES_ZERO_GPU"):
        return Machine("cuda", flags, memory=memory, zerogpu=True)
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        return Machine("cuda", flags, torch.cuda.get_device_capability(), memory, free)
    return Machine("mps" if torch.backends.mps.is_available() else "cpu", flags, memory=memory)


def parse_cpu_flags(lines: Iterable[str]) -> frozenset[str]:
    """Return the first processor's flags from Linux's cpuinfo; empty if there are none.

    >>> sorted(parse_cpu_flags(["processor : 0", "flags : fpu avx2"]))
    ['avx2', 'fpu']
    """
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:
            return frozenset(value.split())
    return frozenset()


def run_on_zerogpu(function: Callable[P, R], seconds: Callable[P, int]) -> Callable[P, R]:
    """Wrap `function` to run on a lent GPU for at most `seconds(same arguments)`; return it unchanged elsewhere.

    On ZeroGPU each call runs in a forked process: arguments and results are pickled, so they must be plain CPU arrays,
    and any other change it makes is lost. Raises BackboneUnavailable if the Space lacks the package `spaces`; a call
    raises it if no GPU is lent.
    """
    if not os.environ.get("SPACES_ZERO_GPU"):
        return function
    try:
        import spaces
    except ImportError as error:
        raise BackboneUnavailable("This ZeroGPU Space lacks the package `spaces`.", "pip install spaces") from error
    from gradio import Error

    on_gpu = cast(Callable[P, R], spaces.GPU(duration=seconds)(function))

    @wraps(function)
    def run(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            return on_gpu(*arguments, **named)
        except Error as error:  # quota exceeded, illegal duration, no GPU was available
            raise BackboneUnavailable(f"This Space could lend no GPU: {error.message}", "Try again later.") from error

    return run
