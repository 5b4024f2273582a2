"""Whole path as one module: exported, and loaded again."""
