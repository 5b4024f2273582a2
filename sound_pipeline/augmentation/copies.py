"""Augmented copies of recordings: the seed of each, and the background in it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.datasets.content_keys import Keys
from sound_pipeline.datasets.manifest import BACKGROUND, Manifest
from sound_pipeline.datasets.splits import Split
from sound_pipeline.system.arrays import Ints


class Plan(NamedTuple):
    """Changes of each of some recordings.

    Attributes:
      config: the ways and their strengths.
      seeds: int32 [recordings, 2], for `augmentation.augment`.
      backgrounds: the path of the recording that is mixed into each; "" for noise that is made.
    """

    config: AugmentationConfig
    seeds: npt.NDArray[np.int32]
    backgrounds: Sequence[str]

    def of(self, positions: Ints) -> Plan:
        """Plan of some of the recordings."""
        chosen = [self.backgrounds[position] for position in positions]
        return Plan(self.config, self.seeds[positions], chosen)


@dataclasses.dataclass(frozen=True)
class Copies:
    """Copies that are made of every recording of a list.

    Attributes:
      count: how many of each.
      config: how they are changed.
      backgrounds: for each recording, the paths of those that may be mixed into it, see
        `backgrounds_beside`; they must be in the list themselves. Empty if there are none for any.
    """

    count: int
    config: AugmentationConfig
    backgrounds: Sequence[Sequence[str]] = ()

    def of(self, positions: Ints) -> Copies:
        """Copies of some of the recordings."""
        chosen = [self.backgrounds[position] for position in positions] if self.backgrounds else ()
        return dataclasses.replace(self, backgrounds=chosen)

    def plan(self, number: int, paths: Sequence[str], keys: Keys) -> tuple[Plan, Keys]:
        """One copy of each recording.

        What becomes of a recording depends on its content, its background's and the number alone.

        Args:
          number: which copy, from 1.
          paths: the recordings. A background that is not among them is passed over.
          keys: of their contents, see `content_keys`.

        Returns:
          The plan, and a key of each copy: of what goes into it.
        """
        key_of = dict(zip(paths, keys.tolist(), strict=True))
        groups = self.backgrounds or [()] * len(paths)
        distinct = {id(group): group for group in groups}
        listed = {one: [p for p in group if p in key_of] for one, group in distinct.items()}
        seeds = np.zeros([len(paths), 2], np.int32)
        chosen, copy_keys = [], np.array(keys)
        for position, (key, group) in enumerate(zip(keys.tolist(), groups, strict=True)):
            digest = hashlib.sha256(b"%d %s" % (number, key)).digest()
            seeds[position] = np.frombuffer(digest[:8], "<i4")
            candidates = listed[id(group)]
            if not candidates:
                chosen.append("")
                continue
            background = candidates[int.from_bytes(digest[8:16], "little") % len(candidates)]
            chosen.append(background)
            both = hashlib.sha256(key + b" " + key_of[background]).hexdigest().encode()
            copy_keys[position] = both[: copy_keys.itemsize]
        return Plan(self.config, seeds, chosen), copy_keys


NO_COPIES = Copies(0, AugmentationConfig())


def backgrounds_beside(manifest: Manifest, splits: Sequence[Split]) -> list[Sequence[str]]:
    """For each recording, the paths of those of the class background that may be mixed into it.

    These are the ones that are tested in the same splits: so no head is trained on a sound, not
    even as one mixed into another, that it is then tested on.

    Args:
      manifest: the data set; the lists are empty where it has no such class.
      splits: all that heads are tested by.
    """
    everything = np.arange(len(manifest.recordings))
    tested = np.stack([np.isin(everything, split.test) for split in splits], axis=1)
    _, group = np.unique(tested, axis=0, return_inverse=True)
    group = group.reshape(-1)
    is_background = (np.array(manifest.names) == BACKGROUND)[manifest.labels]
    members: list[Sequence[str]] = [
        tuple(
            manifest.paths[position]
            for position in np.flatnonzero(is_background & (group == number))
        )
        for number in range(group.max() + 1)
    ]
    return [members[number] for number in group]
