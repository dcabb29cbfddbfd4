"""Why a page stands where it stands: pure arrays and frozen values, no model, no store, no markup.

    match(query, page) -> Match                      all cosines of one query and one page, once
    attribute(match, weights) -> Attribution         what each word adds to the score, and where it matched
    similarity_map, whole_query_map, winner_map      scalars on the page; range_of gives them one range of colours
    draw, encode                                     maps -> RGBA -> bytes of a picture to lay over the page
    compare(attribution, attribution) -> Pair        why X passed Y, adding up to the difference of the scores
    sweep, first_place, swap                         ranks under other weights, from the parts of a search

Similarity is not a reason: causal states mix what came before them, so say "similar", never "attended to".
"""

from smart_demo.search.explain.attribution import Attribution, PairDifference, PairRow, Term, attribute, compare
from smart_demo.search.explain.heat_maps import (
    OPAQUE,
    ColourRange,
    Measure,
    PageMap,
    draw,
    encode,
    range_of,
    similarity_map,
    table,
    whole_query_map,
    winner_map,
)
from smart_demo.search.explain.matching import Cell, Match, Spot, match
from smart_demo.search.explain.weight_sweep import LARGEST, Sweep, first_place, late_weights, swap, sweep

__all__ = [
    "LARGEST",
    "OPAQUE",
    "Attribution",
    "Cell",
    "ColourRange",
    "Match",
    "Measure",
    "PageMap",
    "PairDifference",
    "PairRow",
    "Spot",
    "Sweep",
    "Term",
    "attribute",
    "compare",
    "draw",
    "encode",
    "first_place",
    "late_weights",
    "match",
    "range_of",
    "similarity_map",
    "swap",
    "sweep",
    "table",
    "whole_query_map",
    "winner_map",
]
