"""SMART late interaction on your own documents: pooled-only and SMART rankings, side by side."""

import os

# Set before numpy and torch are imported: their threads spin for a while after each operation and take cores from the
# scoring threads. A search took 17 ms with numpy's threads and 10 ms without (row W of `make bench`). Torch's threads
# spin just long enough that encoding a query costs no more (6.6 ms by minilm), and scoring then takes 2 ms less.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
