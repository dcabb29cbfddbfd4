"""Damaged files through the real ingest code, and what is promised about each of them.

seeds           files to begin with: good ones, hostile ones, and the small corpus that earlier runs found
damage          damage to the bytes of any file, and damage by its structure
picture_damage  damage to chunks, segments and directories of pictures
pdf_damage      damage to objects, numbers and streams of a PDF
coverage        which lines of the readers ran
attempt         one file through `inspect` and `render`: its outcome, and the promises that it broke
worker          a process that tries one damaged file after another                      <- read first
campaign        worker processes watched from outside, and the results of a run
"""
