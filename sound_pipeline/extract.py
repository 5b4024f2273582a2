"""Embeds a data set in shards, on as many machines as there are, and brings the shards together.

    python -m sound_pipeline.extract --shard=3/64 --shards_dir=DIR --dataset=...    # on machine 3
    python -m sound_pipeline.extract --merge --shards_dir=DIR --dataset=...         # at the end

takes train.py's flags of the data set, the extractor and the features. The machines need no
coordinator, only the same recordings in the same order. Each reads the whole list and keeps its
shard of it, embeds that as train.py would, into its own --cache_dir, and writes one file to DIR,
whole or not at all; killed, it goes on where it stopped, and writes the same bytes. --merge checks
the list as a whole and looks for gaps, and fills the cache: train.py with the same flags then finds
everything there.
"""

from __future__ import annotations

if __name__ == "__main__":
    from sound_pipeline.system.endings import end_at_once_while_importing

    end_at_once_while_importing()

import logging
from pathlib import Path

from absl import flags

from sound_pipeline.datasets import flags as dataset_flags
from sound_pipeline.datasets import load_manifest, load_shard
from sound_pipeline.datasets.shards import parse_shard
from sound_pipeline.embeddings import flags as embedding_flags
from sound_pipeline.errors import check
from sound_pipeline.extractors import flags as extractor_flags
from sound_pipeline.features import flags as feature_flags
from sound_pipeline.system import flags as system_flags
from sound_pipeline.system import program
from sound_pipeline.system.flag_groups import group

logger = logging.getLogger("sound_pipeline.extract")


def define_flags() -> None:
    """Defines the program's flags."""
    with group("Shards", ("shard", "merge", "shards_dir")):
        flags.DEFINE_string(
            "shard", "", "Shard to embed, as its number and how many there are: 3/64."
        )
        flags.DEFINE_bool("merge", False, "Bring all shards together, into --cache_dir.")
        flags.DEFINE_string(
            "shards_dir",
            None,
            "Folder of the shards' files, which all machines write to or are copied to.",
            required=True,
        )
    dataset_flags.define()
    extractor_flags.define()
    feature_flags.define()
    system_flags.define_precision()
    embedding_flags.define()


def main(arguments: list[str]) -> None:
    """Embeds a shard, or merges all."""
    program.no_arguments(arguments)
    values = flags.FLAGS
    check(bool(values.shard) != values.merge, "give --shard, such as --shard=3/64, or --merge")
    shard = parse_shard(values.shard) if values.shard else None
    dataset, features = dataset_flags.dataset_config(values), feature_flags.feature_config(values)
    paths = load_shard(dataset, shard) if shard else load_manifest(dataset).paths
    shards_dir = Path(values.shards_dir)
    cache_dir = embedding_flags.cache_dir(values)
    # After all that can be wrong with flags and files: TensorFlow takes seconds to import.
    from sound_pipeline.embeddings.settings import EmbeddingSettings
    from sound_pipeline.embeddings.shards import embed_shard, merge_shards
    from sound_pipeline.extractors.loading import load_extractor
    from sound_pipeline.input_pipeline.read import WindowReader
    from sound_pipeline.system.precision import choose_precision, this_machine

    reader = WindowReader(values.data_service)
    settings = EmbeddingSettings(cache_dir, values.max_bad_clips, reader=reader)
    machine = this_machine()
    for extractor in load_extractor(values.extractor, features, values.image_size).parts:
        choice = choose_precision(values.precision, machine, extractor.benefits_from_low_precision)
        logger.info("%s: computing in %s: %s", extractor.handle, choice.precision, choice.why)
        if shard:
            written = embed_shard(paths, shard, extractor, shards_dir, settings, choice.precision)
            program.say(str(written))
        else:
            merged = merge_shards(paths, extractor, shards_dir, settings, choice.precision)
            program.say(f"{extractor.handle}: {merged} recordings merged into {cache_dir}")


if __name__ == "__main__":
    define_flags()
    program.run(main)
