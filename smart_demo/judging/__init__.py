"""Blind comparison and grading by people.

trials          a query searched under one set of conditions, and the random sides of its columns      <- read first
records         the events about trials (votes, grades, skips), and `Judgements`: what they amount to
journal         one owner's events in an append-only file; its `SessionHeader` holds the seed of the sides
query_list      a pasted or uploaded list of queries, parsed; list_comparison compares pooled and SMART over one
judging_store   every owner's journal and `Worklist`: the queries to judge, in order, and the open one
outcome_counter on how many judged questions the right ranking is better, counted in the background
scoreboard      wins, means and intervals under the same conditions; archive exports them with the journal
"""
