"""Waveform to windows to log-mel spectrograms to images."""
