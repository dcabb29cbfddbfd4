"""Crash trials: `python -m tests.chaos --trials 200 --seed 1`. What was acknowledged is there afterwards, whole.

children   processes that are killed, and what they said until then
pages      what is kept in the trials: made from names, so that anybody can say what every byte must be
ledger     what was acknowledged, and what a library that was opened again may therefore show
life       what a process does with the library until it is killed
witness    opens the library afterwards and compares every byte
kills      kills at random moments, during recovery and in the moment when Chroma rewrites its files
steps      deaths after every n-th call that changes a disk or Chroma
damage     lost, zeroed, cut and altered files of Chroma
mutations  altered token files and pictures
full       disks that are full at any byte
serving    the real server, killed while it takes an upload and while it answers
"""
