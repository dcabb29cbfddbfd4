"""evidence.json -> evidence.md: what was run, the tables, and what they do not say."""

from __future__ import annotations

from collections.abc import Iterator

from smart_demo.backbones.minilm import WINDOW
from smart_demo.evidence import tables
from smart_demo.evidence.standing import Json

HEADINGS = {"text": "Text", "pages": "Pages", "binding": "Binding", "ablations": "Ablations"}
TRIED = """\
- **Not tried here**: the Qwen weights (no GPU at hand; the same command runs them), the adapter, ViDoRe, other text
  collections, other text embedders, trained late interaction, a tuned weight on held-out collections.
- Cranfield is one old, small collection on one subject. The sample library, its queries and its judgements were made by
  one person for this demo. Intervals say how far other queries of the same sort could move a figure, not how it would
  be on other documents.
- To our knowledge nobody has published SMART on text. That is a statement about what we found, not a proof."""


def document(evidence: Json) -> str:
    """The whole of evidence.md."""
    return "\n\n".join(_paragraphs(evidence)) + "\n"


def _paragraphs(evidence: Json) -> Iterator[str]:
    made, encoder = evidence["made"], evidence["encoder"]
    yield "# Evidence"
    yield (
        f"Made by `{made['command']}` at commit `{made['commit'][:12] or 'unknown'}`"
        f"{' with changes' if 'changes' in made['commit'] else ''}, {made['date']}."
    )
    yield (
        f"Encoder: {encoder['name']} ({encoder['model']}, fingerprint `{encoder['fingerprint']}`), frozen; token "
        f"states kept as {encoder['codec']}. Scores that agree to six decimals are ties and stand in the order of "
        "their ids. nDCG has linear gain, as trec_eval's. Intervals are paired bootstraps "
        f"({made['resamples']:,} resamples, seed {made['seed']['resampling']}); a difference whose interval holds 0 is "
        "no finding."
    )
    yield "Versions: " + ", ".join(f"{name} {version}" for name, version in made["versions"].items()) + "."
    for part, write_part in (("text", _text), ("pages", _pages), ("binding", _binding), ("ablations", _ablations)):
        yield f"## {HEADINGS[part]}"
        if "left_out" in evidence[part]:
            yield evidence[part]["left_out"]
        else:
            yield from write_part(evidence[part], evidence)
    yield "## What was not tried, and what this is not"
    yield TRIED


def _text(own: Json, evidence: Json) -> Iterator[str]:
    tokens = own["tokens"]
    window = "cut at the encoder's window"
    if evidence["encoder"]["name"] == "minilm":
        full = tokens["with_most"] if tokens["most"] == WINDOW else 0
        window = (
            f"cut at 512 positions and never windowed ({full} fill all {WINDOW} word pieces, so their ends may be gone)"
        )
    yield (
        f"{own['collection']}: {own['documents']:,} texts, {own['queries']} queries, every text ranked for every "
        f"query. A text is its field .W (the title where that is empty), {window}. "
        "The gain of a judged text is 5 − grade, not below 1, and 1 for the paper a query came from; copies of the "
        "collection disagree about which end of the grades is best, on which recall and MRR do not depend. "
        f"{_ties(own)} {' '.join(own['notices'])}"
    )
    yield from _collection(own, "text", evidence)


def _pages(own: Json, evidence: Json) -> Iterator[str]:
    tokens = own["tokens"]
    yield (
        f"The sample library: {own['documents']} pages, {own['queries']} judged queries, ranked among all pages; "
        f"{tokens['fewest']} to {tokens['most']} token states a page. {_ties(own)} {' '.join(own['notices'])}"
    )
    yield from _collection(own, "pages", evidence)
    yield "nDCG@10 by kind of query; few queries each, so read the counts before the means:"
    yield tables.kinds(own)


def _collection(own: Json, part: str, evidence: Json) -> Iterator[str]:
    yield tables.methods(own)
    yield tables.differences(own)
    yield "nDCG@10 as the late part's weight grows, pooled staying at 1, each with its interval against pooled:"
    yield tables.curve(own)
    yield _chosen(own)
    if part == next(one for one in ("text", "pages") if "curve" in evidence[one]):
        yield "![nDCG@10 over the weight of the late part](evidence-weights.png)"


def _ties(own: Json) -> str:
    ties = own["ties"]
    counts = f"{ties['pooled']} queries pooled, {ties['late']} late, {ties['smart']} SMART"
    return f"Ties within the first ten places: {counts}."


