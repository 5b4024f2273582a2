"""Folders of files, to compare."""

from __future__ import annotations

import hashlib
from pathlib import Path


def contents_of(folder: Path) -> dict[str, str]:
    """Digest of each file below a folder, by its path from there."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
