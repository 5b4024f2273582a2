"""Synthetic data set of `make demo`."""
