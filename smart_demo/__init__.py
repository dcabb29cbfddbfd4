"""SMART late interaction on your own documents: pooled-only and SMART rankings, side by side."""

import os

# Before numpy is imported by anybody: its threads go on turning for a while after each product and take the cores from
# torch's, which score. W of `make bench` took 17 ms with them and 10 ms without.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
