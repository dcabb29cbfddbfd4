"""Crash trials: `python -m tests.chaos --trials 200 --seed 1`. Everything acknowledged must survive, byte for byte.

children   forked processes that report their events over a pipe until they are killed
pages      the content of the trials, derived from names, so that the expected bytes are known at any time
ledger     the acknowledged operations, and what a reopened library may therefore contain
life       random operations that a process does with the library until it is killed
witness    opens the library afterwards and compares every byte
kills      kills at random moments, during recovery, and while Chroma rewrites its files
steps      kills after every n-th call that changes a disk or Chroma
damage     lost, zeroed, cut and altered files of Chroma
mutations  altered token files and pictures
full       disks that are full at any byte
serving    the real server, killed during an upload and while it answers
"""
