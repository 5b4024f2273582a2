"""A recording read block by block, however long it is."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from types import TracebackType

from sound_pipeline.audio import libsndfile
from sound_pipeline.audio.libsndfile import DecodedBlock
from sound_pipeline.errors import UnreadableError
from sound_pipeline.system.arrays import Floats
from sound_pipeline.system.filesystem import open_binary, stamp
from sound_pipeline.system.text import printable

logger = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 22
"""Of a WAV file that are read at a time; a shorter one is a block of its own."""


class AudioReader:
    """An open recording. As a context it closes the file at its end.

    Attributes:
      path: the file.
      sample_rate_hz: its rate.
      size_bytes: the file's length.
      blocks: float32 [n] each, n > 0: the mean over the channels, -1..1 for integer encodings;
        or all channels, [n, channels]. Raises UnreadableError where the rest can't be decoded, or
        some sample was no number.
      remark: one line on how it is decoded that isn't as it should be; '' usually.
    """

    def __init__(
        self,
        path: str,
        block_bytes: int = BLOCK_BYTES,
        *,
        tensorflow: bool = True,
        mono: bool = True,
    ) -> None:
        """Opens the file and decodes its first block.

        Args:
          path: a recording, told apart by content.
          block_bytes: how much of a WAV file is read at a time, about.
          tensorflow: whether the graph decodes WAV, as in training; False where TensorFlow is not
            installed: libsndfile decodes all.
          mono: False keeps the channels, and takes any sample rate; libsndfile decodes all.

        Raises:
          UnreadableError: it can't be opened or decoded.
        """
        self.path = path
        try:
            self._file = open_binary(path)
        except OSError as error:
            raise UnreadableError(printable(path), error.strerror or str(error)) from error
        try:
            self.size_bytes = stamp(path)[0]
            decoded = self._reported(self._decoded(block_bytes, tensorflow, mono))
            first = next(decoded)
        except BaseException:
            self._file.close()
            raise
        self.sample_rate_hz, self.remark = first.sample_rate_hz, first.remark
        self.blocks: Iterator[Floats] = (
            block.samples for block in itertools.chain([first], decoded)
        )

    @property
    def position_bytes(self) -> int:
        """Position of the decoder in the file, in bytes."""
        return self._file.tell()

    def log_remark(self) -> None:
        """Logs the remark as a warning, if there is one."""
        if self.remark:
            logger.warning("%s: %s", self.path, self.remark)

    def __enter__(self) -> AudioReader:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _decoded(self, block_bytes: int, tensorflow: bool, mono: bool) -> Iterator[DecodedBlock]:
        if not mono:
            return libsndfile.blocks(self._file)
        if not tensorflow:
            return libsndfile.mono_blocks(self._file)
        # Here, because it imports TensorFlow, which takes seconds and isn't on small devices.
        from sound_pipeline.audio.block_decoding import decoded_blocks

        return decoded_blocks(self._file, self.size_bytes, block_bytes)

    def _reported(self, decoded: Iterator[DecodedBlock]) -> Iterator[DecodedBlock]:
        try:
            yield from decoded
        except libsndfile.UndecodableError as error:
            raise UnreadableError(self.path, str(error)) from error
        except OSError as error:
            raise UnreadableError(self.path, error.strerror or str(error)) from error
