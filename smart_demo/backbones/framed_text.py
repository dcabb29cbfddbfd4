"""Tokenises what a visitor writes between fixed control tokens, so that it can hold none of them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from typing import Any

import numpy as np

from smart_demo.backbones.checkpoint_backbone import Prompt, label_pieces
from smart_demo.backbones.word_spans import group_pieces
from smart_demo.errors import BackboneUnavailable
from smart_demo.types import TokenKind


class FramedTokenizer:
    """Writes prompts of a frame (control tokens, perhaps instructions) around a text, tokenised as one string.

    In a copy of the tokenizer each control token has a secret name, by which only the frame writes it: `<img>` typed by
    a visitor is cut like any other text. For texts without a control token the ids are those of the plain tokenizer.
    """

    def __init__(self, tokenizer: Any, marks: Iterable[str] = ()) -> None:  # noqa: ANN401 (transformers is untyped)
        """Copy a transformers tokenizer that is backed by `tokenizers`.

        marks: control tokens beside those that the tokenizer lists as special. Raises BackboneUnavailable if the
        tokenizer lacks one, or is of a form in which its tokens cannot be renamed.
        """
        from tokenizers import Tokenizer

        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise BackboneUnavailable("The tokenizer is of an unknown form.", "tokenizer.json belongs to the model.")
        known = tokenizer.get_vocab()
        definition = json.loads(backend.to_str())
        controls = {entry["content"] for entry in definition["added_tokens"] if entry["special"]} | set(marks)
        if missing := sorted(controls - set(known)):
            raise BackboneUnavailable(f"The tokenizer lacks {', '.join(missing)}.", "Fetch the model again.")
        secret = secrets.token_hex(16)
        self._names = {token: f"\ue000{secret}:{n}\ue001" for n, token in enumerate(sorted(controls))}
        self._controls = {int(known[token]): token for token in controls}
        try:
            # Any error of the Rust library is an Exception of no narrower type.
            self._plain = Tokenizer.from_str(json.dumps(_rename(definition, self._names)))
            renamed = all(self._plain.token_to_id(self._names[token]) == at for at, token in self._controls.items())
        except Exception as error:
            raise BackboneUnavailable("The tokenizer is of an unknown form.", "Fetch the model again.") from error
        if not renamed:
            raise BackboneUnavailable("The control tokens of the tokenizer are of an unknown form.")

    def write(self, before: str, text: str, after: str, window: int) -> Prompt:
        """Return the prompt of `text` in its frame, cut to `window` tokens; the frame is never cut.

        Whitespace around the text is removed; half a surrogate pair, which no encoding can represent, becomes `?`.
        """
        text = text.encode(errors="replace").decode().strip()
        head = self._with_secret_names(before)
        whole = head + text + self._with_secret_names(after)
        encoded = self._plain.encode(whole, add_special_tokens=False)
        ids, spans = encoded.ids, encoded.offsets  # each access copies the whole list
        start, end = len(head), len(head) + len(text)
        kinds = [self._kind(token, span, start, end) for token, span in zip(ids, spans, strict=True)]
        own = [at for at, kind in enumerate(kinds) if kind is TokenKind.CONTENT]
        room = max(0, window - (len(kinds) - len(own)))
        left_out = set(own[room:])
        kept = [at for at in range(len(kinds)) if at not in left_out]
        of_text = [(max(spans[at][0], start) - start, min(spans[at][1], end) - start) for at in own[:room]]
        owners, word_texts = group_pieces(text, of_text)
        pieces = iter(zip(label_pieces(text, of_text), owners, strict=True))
        labels, words = [], []
        for at in kept:
            frame_label = self._controls.get(ids[at]) or whole[slice(*spans[at])].strip() or "·"
            label, word = next(pieces) if kinds[at] is TokenKind.CONTENT else (frame_label, -1)
            labels.append(label)
            words.append(word)
        return Prompt(
            ids=np.array([ids[at] for at in kept], np.int64),
            kinds=np.array([kinds[at] for at in kept], np.uint8),
            labels=tuple(labels),
            cut_pieces=len(own) - len(own[:room]),
            text_pieces=len(own),
            words=tuple(words),
            word_texts=word_texts,
        )

    def _kind(self, token: int, span: tuple[int, int], start: int, end: int) -> TokenKind:
        """Return the kind of a token at a span of the whole string, whose text is at `start`..`end`."""
        if token in self._controls:
            return TokenKind.TEMPLATE
        first, last = span
        touches = first < end and last > start
        return TokenKind.CONTENT if touches or start <= first == last < end else TokenKind.INSTRUCTION

    def _with_secret_names(self, frame: str) -> str:
        for token in sorted(self._names, key=len, reverse=True):
            frame = frame.replace(token, self._names[token])
        return frame


def _rename(definition: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return a tokenizer.json with tokens renamed, that neither cuts, pads nor adds anything. Offsets keep spaces."""
    model = dict(definition["model"])
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(token, token): at for token, at in vocabulary.items()}
    else:  # pieces with their scores
        model["vocab"] = [[names.get(token, token), score] for token, score in vocabulary]
    if "unk_token" in model:
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    added = [entry | {"content": names.get(entry["content"], entry["content"])} for entry in definition["added_tokens"]]
    return definition | {
        "model": model,
        "added_tokens": added,
        "post_processor": None,
        "truncation": None,
        "padding": None,
    }
