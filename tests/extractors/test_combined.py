"""Several extractors as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.errors import UserError
from sound_pipeline.extractors.combined import CombinedExtractor
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.heads.head import JointHead, Member
from sound_pipeline.models.classifier import SoundClassifier
from tests.helpers import sounds, tiny_models
from tests.helpers.exported_answers import check_export

CONFIG = tiny_models.CONFIG
RATE_HZ = 22050


@pytest.mark.slow
def test_embeddings_stand_side_by_side(handles: tuple[str, str, str]) -> None:
    combined = load_extractor(",".join(handles), CONFIG)
    assert isinstance(combined, CombinedExtractor)
    assert combined.handle == ",".join(handles)
    assert [part.handle for part in combined.parts] == list(handles)
    assert combined.embedding_size == 800 + 12 + 6
    assert combined.benefits_from_low_precision and not combined.tflite_compatible
    windows = np.stack([sounds.noise(11025, 0.1), sounds.tone(500, 11025, RATE_HZ)])

    def embed(waveform: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        return combined(combined.prepare(waveform, rate))

    found = sounds.eager_and_mapped(embed, windows, np.int32(RATE_HZ), tolerance=1e-3)
    alone = [load_extractor(handle, CONFIG) for handle in handles]
    expected = [part(part.prepare(windows, RATE_HZ)) for part in alone]
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-4, atol=1e-4)


def test_one_is_itself() -> None:
    extractor = load_extractor("gabor", CONFIG)
    assert not isinstance(extractor, CombinedExtractor)
    assert extractor.parts == (extractor,)
    pair = CombinedExtractor([extractor, tiny_models.LoudnessExtractor(CONFIG)])
    assert not pair.benefits_from_low_precision and pair.tflite_compatible


@pytest.mark.parametrize(
    ("handle", "words"),
    [("gabor,gabor", "named twice"), ("gabor,", "empty"), ("", "empty"), ("gabor,/no", "/no: no")],
)
def test_what_is_no_list_of_extractors_is_refused(handle: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        load_extractor(handle, FeatureConfig())
    assert "\n" not in str(caught.value) and str(caught.value).startswith("--extractor=")


@pytest.mark.nightly
@pytest.mark.slow
def test_every_signature_of_an_exported_model(
    handles: tuple[str, str, str], tmp_path: Path
) -> None:
    """With a head for each extractor, and the mean of two of these."""
    combined = load_extractor(",".join(handles), CONFIG)
    ends = np.cumsum([0] + [part.embedding_size for part in combined.parts]).tolist()
    alone = [tiny_models.random_classifier(part) for part in combined.parts]
    members = [
        Member(classifier.head, (start, end), weight)
        for classifier, start, end, weight in zip(
            alone, ends[:-1], ends[1:], (0.5, 0.2, 0.3), strict=True
        )
    ]
    heads = [JointHead(members), JointHead(members[::-1])]
    heads[1].temperature.assign(2.0)
    everything = (0, combined.embedding_size)
    head = JointHead([Member(each, everything, 0.5) for each in heads])
    classifier = SoundClassifier(combined, head, tiny_models.LABELS, CONFIG)
    check_export(classifier, tmp_path)
