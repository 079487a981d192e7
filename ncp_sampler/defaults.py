"""Default settings that ``--help`` shows, in a separate file to avoid an import of PyTorch."""

STRATEGIES = ("continuous", "winner_takes_all")  # Names of the propagation strategies

# Coefficient beta of the lower confidence bound of offline searches, in standard deviations. Among
# 0, 1, 2, 3, 4 and 6 it is the best compromise over Cls-A, Seg and Video on splits 0 and 2, scored
# by held-out evaluators (decision 0020)
BETA = 3.0
