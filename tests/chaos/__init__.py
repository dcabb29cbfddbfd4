"""Crash trials: `python -m tests.chaos --trials 200 --seed 1`. Everything acknowledged must survive, byte for byte.

processes         forked processes that report their events over a pipe until they are killed
page_content      the pages of the trials, derived from names, so that the expected bytes are known at any time
operations_log    the acknowledged operations, and what a reopened library may therefore contain
operations        what a process does with the library until it is killed, and the library that trials begin with
checks            opens the library afterwards and compares every byte
kills             kills at random and aimed moments, in recovery, after every n-th change of a disk; full disks
damage            lost, zeroed, cut and altered files of Chroma
file_alterations  altered token files and pictures
server_kills      the real server, killed during an upload and while it answers
"""
