"""An extractor of each kind."""

from __future__ import annotations

import pytest

from tests.helpers import tiny_models


@pytest.fixture(scope="module")
def handles(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """The filter bank, a module for pictures and one for waveforms."""
    folder = tmp_path_factory.mktemp("modules")
    pictures = tiny_models.save_picture_module(folder / "pictures")
    return "gabor", pictures, tiny_models.save_waveform_module(folder / "waveforms")
