"""The synthetic data set of `make demo`."""
