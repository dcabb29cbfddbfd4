"""Markup of what answers here: the facts that one notes down beside a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from smart_demo.diagnostics import Environment
from smart_demo.ui.wording import count, esc


def environment_card(found: Environment, warnings: Sequence[str]) -> str:
    """Warnings first, then the facts, then the versions."""
    told = "".join(f'<p class="notice" role="status">{esc(warning)}</p>' for warning in warnings)
    budget = f"{found.visual_tokens:,} a page" if found.visual_tokens else "none: this model reads words"
    facts = {
        "Model": found.name,
        "Form": found.model,
        "Revision": found.revision,
        "Held to": found.held_to,
        "Fingerprint": found.fingerprint,
        "Number format": found.dtype,
        "Device": found.device,
        "Visual tokens": budget,
        "Token filter": found.token_filter if found.visual_tokens else "none",
        "New pages are kept as": found.codec,
        "Commit": found.commit,
    }
    return f"{told}{_list(facts, 'hood-facts')}{_list(found.versions, 'hood-facts is-versions')}"


def by_another_encoder(pages: int) -> str:
    """A warning about pages that cannot be searched."""
    return (
        f"{count(pages, 'page')} of your documents were made by another encoder than this one. They are kept but not "
        "searched, and no figure here counts them: add their files again."
    )


def served_by_another(samples: str, documents: str) -> str:
    """A warning about a sample library that the model in use did not make."""
    return (
        f"The samples were made by {samples}, so {samples} answers for them; {documents}, which is in use for your "
        "documents, did not. Scores of the two cannot be compared."
    )


def _list(facts: Mapping[str, str], classes: str) -> str:
    rows = "".join(f"<div><dt>{esc(name)}</dt><dd>{esc(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="{classes}">{rows}</dl>'
