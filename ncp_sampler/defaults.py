"""Default settings that ``--help`` shows, kept apart so that it need not import PyTorch."""

STRATEGIES = ("continuous", "winner_takes_all")  # Names of the propagation strategies

# Coefficient beta of an offline search's lower confidence bound, in standard deviations; of 0, 1,
# 2, 3, 4 and 6 the best compromise over Cls-A, Seg and Video on splits 0 and 2, by held-out
# evaluators that the search never saw (decision 0021)
BETA = 3.0
