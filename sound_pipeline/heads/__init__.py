"""The classifier on embeddings: fitted, calibrated, combined."""
