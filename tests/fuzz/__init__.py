"""Ten thousand damaged files through the real way in, and what was promised about each of them.

seeds       files to begin with: good ones, hostile ones, and what earlier runs found
mutations   damage: bytes of any file, and which structure-aware damage its kind allows
containers  damage that knows chunks, segments and directories of pictures
documents   damage that knows objects, numbers and streams of a PDF
trial       one file through `inspect` and `render`: what became of it, and what promise it broke
worker      a process that tries one damaged file after another                          <- read first
campaign    worker processes watched from outside, and the figures of a run
keeping     the small corpus that `make test` replays
"""
