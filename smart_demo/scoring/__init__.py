"""Encodings -> parts -> scores -> rankings. One formula serves every method.

    pooled = z_q · z_c                                    cosine of the pooled vectors, [-1, 1]
    late   = mean over query tokens of max over page tokens of t_q · t_c        [-1, 1]
    score  = λp · pooled + λl · late                      (paper section 3; late is a sum under Reduce.SUM)

    gathering   `parts`: all the reading and multiplying of one query, once
    kernel      the best cosine of each query token on each page, from the codes as they are stored
    quantised   a query in 8 bits, for pages that are stored in 8 bits
    cores       a thread for each core, which multiply side by side
    products    how stored codes are multiplied here: measured once, with the reason in words
    device      the same on a GPU, where the states stay within a budget
    ranking     `combined`: the score; `rank`: the same parts into any method's ranking

Nothing is padded, so no page's score depends on its neighbours. Importing this does not import torch.
"""

from smart_demo.scoring.int8 import reason
from smart_demo.scoring.kernel import cosines, maxima, token_maxima
from smart_demo.scoring.ranking import TIE, combined, contributions, late, parts, rank

__all__ = [
    "TIE",
    "combined",
    "contributions",
    "cosines",
    "late",
    "maxima",
    "parts",
    "rank",
    "reason",
    "token_maxima",
]
