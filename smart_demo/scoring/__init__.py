"""Turn encodings into parts, scores and rankings. One formula serves every method.

    pooled = z_q · z_c                                    cosine of the pooled vectors, [-1, 1]
    late   = mean over query tokens of max over page tokens of t_q · t_c        [-1, 1]
    score  = λp · pooled + λl · late                      (paper section 3; late is a sum under Reduce.SUM)

ranking      `compute_parts` reads and multiplies once per query; `combine` scores; `rank` ranks for any method
kernel       MaxSim: the best cosine of each query token on each page, from the stored codes
int8         8-bit queries for 8-bit pages, and the fastest exact product on this machine
gpu          the same maxima on a GPU, with a memory budget
thread_pool  one thread per core, each multiplying alone

Nothing is padded, so no page's score depends on its neighbours. Importing this does not import torch.
"""

from smart_demo.scoring.int8 import product_reason
from smart_demo.scoring.kernel import cosines, maxima, token_maxima
from smart_demo.scoring.ranking import TIE_DECIMALS, combine, compute_parts, contributions, late_scores, rank

__all__ = [
    "TIE_DECIMALS",
    "combine",
    "compute_parts",
    "contributions",
    "cosines",
    "late_scores",
    "maxima",
    "product_reason",
    "rank",
    "token_maxima",
]