def _chosen(own: Json) -> str:
    """What the best weight of the curve is worth, told without letting it flatter itself."""
    found = own["chosen"]
    best = f"The curve is highest at λ {found['best']:g} ({found['best_value']:.3f}), on the queries it is drawn from."
    if "picked" not in found:
        return best
    picked = found["picked"]
    return (
        f"{best} Chosen on a random half of the queries and measured on the other ({found['splits']:,} times), the "
        f"weight lies at {picked['low']:g} to {picked['high']:g} (middle {picked['middle']:g}) and changes nDCG@10 by "
        f"{tables.signed(found['gain_over_one'])} over λ 1."
    )


def _binding(own: Json, evidence: Json) -> Iterator[str]:
    tokens = own["tokens"]
    sees = evidence["encoder"]["visual_tokens"] > 0
    yield (
        f"The paper's code-marker stress test, rebuilt from its description: {own['pairs']} pairs of reports with "
        f"{own['panels']} chart panels each (seed {own['seed']}). B has A's layout, charts, markers and codes and only "
        "permutes which code stands with which marker, so that no panel keeps its own: as bags the two are equal. "
        f'{own["questions"]:,} questions such as "find the report where code K7Q2 labels the red star marker", one for '
        "every panel of A and one for every panel of B; only the pair's two reports are ranked; a tie counts half."
    )
    yield "![Reports A and B of the first pair: the same bag, other bindings](evidence-reports.png)"
    yield tables.binding(own)
    ties = ", ".join(
        f"{sum(side[name] for side in own['ties'].values())} {tables.NAMES[name]}"
        for name in ("pooled", "late", "smart")
    )
    yield (
        "In brackets the 95 % interval over pairs: the questions of a pair depend on each other, so whole pairs are "
        "drawn. The paper's own error (binomial, ±1.6 points) takes 1,000 questions for independent and is too small. "
        "One-sided is the mean over pairs of |accuracy on A's questions − accuracy on B's|: 0 is no preference between "
        "the reports, 1 a system that never looks at the question. "
        f"Ties, of {own['questions']:,}: {ties}. The reports of a pair have pooled vectors with a mean cosine of "
        f"{own['pooled_cosine']:.4f}."
    )
    yield (
        "One direction alone says little: pooled's interval on A's questions is "
        f"{tables.span(own['intervals']['a_to_b']['pooled'])} %, and what moves it is which report of a pair is "
        "preferred, whatever is asked. Over both directions such a preference cancels."
    )
    yield "\n".join(_differs(evidence["encoder"]["name"], tokens, sees=sees))
    yield "Accuracy as the late part's weight grows:"
    yield tables.binding_curve(own)
    yield "![Binding accuracy in both directions](evidence-binding.png)"


def _differs(encoder: str, tokens: Json, *, sees: bool) -> Iterator[str]:
    yield "What differs from the paper's test:"
    yield ""
    if sees:
        yield "- The encoder sees the drawn reports, as the paper's does. Layout, charts, markers and codes are ours."
    else:
        yield (
            "- **The encoder reads words.** It sees no shapes, so the text of a panel spells its marker beside its "
            'code ("red star K7Q2"), panel by panel, row by row. That is a test of binding in text, not of seeing.'
        )
    if encoder == "minilm" and tokens["most"] <= WINDOW:
        yield (
            f"- A report is {tokens['fewest']} to {tokens['most']} word pieces (mean {tokens['mean']:.0f}), within "
            f"minilm's window of {WINDOW}: one pass sees the whole report and nothing is cut."
        )
    yield "- Both directions are asked. The paper's 1,000 questions are 25 a pair: one direction."
    yield "- The paper's pages, codes and markers are not at hand; ours follow their description."
    yield "- The paper's figures are Qwen3-VL-Embedding-2B's, as transcribed from the paper; not measured again here."


def _ablations(own: Json, evidence: Json) -> Iterator[str]:
    yield (
        "One setting moved at a time. Columns: late only, SMART, and SMART minus the default with its interval. "
        "Binding is accuracy over both directions, in per cent; its change is in shares. A dash: cannot change (the "
        "late-only ranking under another λ or a sum), or not measured (other encoders on the texts, which would "
        "have to be encoded again for each). With so many comparisons, one interval in twenty misses by chance alone."
    )
    yield tables.ablations(own)
    if any(row["factor"] == "late layer" and row["pages"] for row in own["rows"]):
        yield (
            "Late layer k: the late part from the states of layer k, pooled always from the last (the paper's Table 4, "
            "right half). States below the last are L2-normalised as they are; minilm's layers end in a norm of their "
            "own, Qwen's are the raw residual stream, without the final norm and before DeepStack's addition."
        )
        yield "![Quality by the layer of the late states](evidence-layers.png)"
