"""Recordings on disk to batches that an extractor takes, whoever reads them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.audio.decoding import decode_file, decode_file_in_graph
from sound_pipeline.augmentation.copies import Plan
from sound_pipeline.errors import UserError
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.input_pipeline.batches import FILLER, Batch, DeliveryTracker
from sound_pipeline.input_pipeline.data_service import from_workers, until_stalled
from sound_pipeline.input_pipeline.window_graph import Decode, Prepare, window_batches

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class WindowReader:
    """Reads, decodes, cuts and prepares recordings, here or by the workers of a data service.

    Attributes:
      data_service: the dispatcher whose workers do this, such as grpc://host:5050; they must see
        the files under the same paths. Empty: this process does.
    """

    data_service: str = ""

    def read(
        self,
        paths: Sequence[str],
        prepare: Prepare,
        config: FeatureConfig,
        batch_size: int,
        plan: Plan | None = None,
    ) -> Iterator[Batch]:
        """Reads, decodes, cuts and prepares recordings, whatever their encoding.

        Each is read once. What workers of a data service lose is read again until all has come
        once: by them, and at last here, where libsndfile decodes what is damaged.

        Args:
          paths: audio files.
          prepare: an extractor's `prepare`: windows float32 [batch, samples] and their rate to
            what the extractor takes.
          config: gives the window's length and hop.
          batch_size: windows in a batch.
          plan: how each recording is augmented before it is cut; None for the recordings as they
            are.

        Yields:
          Every recording's audible windows and beginnings, or one row with the reason why it
          can't be read, in no particular order.

        Raises:
          UserError: the data service can't be reached, or a recording is in an encoding that its
            workers don't decode.
        """
        tracker = DeliveryTracker(len(paths))

        def graph(decode: Decode, positions: npt.NDArray[np.int32]) -> tf.data.Dataset:
            some = [paths[position] for position in positions]
            part = None if plan is None else plan.of(positions)
            return window_batches(some, decode, prepare, config, batch_size, part)

        missing = tracker.missing
        while len(missing):
            yield from self._first_pass(graph(self.decode, missing), paths, missing, tracker)
            before, missing = len(missing), tracker.missing
            if not self.data_service or len(missing) == before:
                break
        # Of a data service: what can't be read raised inside an op, and never arrived.
        if len(missing):
            self._say_what_is_missing(paths, missing)
            for batch, _ in _batches(graph(decode_file, missing), missing):
                yield tracker.sift(batch)

    @property
    def decode(self) -> Decode:
        """Decoder that gives every recording in its place, in a graph for `of_graph`."""
        return decode_file_in_graph if self.data_service else decode_file

    def of_graph(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """A data set as it is, or as workers make it: see `from_workers`.

        Raises:
          UserError: the data service can't be reached.
        """
        return from_workers(dataset, self.data_service) if self.data_service else dataset

    def _first_pass(
        self,
        dataset: tf.data.Dataset,
        paths: Sequence[str],
        positions: npt.NDArray[np.int32],
        tracker: DeliveryTracker,
    ) -> Iterator[Batch]:
        """Reads the recordings at some positions, until all is there or nothing comes."""
        elements = _from_workers(dataset, self.data_service) if self.data_service else dataset
        for batch, unsupported in _batches(elements, positions):
            if self.data_service and len(unsupported):
                first, reason = unsupported[0]
                raise UserError(
                    f"--data_service: {paths[first]}: {reason}: only libsndfile may decode it, "
                    "which workers don't have; convert it with python -m sound_pipeline.convert"
                )
            yield tracker.sift(batch)
            if tracker.is_done:
                # Where a worker has died, the end would not come.
                return

    def _say_what_is_missing(self, paths: Sequence[str], missing: npt.NDArray[np.int32]) -> None:
        if self.data_service:
            logger.warning(
                "%d of %d recordings didn't come from the workers of --data_service=%s and are "
                "read here: they are damaged, or the workers don't see them under the same paths; "
                "the first is %s",
                len(missing),
                len(paths),
                self.data_service,
                paths[missing[0]],
            )


READ_HERE = WindowReader()
"""Reads in this process."""


def _from_workers(dataset: tf.data.Dataset, address: str) -> Iterator[dict[str, tf.Tensor]]:
    """Batches of `window_batches` made by workers; without those lost with one of them."""
    nothing = {
        name: tf.fill(spec.shape, tf.cast(FILLER, spec.dtype))
        if name == "recording"
        else tf.zeros(spec.shape, spec.dtype)
        for name, spec in dataset.element_spec.items()
    }
    # The last to be handed out: where it comes from, somebody is at work, though all is damaged.
    last = tf.data.Dataset.from_tensors(nothing)
    return until_stalled(from_workers(dataset.concatenate(last), address))


def _batches(
    dataset: Iterable[dict[str, tf.Tensor]], positions: npt.NDArray[np.int32]
) -> Iterator[tuple[Batch, list[tuple[int, str]]]]:
    """Batches that name recordings by `positions`.

    What a decoder doesn't support is a filler, and comes with its position and the reason.
    """
    for columns in dataset:
        prepared = columns.pop("prepared")
        arrays = {name: column.numpy() for name, column in columns.items()}
        recording = arrays.pop("recording")
        named = np.where(recording == FILLER, FILLER, positions[recording])
        dropped = arrays.pop("unsupported")
        unsupported = [
            (int(named[row]), arrays["reason"][row].decode()) for row in np.flatnonzero(dropped)
        ]
        named = np.where(dropped, FILLER, named).astype(np.int32)
        yield Batch(prepared=prepared, recording=named, **arrays), unsupported
