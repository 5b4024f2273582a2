"""Embeddings made once and kept; shards of a data set."""
