"""An extractor of each kind."""

from __future__ import annotations

import pytest

from tests.helpers import tiny_models


@pytest.fixture(scope="module")
def handles(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """The filter bank, a module for images and one for waveforms."""
    folder = tmp_path_factory.mktemp("modules")
    images = tiny_models.save_image_module(folder / "images")
    return "gabor", images, tiny_models.save_waveform_module(folder / "waveforms")
