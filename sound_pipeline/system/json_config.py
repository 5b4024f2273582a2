"""Frozen configurations to JSON and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_type_hints

from sound_pipeline.errors import check

T = TypeVar("T")


def to_json(config: Any) -> str:
    """A frozen configuration as indented JSON."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_mapping(kind: type[T], values: Mapping[str, Any]) -> T:
    """Rebuilds a configuration dataclass from the mapping that `to_json` wrote.

    Args:
      kind: a frozen dataclass.
      values: its fields; nested dataclasses as mappings, tuples as lists.

    Raises:
      UserError: a field the class doesn't have.
    """
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - names)
    check(
        not unknown,
        f"{kind.__name__} has no field {', '.join(unknown)}: the file was written by another "
        "version of sound_pipeline",
    )
    hints = get_type_hints(kind)
    return kind(**{name: _restored(hints[name], value) for name, value in values.items()})


def from_json(kind: type[T], text: str) -> T:
    """Inverse of `to_json`."""
    return from_mapping(kind, json.loads(text))


def _restored(hint: Any, value: Any) -> Any:
    """A field's value as its type hint wants it: JSON has neither dataclasses nor tuples."""
    nested = [each for each in (hint, *get_args(hint)) if dataclasses.is_dataclass(each)]
    if nested and isinstance(value, Mapping):
        return from_mapping(nested[0], value)  # type: ignore[arg-type]
    return tuple(value) if isinstance(value, list) else value
