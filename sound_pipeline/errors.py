"""Errors a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# As unlike as a mistyped name may be.
_LIKE = 0.6


class UserError(Exception):
    """A problem in the user's input or surroundings, with what to do about it.

    Programs print the message as one line and exit with a non-zero status; anything else that
    is raised is a defect of this package and keeps its traceback. The message says what is
    wrong, in which file or flag, and what to do.
    """


class UnreadableError(UserError):
    """A recording that can't be read or decoded; the message is its path and the reason."""

    def __init__(self, path: str, reason: str) -> None:
        """Takes the recording's path and, in one line, why it can't be read."""
        super().__init__(f"{path}: {reason}")
        self.reason = reason


def first_line(error: BaseException) -> str:
    """First line of a library's error, for a message that must stay one line."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def nearest_names(
    name: str, known: Iterable[str], count: int, least_likeness: float = 0.0
) -> list[str]:
    """Those of some names that are most like another one, the likest first.

    Args:
      name: the other one.
      known: to choose from; letters' case counts nothing.
      count: of names, at the most.
      least_likeness: what each must reach, 0..1: `difflib`'s ratio.
    """
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, count, least_likeness)
    return [by_lower[each] for each in near]


def nearest_name(name: str, known: Iterable[str], otherwise: str) -> str:
    """A hint for an error message about a name that isn't known.

    Args:
      name: what the user gave.
      known: what could have been meant; letters' case counts nothing.
      otherwise: what to say where none of them is like it.
    """
    near = nearest_names(name, known, 1, _LIKE)
    return f"did you mean {near[0]!r}?" if near else otherwise


def check(condition: bool, message: str) -> None:
    """Raises UserError with the message unless the condition holds."""
    if not condition:
        raise UserError(message)
