"""Colours and font sizes that the figures share; figures are drawn at 100 dots an inch."""

from __future__ import annotations

# Okabe and Ito's, told apart by colour-blind readers too
BLUE, RED, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK = "#E69F00", "#56B4E9", "#000000"
COLORS = (BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK)
DPI = 100
SMALL, MEDIUM, LARGE = 8, 9, 11  # font sizes in points

# of MRSpace's channels, 8 to 128
CHANNEL_TICKS = (8, 32, 64, 96, 128)
