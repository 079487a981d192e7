"""Offline search evaluated on tables with the true value of every architecture."""
