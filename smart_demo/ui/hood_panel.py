"""Markup of the tab under the hood before anything is known: sections, and places that `hood.js` fills."""

from __future__ import annotations

from smart_demo.ui.wording import esc

CODE = (
    ("python", "Python", "with gradio_client, which comes with Gradio"),
    ("curl", "curl", "one request asks, one fetches the answer"),
    ("shell", "Shell", "the same engine without the page"),
)
"""Key of the code, what it is called and what it needs."""
_UNASKED = '<p class="hood-unasked quiet"></p>'
"""Says why there is no answer to show code of."""


def hood_panel(*, mcp: bool) -> str:
    """The whole tab. `mcp` says whether there is a tool for assistants, too."""
    return (
        '<div class="hood" aria-busy="true"><p class="hood-trouble notice" role="status" hidden></p>'
        + _section("costs", "What it costs", "Measured by this library itself.", '<div data-fill="costs"></div>')
        + _section("code", "Show as code", "The query on the screen, for a program to ask.", _code(mcp=mcp))
        + _section(
            "scores",
            "Raw scores",
            "The answer on the screen as search --json gives it, asked once more: a stage answered from memory says 0.",
            _scores(),
        )
        + _section("environment", "Environment", "What answers here.", '<div data-fill="environment"></div>')
        + "</div>"
    )


def _section(key: str, title: str, said: str, body: str) -> str:
    return (
        f'<section class="hood-part" aria-labelledby="hood-{key}"><header><h2 id="hood-{key}">{esc(title)}</h2>'
        f'<p>{esc(said)}</p></header><div class="hood-body is-{key}">{body}</div></section>'
    )


def _code(*, mcp: bool) -> str:
    blocks = "".join(
        f'<figure class="hood-code"><figcaption><b>{esc(title)}</b><span>{esc(said)}</span>{_copy(title, key)}'
        f'</figcaption><pre tabindex="0" aria-label="{esc(title)}"><code data-code="{key}"></code></pre></figure>'
        for key, title, said in CODE
    )
    tool = (
        '<p class="hood-tool">For assistants: the tool <b>search</b> of the MCP server at '
        '<code data-code="mcp"></code></p>'
    )
    return (
        f'{_UNASKED}<ul class="hood-notes" data-notes="differences"></ul>{blocks}'
        f'<ul class="hood-notes is-quiet" data-notes="shell_differences"></ul>{tool if mcp else ""}'
    )


def _scores() -> str:
    return (
        f'{_UNASKED}<figure class="hood-code is-tall"><figcaption><b>JSON</b>'
        f"<span>smart is pooled + late, whatever the weights</span>{_copy('JSON', 'scores')}"
        '<button type="button" class="share-button" data-download="scores">Download</button></figcaption>'
        '<pre tabindex="0" aria-label="JSON"><code data-code="scores"></code></pre></figure>'
    )


def _copy(title: str, key: str) -> str:
    return f'<button type="button" class="share-button" data-copy="{key}" aria-label="Copy {esc(title)}">Copy</button>'
