"""What every test run shares."""

import os

# One thread per process: with two busy cores, threads that wait for each other made tiny models seven times slower.
# Set before torch is first imported; whoever measures something sets it otherwise.
os.environ.setdefault("OMP_NUM_THREADS", "1")
