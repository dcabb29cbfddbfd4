"""Queries to try on the sample library: some that SMART answers better, one where nothing moves, one where it loses."""

EXAMPLES = (
    "maximum operating temperature of the Petrel 3",
    "how do I descale the machine",
    "revenue by region in 2024",
    "which price went up between the two editions",
    "flow rate of the Heron 600",
)
