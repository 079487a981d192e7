"""The command ``ncp-sampler`` (offline searches, summaries of studies), and training studies."""
