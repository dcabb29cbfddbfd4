"""The measurements behind the README's claims, made by one command.

experiments    what is measured, with which settings, in which order -> evidence.json    <- read first
weight_curves  one encoded collection under any weights: values, curves, intervals
binding        the code-marker stress test: pairs of reports, questions, accuracy
marker_pages   those reports as pages
report         evidence.json -> evidence.md and the README's blocks                      plots -> PNG

Beside them the command `reproduce`:

benchmarks           public sets of page images, and published figures: data
reproduction         measures them, set by set, and goes on after a kill
reproduction_report  its comparison with the published figures, as JSON and Markdown
"""

from smart_demo.evidence.experiments import PART_NAMES, Plan, run_experiments
from smart_demo.evidence.report import write_evidence

__all__ = ["PART_NAMES", "Plan", "run_experiments", "write_evidence"]
