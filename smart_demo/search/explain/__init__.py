"""Explanations of a page's score and rank: pure functions of arrays and frozen values, without model, store or markup.

    match_tokens(query, page) -> Match                  all cosines of one query and one page
    attribute(match, weights) -> Attribution            what each word adds to the score, and its best match
    similarity_map, whole_query_map, winner_map         numbers on the page; colour_range: their common range
    draw_map, encode_webp                               maps -> RGBA -> bytes of a picture to lay over the page
    find_crop(attribution, width, height, slot) -> EvidenceCrop | NoPlace
                                                        the part of the page in which most of the late score was won
    compare_pages(attribution, attribution)             why X passed Y, adding up to the difference of the scores
    sweep_late_weight, find_first_place_weights, find_swap_weight
                                                        ranks under other weights, from the parts of a search

Similarity is not a reason: causal states mix the tokens before them, so write "similar", never "attended to".
"""

from smart_demo.search.explain.attribution import Attribution, PairDifference, PairRow, Term, attribute, compare_pages
from smart_demo.search.explain.evidence_crop import EvidenceCrop, Mark, NoPlace, Slot, find_crop
from smart_demo.search.explain.heat_maps import (
    MAX_ALPHA,
    ColourRange,
    Measure,
    PageMap,
    colour_range,
    draw_map,
    encode_webp,
    similarity_map,
    viridis,
    whole_query_map,
    winner_map,
)
from smart_demo.search.explain.informative_terms import STOPWORDS, select_informative_terms
from smart_demo.search.explain.matching import Cell, Match, TokenLocation, match_tokens
from smart_demo.search.explain.weight_sweep import (
    MAX_LATE_WEIGHT,
    Sweep,
    find_first_place_weights,
    find_swap_weight,
    late_weights,
    sweep_late_weight,
)

__all__ = [
    "MAX_ALPHA",
    "MAX_LATE_WEIGHT",
    "STOPWORDS",
    "Attribution",
    "Cell",
    "ColourRange",
    "EvidenceCrop",
    "Mark",
    "Match",
    "Measure",
    "NoPlace",
    "PageMap",
    "PairDifference",
    "PairRow",
    "Slot",
    "Sweep",
    "Term",
    "TokenLocation",
    "attribute",
    "colour_range",
    "compare_pages",
    "draw_map",
    "encode_webp",
    "find_crop",
    "find_first_place_weights",
    "find_swap_weight",
    "late_weights",
    "match_tokens",
    "select_informative_terms",
    "similarity_map",
    "sweep_late_weight",
    "viridis",
    "whole_query_map",
    "winner_map",
]
