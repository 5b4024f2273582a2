"""Extractors: from a window of sound to an embedding.

`gabor` is embedded in this package; everything else is a TF Hub module, for images or for
waveforms.
"""
