"""Extractors: from a window of sound to an embedding.

`gabor` is embedded in this package; everything else is a TF Hub module.
"""

from __future__ import annotations

from sound_pipeline.config import FeatureConfig
from sound_pipeline.extractors.base import Extractor

__all__ = ["Extractor", "load_extractor"]


def load_extractor(handle: str, config: FeatureConfig, image_size: int = 0) -> Extractor:
    """The extractor that --extractor names.

    Args:
      handle: `gabor`, or the URL or path of a TF Hub image feature-vector module.
      config: the features it is fed with.
      image_size: height and width of the picture for modules that take any; 0 for 299.

    Raises:
      UserError: the module can't be reached, or isn't an image feature-vector module.
    """
    if handle == "gabor":
        from sound_pipeline.extractors.gabor import GaborExtractor

        return GaborExtractor(config)
    from sound_pipeline.extractors.hub_image import HubImageExtractor

    return HubImageExtractor(handle, config, image_size)
