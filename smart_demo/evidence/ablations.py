"""One setting moved at a time, everything else as it is by default: what each choice of the method is worth.

Weights, reduction, query tokens and codec cost nothing once a collection is encoded. The token filter and the late
layer are other encoders: the sample pages and the reports are encoded again for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from smart_demo.config import CODECS, TOKEN_FILTERS, Settings
from smart_demo.evidence.binding import Duels
from smart_demo.evidence.standing import HEADLINE, Json, Standing
from smart_demo.types import LATE, SMART, Counted, Encoder, QueryEncoding, Reduce, TokenKind, Weights

FEW_LAYERS, EVERY = 8, 4
"""A model of up to so many layers is asked about each of them, a deeper one about every fourth, as the paper's."""
FILTERS = {"code": "control tokens left out", "paper": "all but the pooling position"}
BERT_FILTERS = {"code": "[CLS] and [SEP] left out", "paper": "[CLS] and [SEP] kept"}


@dataclass(frozen=True)
class Encoded:
    """What was encoded by one encoder; None where it was not wanted."""

    pages: Standing | None = None
    text: Standing | None = None
    binding: Duels | None = None

    def recoded(self, codec: str) -> Encoded:
        """The same token states through another codec."""
        return Encoded(
            None if self.pages is None else Standing(self.pages.bench, codec),
            None if self.text is None else Standing(self.text.bench, codec),
            None if self.binding is None else self.binding.recoded(codec),
        )

    @property
    def queries(self) -> Iterator[QueryEncoding]:
        for standing in (self.pages, self.text):
            if standing is not None:
                yield from standing.bench.queries
        if self.binding is not None:
            yield from self.binding.queries


def free_rows(base: Encoded, codec: str) -> list[Json]:
    """The default, and what needs no further encoding."""
    content = Weights(counted=Counted.CONTENT)
    rows = [_row("default", "λ 1, mean, all query tokens, last layer", base, base, default=True)]
    rows += [_row("λ late", f"{late:g}", base, base, Weights(1.0, late), late=None) for late in (0.5, 2.0, 4.0)]
    # The late ranking alone cannot change: every page's mean is multiplied by the same number of query tokens.
    rows.append(_row("reduction", "sum", base, base, Weights(reduce=Reduce.SUM), late=None))
    if all((query.kinds == TokenKind.CONTENT).all() for query in base.queries):
        rows.append(_nothing("query tokens", "own words only", "this encoder keeps no other query tokens"))
    else:
        rows.append(_row("query tokens", "own words only", base, base, content, late=replace(content, pooled=0.0)))
    for other in (name for name in CODECS if name != codec):
        rows.append(_row("codec", other, base.recoded(other), base))
    return rows


def variants(settings: Settings, encoder: Encoder) -> list[tuple[str, str, Settings]]:
    """(factor, setting, settings) of every other encoder that is asked about."""
    words = BERT_FILTERS if encoder.model.startswith("bert") else FILTERS
    filters = [
        ("token filter", f"{name}: {words[name]}", replace(settings, token_filter=name))
        for name in TOKEN_FILTERS
        if name != settings.token_filter
    ]
    layers = [
        ("late layer", f"{layer} of {deep}", replace(settings, late_layer=layer))
        for deep in _depth(encoder)
        for layer in (range(1, deep) if deep <= FEW_LAYERS else range(EVERY, deep, EVERY))
        if layer != settings.late_layer
    ]
    return filters + layers


def variant_row(factor: str, setting: str, own: Encoded, base: Encoded) -> Json:
    """One of the variants, encoded."""
    return _row(factor, setting, own, base)


def same_encoder(factor: str, setting: str) -> Json:
    """A variant that turned out to be the default: this backbone has no such choice."""
    return _nothing(factor, setting, "this encoder has no such choice")


def _depth(encoder: Encoder) -> list[int]:
    """[layers] as the model's name says it (`bert-384x6`), [] where it has none."""
    return [int(found) for found in re.findall(r"-\d+x(\d+)$", encoder.model)]


def _row(
    factor: str,
    setting: str,
    own: Encoded,
    base: Encoded,
    smart: Weights = SMART.weights,
    late: Weights | None = LATE.weights,
    *,
    default: bool = False,
) -> Json:
    """No late weights where the late-only ranking is the same by construction and not told again."""
    row: Json = {"factor": factor, "setting": setting, "default": default, "note": ""}
    for name in ("pages", "text"):
        mine, plain = getattr(own, name), getattr(base, name)
        row[name] = None if mine is None or plain is None else _of_collection(mine, plain, smart, late)
    row["binding"] = None
    if own.binding is not None and base.binding is not None:
        row["binding"] = {
            "late": None if late is None else own.binding.accuracy(late),
            "smart": own.binding.accuracy(smart),
            "change": own.binding.difference(smart, base.binding, SMART.weights),
        }
    return row


def _of_collection(own: Standing, base: Standing, smart: Weights, late: Weights | None) -> Json:
    return {
        "late": None if late is None else own.outcome(late).means[HEADLINE],
        "smart": own.outcome(smart).means[HEADLINE],
        "change": own.against(smart, base, SMART.weights),
    }


def _nothing(factor: str, setting: str, why: str) -> Json:
    note = f"no effect by construction: {why}"
    return {"factor": factor, "setting": setting, "default": False, "note": note} | dict.fromkeys(
        ("pages", "text", "binding")
    )
