"""Which layer's states late interaction takes."""

from __future__ import annotations

from smart_demo.errors import SettingRefused


def kept_layer(wanted: int, layers: int, model: str) -> int:
    """`wanted` (SMART_LATE_LAYER) where it is below the last of `layers`, else 0, which is the last.

    The last by its number is the last: both name one encoding. SettingRefused for a layer the model does not have.

    >>> kept_layer(4, 6, "minilm"), kept_layer(6, 6, "minilm")
    (4, 0)
    """
    if wanted > layers:
        raise SettingRefused(
            f"SMART_LATE_LAYER={wanted}, but {model} has {layers} layers.", f"It takes last, or 1 to {layers}."
        )
    return 0 if wanted == layers else wanted
