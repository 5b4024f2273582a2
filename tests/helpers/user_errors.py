"""What a user is told when something is wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sound_pipeline.errors import UserError


def error_of(action: Callable[[], object], *words: str) -> str:
    """The message of the UserError that `action` raises: one line, which must hold the words."""
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message
    return message
