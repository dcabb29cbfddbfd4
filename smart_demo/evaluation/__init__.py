"""Offline evaluation on judged queries: metrics, collections, runs and reports.

runner       judged queries through a search, and the report of a run                     <- read first
metrics      nDCG, recall, MRR, the paired bootstrap, the sign test, RBO, Kendall's tau   pure functions
query_sets   which pages answer which query: queries.jsonl, and the rows of tables
documents    a folder of documents, indexed into a temporary library
collections  a collection in a folder or on the hub, of texts (BEIR) or pages (ViDoRe)
pages        collections of page images          texts   collections of texts, ranked without a library
cranfield    the Cranfield 1400 collection
tables       rows of JSON lines, CSV, TSV and Parquet files, and the folders that hold them
trec         qrels and run files
"""
