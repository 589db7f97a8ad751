"""Comparisons: recipes of tasks x methods x seeds, the runs that are kept of them, and honest statistics."""
