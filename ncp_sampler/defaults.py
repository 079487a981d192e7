"""Default settings that ``--help`` shows, in a module that does not import PyTorch."""

STRATEGIES = ("continuous", "winner_takes_all")  # Names of the propagation strategies

# Coefficient beta of the lower confidence bound of offline searches, in standard deviations. Among
# 0, 1, 2, 3, 4 and 6, this value is the best compromise for the tasks Cls-A, Seg and Video on
# splits 0 and 2, scored by held-out evaluators (docs/decisions/0020-offline-members.md)
BETA = 3.0
