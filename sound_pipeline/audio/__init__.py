"""Bytes to a waveform: in the graph, whole, or block by block."""
