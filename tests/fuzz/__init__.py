"""Ten thousand damaged files through the real ingest code, and what is promised about each of them.

seeds       files to begin with: good ones, hostile ones, and the small corpus that earlier runs found
mutations   damage to the bytes of any file, and the structure-aware damage that its kind allows
containers  damage that knows chunks, segments and directories of pictures
documents   damage that knows objects, numbers and streams of a PDF
trial       one file through `inspect` and `render`: its outcome, and the promise that it broke
worker      a process that tries one damaged file after another                          <- read first
campaign    worker processes watched from outside, and the figures of a run
"""
