"""The evidence behind the claim, by one command: what is measured, with which settings, and how sure it is.

gather     the order of it all -> evidence.json                             <- read first
bench      a judged collection, encoded once, its token states whole
standing   the same parts under any weights: values, curves, intervals
markers    the code-marker stress test: pairs of reports, pure data         sheets, charts draw them
binding    which of two equal bags binds what was asked, in both directions
ablations  one setting moved at a time
tables     evidence.json -> Markdown tables                                 plots -> PNG
writing    evidence.json, evidence.md and the README's blocks
"""

from smart_demo.evidence.gather import PARTS, Plan, gather
from smart_demo.evidence.report import write

__all__ = ["PARTS", "Plan", "gather", "write"]
