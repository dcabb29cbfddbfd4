"""SMART late interaction on your own documents: pooled-only and SMART rankings, side by side."""

import os

# Set before numpy and torch are imported: their threads spin for a while after each operation and take cores from the
# scoring threads. W of `make bench` took 17 ms with numpy's threads and 10 ms without. torch's threads now spin just
# long enough that a query is encoded as fast as ever (6.6 ms by minilm), and scoring after it takes 2 ms less.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
