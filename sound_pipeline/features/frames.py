"""Windows of sound to the overlapping frames that a Fourier transform takes, at any sample rate."""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from sound_pipeline.features.config import FeatureConfig

# Where the hop is no whole number of samples, frames may start up to 1/512 of their length off
# their time: there Hann's window has not risen above -88 dB, so moving the window inside the frame
# makes good for it.
_RUNS_IN_A_FRAME = 256


class Frames(NamedTuple):
    """Frames ready for a Fourier transform.

    Attributes:
      samples: float32 [batch, frames, at least `length`], under Hann's window, whose height lets a
        sound have the same spectrum at every rate; what lies beyond `length` has no meaning.
      length: int32 scalar, samples in a frame.
    """

    samples: tf.Tensor
    length: tf.Tensor


def hann_frames(waveform: tf.Tensor, sample_rate_hz: tf.Tensor, config: FeatureConfig) -> Frames:
    """Cuts windows into frames: the window over frame i is centred on i * `hop_seconds`.

    Outside the waveform are zeros.

    Args:
      waveform: float32 [batch, samples], exactly one window long.
      sample_rate_hz: int32 scalar, Hz.
      config: gives the frames' length, hop and number, which are durations.
    """
    rate = tf.cast(sample_rate_hz, tf.float64)
    length = tf.cast(tf.round(rate * config.spectrogram.frame_seconds), tf.int32)
    hop = rate * config.spectrogram.hop_seconds
    # Copying runs of samples is many times faster than gathering single ones, so frames consist of
    # whole runs, and start where a run does.
    is_whole = tf.abs(hop - tf.round(hop)) < 1e-6
    run = tf.where(
        is_whole,
        _longest_run(tf.cast(tf.round(hop), tf.int32), length),
        tf.maximum(length // _RUNS_IN_A_FRAME, 1),
    )
    starts = tf.range(config.frames, dtype=tf.float64) * hop
    first = tf.cast(tf.round(starts / tf.cast(run, tf.float64)), tf.int32)
    in_frame = -(-length // run)
    runs = first[-1] + in_frame
    before = length // 2
    after = tf.maximum(runs * run - before - tf.shape(waveform)[1], 0)
    padded = tf.pad(waveform, [[0, 0], [before, after]])[:, : runs * run]
    index = first[:, tf.newaxis] + tf.range(in_frame)
    frames = tf.gather(tf.reshape(padded, [-1, runs, run]), index, axis=1)
    frames = tf.reshape(frames, [-1, config.frames, in_frame * run])
    late = tf.cast(starts - tf.cast(first * run, tf.float64), tf.float32)
    late = late[: tf.where(is_whole, 1, config.frames)]  # zero in all
    # A Fourier sum grows with its length: at twice the rate, to twice as much.
    height = tf.cast(config.spectrogram.frame_length / length, tf.float32)
    return Frames(frames * _hann(length, late, in_frame * run, height), length)


def _longest_run(hop: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Longest run that hops consist of, where frames of such runs are not much too long."""
    # All candidates at once: a loop could not be computed when a graph of one rate is made.
    candidates = tf.range(1, hop + 1)
    fits = tf.equal(hop % candidates, 0) & (8 * (-length % candidates) <= length)
    return tf.reduce_max(tf.where(fits, candidates, 1))


def _hann(length: tf.Tensor, late: tf.Tensor, width: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    """Periodic windows of `length` samples that start `late`: [windows] -> [windows, width]."""
    radians = 2.0 * math.pi / tf.cast(length, tf.float32)
    phase, start = radians * tf.range(width, dtype=tf.float32), radians * late[:, tf.newaxis]
    # 0.5 - 0.5 cos(phase - start), without a cosine for every sample of every window.
    half = 0.5 * height
    return half - (half * tf.cos(start)) * tf.cos(phase) - (half * tf.sin(start)) * tf.sin(phase)
