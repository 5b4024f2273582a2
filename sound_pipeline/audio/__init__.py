"""Bytes to a waveform, told apart by content, by three ways in.

- In the graph: `decoding.decode_file`, an op on a path, which knows every format and never
  raises. Where no Python runs: `decoding.decode_file_in_graph` on a path, `decoding.decode_audio`
  on contents, and `wav.decode_wav`, which knows WAV alone, by the core ops that exported models
  are made of.
- Whole: `decoding.decode_whole`, a path or contents to a waveform and its rate, or a reason.
- Block by block: `reader.AudioReader`, in constant memory; without TensorFlow, where that is
  missing, or with all channels.

Samples at another rate: `resampling` and, in the graph, `resampling_ops`. The other modules are
what these are made of, and nobody else's to import; tests/audio/test_ways_in.py holds that.
"""
