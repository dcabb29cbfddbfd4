"""Offline evaluation on judged queries: metrics, collections, runs and reports.

runner       judged queries through a search, and the report of a run                <- read first
metrics      nDCG, recall, MRR, the paired bootstrap and the sign test               pure functions
rank_overlap RBO and Kendall's tau of two rankings                                   pure functions
judgements   which pages answer which query, read from queries.jsonl
documents    a folder of documents, indexed into a temporary library
collections  a collection in a folder or on the hub, of texts (BEIR) or pages (ViDoRe)
hub          the files of a dataset on the hub
pages        collections of page images          texts   collections of texts, ranked without a library
cranfield    the Cranfield 1400 collection
tables       rows of JSON lines, CSV, TSV and Parquet files, and the folders that hold them
query_sets   ids, queries and grades of those rows
trec         qrels and run files
"""
