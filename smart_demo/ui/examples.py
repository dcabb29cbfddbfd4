"""Queries to try on the sample library. With the embedded model SMART lifts the right page in the first two and in the
last, changes nothing of weight in the third and loses in the fourth: a demo that never loses is not believed.
"""

EXAMPLES = (
    "restricted area, no anchoring",
    "lost-time injuries per million hours",
    "warranty in the 2023 price list",
    "wind rose of wave directions",
    "Wie wird die Boje verankert?",
)
