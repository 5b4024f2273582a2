"""Classes left out of training, to see what a model makes of sounds it does not know."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence

from sound_pipeline.datasets.manifest import Manifest
from sound_pipeline.errors import UserError


def leave_out(manifest: Manifest, unknown: Sequence[str]) -> Manifest:
    """Declares classes unknown: their recordings are tested, and never learned from.

    Args:
      manifest: the data set.
      unknown: the names of the classes.

    Raises:
      UserError: there is no such class, or fewer than two are left.
    """
    for name in unknown:
        if name not in manifest.classes:
            near = difflib.get_close_matches(name, manifest.classes, n=1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else f"choose from {', '.join(manifest.classes)}"
            )
            raise UserError(f"--unknown_classes: {manifest.name} has no class {name!r}: {hint}")
    known = tuple(name for name in manifest.classes if name not in unknown)
    if len(known) < 2:
        raise UserError(
            f"--unknown_classes leaves {len(known)} of {len(manifest.classes)} classes to train "
            "on: leave at least two"
        )
    return dataclasses.replace(
        manifest,
        classes=known,
        unknown_classes=tuple(name for name in manifest.classes if name in unknown),
    )
