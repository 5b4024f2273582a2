"""The errors a user can act on."""

from __future__ import annotations


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
    """What an error of a library says, for a message that must stay one line."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def check(condition: bool, message: str) -> None:
    """Raises UserError with the message unless the condition holds."""
    if not condition:
        raise UserError(message)
