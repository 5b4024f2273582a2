"""The examples in the package's own words, run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

import sound_pipeline
from tests.helpers import tiny_models

DOCUMENT = Path(__file__).parents[1] / "docs" / "labelling.md"


@pytest.fixture
def there(loudness_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the model and the recording that the examples name."""
    (tmp_path / "saved_model").symlink_to(loudness_model)
    time = np.arange(2 * 16000) / 16000
    tone = tiny_models.LOUD * np.sqrt(2) * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "loud.wav", tone, 16000)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("there")
def test_the_package() -> None:
    failed, tried = doctest.testmod(sound_pipeline)
    assert (failed, tried) == (0, 4)


@pytest.mark.usefixtures("there")
def test_the_page_on_labelling() -> None:
    (example,) = re.findall(r"```pycon\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    parsed = doctest.DocTestParser().get_doctest(example, {}, "labelling.md", str(DOCUMENT), 0)
    runner = doctest.DocTestRunner()
    runner.run(parsed)
    failed, tried = runner.summarize()
    assert failed == 0 and tried > 5
