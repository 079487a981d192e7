"""Settings that ``--help`` shows, and that are known before PyTorch is imported for that."""

STRATEGIES = ("continuous", "winner_takes_all")  # the shorthands of propagation

# Confidence coefficient of an offline search; of 0, 1, 2, 3, 4 and 6 the best compromise over Cls-A,
# Seg and Video on splits 0 and 2, by held-out evaluators (decision 0021)
BETA = 3.0
