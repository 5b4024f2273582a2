"""Live labels: from the samples of a microphone to the events a person reads.

Samples flow one way: `capture` or a recording, the `gate`, `segments`, the model, `events` and
`output`. Only the model needs TensorFlow, only `capture` a device, and what the gate and the
segments say depends on the samples alone: not on a clock, not on how the stream is cut into
blocks.
"""
