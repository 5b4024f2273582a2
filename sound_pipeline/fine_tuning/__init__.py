"""An extractor's network trained further on the recordings."""
