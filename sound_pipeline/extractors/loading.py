"""Extractors by the names that --extractor gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sound_pipeline.errors import UserError
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.extractors.combined import CombinedExtractor
from sound_pipeline.extractors.pieces import PiecesExtractor
from sound_pipeline.features.config import FeatureConfig

Maker = Callable[[FeatureConfig], Extractor]


def load_extractor(handles: str, config: FeatureConfig, image_size: int = 0) -> Extractor:
    """Extractor that --extractor names, or several as one.

    Each once for every number of pieces in which `config` wants windows to be heard.

    Args:
      handles: one, or several separated by commas: `gabor`, or the URL or path of a TF Hub module,
        one that turns images into vectors, or one that turns a waveform into a vector a frame.
        Its signature says which.
      config: the features they are fed with.
      image_size: height and width of the image for modules that take any; 0 for 299.

    Raises:
      UserError: a module can't be reached, or is of neither kind; one is named twice, or none.
    """
    names = handles.split(",")
    if not all(names):
        raise UserError(f"--extractor={handles}: a name is empty; give gabor, a URL or a path")
    if len(set(names)) < len(names):
        raise UserError(f"--extractor={handles}: one is named twice; name each once")
    makers = [_load_one(name, image_size) for name in names]
    extractors = [_in_pieces(make, pieces, config) for make in makers for pieces in config.pieces]
    return join_extractors(extractors)


def join_extractors(extractors: Sequence[Extractor]) -> Extractor:
    """Extractors made for the same features as one; a single one as it is."""
    return extractors[0] if len(extractors) == 1 else CombinedExtractor(extractors)


def _in_pieces(make: Maker, pieces: int, config: FeatureConfig) -> Extractor:
    if pieces == 1:
        return make(config)
    return PiecesExtractor(make(config.piece(pieces)), pieces, config)


def _load_one(handle: str, image_size: int) -> Maker:
    """Loads what is named, once for all the features it will be used with."""
    if handle == "gabor":
        from sound_pipeline.extractors.gabor import GaborExtractor

        return GaborExtractor
    from sound_pipeline.extractors.hub import load_hub_module
    from sound_pipeline.extractors.hub_image import HubImageExtractor, takes_images
    from sound_pipeline.extractors.hub_waveform import HubWaveformExtractor, takes_waveforms

    loaded = load_hub_module(handle)
    if takes_images(loaded):
        return lambda config: HubImageExtractor(loaded, config, image_size)
    if takes_waveforms(loaded):
        return lambda config: HubWaveformExtractor(loaded, config)
    raise UserError(
        f"--extractor={handle}: the module takes {loaded.takes()}, not images [batch, height, "
        "width, 3] or a waveform float32 [samples]; give an image feature-vector module, or one "
        "like YAMNet"
    )
