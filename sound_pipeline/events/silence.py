"""Silence: the level under which nothing is to be heard, and nothing gets a label."""

SILENCE_DB = -120.0
"""Mean square in dBFS; one step of 16 bits every 900 samples is above it."""

SILENT_POWER = 10 ** (SILENCE_DB / 10)
"""The same as a mean of squared samples."""
