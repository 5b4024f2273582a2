"""Scores over time to events, the thresholds they must reach, and how events read as text."""
