"""Capturing process and what keeps it alive."""
