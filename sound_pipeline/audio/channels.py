"""Channels of a recording to one: their mean, or one of them where the mean would cancel out.

Some recorders write one channel inverted; the mean of such a recording is silence, or what only one
side has, such as hum. Channels that have nothing to do with each other leave a mean with one nth of
their mean power; one with less than half of that has lost sound (two channels: a correlation under
-0.5), and then a single channel is heard. Constant offsets don't count.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

REMARK = "its channels cancel each other out: channel {} of {} is heard alone"
"""What to say of such a recording, with the number of the channel, from 1, and how many it has."""

MEAN = -1
"""In place of a channel's number: the mean of all."""

# Of the power that is left where channels have nothing to do with each other.
LEAST_LEFT = 0.5
# Of the loudest channel's power, 12 dB: a quieter one may hold nothing at all.
LEAST_POWER = 10**-1.2
# Channels whose powers differ by no more than 1 dB: the first of them, by every decoder.
ALIKE = 10**0.1


def channel_to_hear(count: int, sums: npt.NDArray[np.float64]) -> int:
    """Number of the channel to take in place of the mean, or `MEAN`.

    Of those within 12 dB of the loudest it is the quietest (the first of several, to 1 dB): what
    another has beyond it, such as hum, that one has alone.

    Args:
      count: frames of the recording.
      sums: float64 [2, channels + 1], over all frames: of the samples and of their squares, of each
        channel and, last, of the mean.
    """
    channels = sums.shape[1] - 1
    if channels < 2 or not count:
        return MEAN
    power = np.maximum(sums[1] / count - np.square(sums[0] / count), 0.0)
    of_channels, of_mean = power[:-1], power[-1]
    if of_mean >= LEAST_LEFT * of_channels.sum() / channels**2:
        return MEAN
    is_heard = of_channels >= LEAST_POWER * of_channels.max()
    candidates = np.where(is_heard, of_channels, np.inf)
    return int(np.argmax(candidates <= ALIKE * candidates.min()))


def remark(channel: int, channels: int) -> str:
    """`REMARK`, or nothing where `channel` is `MEAN`."""
    return "" if channel == MEAN else REMARK.format(channel + 1, channels)


def channel_sums(frames: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Part of some frames [n, channels] in the `sums` of `channel_to_hear`: float64, as there."""
    wide = np.asarray(frames, np.float64)
    both = np.column_stack([wide, wide.mean(axis=1)])
    return np.stack([both.sum(axis=0), np.square(both).sum(axis=0)])
