"""The ways from bytes to a waveform are few: what they are made of is nobody else's to import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PUBLIC = {
    "durations",
    "formats",
    "decoding",
    "reader",
    "resampling",
    "resampling_ops",
    "sample_rates",
    "samples",
    "wav",
}


def imported_of_audio(source: str) -> Iterator[str]:
    """The modules of sound_pipeline.audio that a module imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "sound_pipeline.audio":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            module = node.module
            if module.startswith("sound_pipeline.audio."):
                yield module.split(".")[2]


def test_other_packages_import_the_ways_in_alone() -> None:
    paths = [
        path
        for folder in ("sound_pipeline", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*.py")
        if path.parent.name != "audio"
    ]
    paths += [ROOT / "train.py", ROOT / "serve_mic.py"]
    found = {path: set(imported_of_audio(path.read_text(encoding="utf-8"))) for path in paths}
    assert any(found.values())
    assert not {path: names - PUBLIC for path, names in found.items() if names - PUBLIC}


def test_the_package_names_them() -> None:
    text = (ROOT / "sound_pipeline" / "audio" / "__init__.py").read_text(encoding="utf-8")
    for name in ("decode_file", "decode_file_in_graph", "decode_audio", "decode_wav"):
        assert f".{name}`" in text
    assert "`decoding.decode_whole`" in text and "`reader.AudioReader`" in text
