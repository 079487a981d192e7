"""Offline searches judged by tables that hold the true value of every architecture."""
