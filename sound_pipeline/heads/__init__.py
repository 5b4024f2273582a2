"""Classifier on embeddings: fitted, calibrated, combined."""
