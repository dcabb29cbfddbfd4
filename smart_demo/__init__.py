"""SMART late interaction on your own documents: pooled-only and SMART rankings, side by side."""

import os

# Before numpy and torch are imported by anybody: their threads go on turning for a while after what they did and take
# the cores from those that score. W of `make bench` took 17 ms with numpy's and 10 ms without. torch's turn so long
# that a query is encoded as fast as ever (6.6 ms by minilm), and scoring after it takes 2 ms less.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
