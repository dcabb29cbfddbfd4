"""Hugging Face's ZeroGPU: a GPU that exists only inside a decorated call. Everywhere else this does nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from smart_demo.errors import BackboneUnavailable

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
