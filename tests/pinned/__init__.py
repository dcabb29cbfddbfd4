"""What commit 2136201 wrote and answered, kept so that restructuring can be held against it.

`make` wrote everything here, `stored` and `views` hold all imports of the program, `structure` compares two folders of
pinned views without their wording. See `tests/test_pinned.py`.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in every test: sums in another order differ in the last digit
