"""Offline searches evaluated by tables with the true value of every architecture."""
