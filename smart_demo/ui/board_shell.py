"""Markup of the panels Results and Queries before anything is known, and what became of an import. `board.js` and
`queries.js` fill the rest.
"""

from __future__ import annotations

from smart_demo.judging.journal import Taken
from smart_demo.judging.query_list import LONGEST_QUERY, MOST_LIST_BYTES
from smart_demo.ui.wording import count, esc


def results_shell() -> str:
    """Places for the scoreboards and the single judgements, and what takes them away."""
    return (
        '<div class="boards" aria-busy="true"><p class="notice boards-trouble" role="status" hidden></p>'
        '<h2 class="sr-only">Results</h2><div data-fill="boards"></div><p class="board-remaining"></p>'
        '<div data-fill="single"></div>'
        '<section class="board-part is-out" aria-labelledby="board-out"><h3 id="board-out">Take it away</h3><div>'
        '<p class="board-said">The zip holds the journal, a table for spreadsheets, TREC files for other tools and '
        "every figure above. Import it anywhere to go on.</p>"
        '<p class="board-tools"><button type="button" class="share-button is-main" data-file="zip">'
        'Download everything (zip)</button><button type="button" class="share-button" data-file="jsonl">'
        'Only the journal (JSONL)</button><button type="button" class="share-button is-quiet" data-forget>'
        'Delete this evaluation…</button></p><p class="board-file-said" role="status"></p>'
        "</div></section></div>"
    )


def take_in(most: int, *, private: bool) -> str:
    """What can be taken in, beside the box or the button for it."""
    size = f"{most // 2**20} MB"
    if private:
        said = f"A zip or a judgements.jsonl of this program, up to {size}. What is here stays; what is known is not "
        said += "counted twice."
    else:
        # Gradio's limit on uploads holds for all components of a page: raising it for this one would let strangers
        # fill the disk through any other.
        said = (
            f"Paste the lines of a judgements.jsonl, up to {size} with what is here already: this public page takes no "
            "files. It is kept for this browser alone."
        )
    return f'<h3 id="board-in">Continue an earlier evaluation</h3><p class="board-said">{esc(said)}</p>'


def taken(found: Taken | str) -> str:
    """What became of an import; a text is why nothing did."""
    if isinstance(found, str):
        return f'<p class="taken is-refused" role="status">{esc(found)}</p>'
    parts = [f"{count(found.added, 'entry').replace('entrys', 'entries')} taken in"]
    parts += [f"{found.known:,} already here"] if found.known else []
    parts += [f"{count(found.refused, 'line')} refused"] if found.refused else []
    if not found.added and not found.known and not found.refused:
        return taken("There is no judgement in that.")
    items = "".join(f"<li>{esc(why)}</li>" for why in found.told)
    more = found.refused - len(found.told)
    items += f"<li>{more:,} more lines were refused.</li>" if more > 0 else ""
    listed = f'<ul class="board-cautions" aria-label="Refused lines">{items}</ul>' if items else ""
    return f'<div class="taken" role="status"><p>{esc(", ".join(parts))}.</p>{listed}</div>'


def list_intro(most: int, *, private: bool) -> str:
    """What a list may be, said before it is given."""
    forms = "one query a line, a table with a column <code>query</code>, or JSON lines as in <code>queries.jsonl</code>"
    files = "Paste or upload" if private else "Paste"
    return (
        '<h2 class="sr-only">Queries</h2><p class="list-intro">Ask a whole list both ways and see where the rankings '
        f"differ most. {files} {forms}: up to {most:,} queries of {LONGEST_QUERY} characters, "
        f"{MOST_LIST_BYTES // 2**20} MB. It is asked with what is set under Compare: where to search, results, weights.</p>"
    )
