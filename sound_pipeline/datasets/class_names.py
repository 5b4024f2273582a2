"""Names of classes that people may have meant as one."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Names that differ by case, Unicode form, spaces, `-`, `_` or invisible characters alone.

    Returns:
      Two or more of each kind, in the order in which they first come.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        alike[_bare(name)].append(name)
    return [tuple(several) for several in alike.values() if len(several) > 1]


def _bare(name: str) -> str:
    """What is left of a name where letter case, form and what isn't seen don't count."""
    # Twice: case folding may undo the form.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(
        character
        for character in folded
        if character not in "-_" and not character.isspace() and not _is_invisible(character)
    )


def _is_invisible(character: str) -> bool:
    """Whether it is a control, a joiner or another that takes no room, or chooses a glyph."""
    return unicodedata.category(character) in ("Cc", "Cf") or "\ufe00" <= character <= "\ufe0f"
