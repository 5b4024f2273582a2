"""Metrics of a model, and their uncertainty."""
