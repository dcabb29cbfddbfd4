"""What late interaction is worth on judged queries: metrics, judgements and collections.

metrics      nDCG, recall, MRR of one ranking; the paired bootstrap           pure functions
judgements   which pages answer which query, read from queries.jsonl
runs         judged queries through a search
runfiles     what was judged and ranked, as TREC files
report       means by method and kind, as JSON and as text
documents    a folder of documents in a throw-away library                    <- read first
pages        a collection of page pictures in a throw-away library
texts        a collection of texts without a library; text_search measures it, spool keeps its token states
cranfield    the Cranfield 1400 collection, read as texts
standard     BEIR-style and ViDoRe-style collections, by folder or hub name
hub          a dataset's files from the hub
layout       which files of a folder hold what
tables       rows of JSON lines, CSV, TSV and Parquet
row_fields   ids, grades and texts of a row
relevance    queries and qrels into judged queries
beir, vidore the two kinds of collections; album finds the pictures of the second

Manual evaluation, from what is shown to what is exported; all values, arithmetic and files, no screens:

sides         which method is column A, in what order pages are graded: lots drawn from a seed
trial         what one judgement was about                  recording   an answer of the engine -> a trial
events        votes, grades, skips, undos                   event_lines, trial_fields   as JSON, and back with doubt
journal       the file they are kept in                     verdicts    what they come to      <- read first
pool          which pages are graded                        scoreboard, vote_count, board_sentences   what follows
disagreement  RBO, Kendall's tau                            contrasts, highlights   a list of queries, five of them
query_list, list_rows   a pasted list, and its table          archive, trec_files, event_table   out, and in again
"""

from smart_demo.evaluation.collections import evaluate_standard
from smart_demo.evaluation.cranfield import evaluate_cranfield
from smart_demo.evaluation.documents import evaluate_documents
from smart_demo.evaluation.query_sets import CollectionOptions

__all__ = ["CollectionOptions", "evaluate_cranfield", "evaluate_documents", "evaluate_standard"]
