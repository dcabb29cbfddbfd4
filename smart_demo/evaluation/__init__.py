"""What late interaction is worth on judged queries: metrics, judgements and collections.

metrics     nDCG, recall, MRR of one ranking; the paired bootstrap           pure functions
judgements  which pages answer which query, read from queries.jsonl
runs        judged queries through a search
report      means by method and kind, as JSON and as text
documents   a folder of documents in a throw-away library                    <- read first
cranfield   the Cranfield 1400 collection, texts instead of pages
"""

from smart_demo.evaluation.cranfield import evaluate_cranfield
from smart_demo.evaluation.documents import evaluate_documents
from smart_demo.evaluation.report import Report

__all__ = ["Report", "evaluate_cranfield", "evaluate_documents"]
