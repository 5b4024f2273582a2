"""Silence: the level under which nothing is to be heard, and nothing gets a label."""

SILENCE_DB = -120.0
"""Mean square in dBFS; a single step of 16 bits in each second is above it."""

SILENT_POWER = 1e-12
"""The same as a mean of squared samples."""
