"""Flags under headings: --help lists the everyday ones, --helpfull all."""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from absl import app, flags

_INDENT = " " * 6
_WIDEST = 100
_ABSL = "Flags of absl"


class Place(NamedTuple):
    """A flag's heading, and whether --help lists it."""

    heading: str
    is_everyday: bool


_PLACES: weakref.WeakKeyDictionary[flags.Flag[Any], Place] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def group(
    heading: str, everyday: Sequence[str] = (), values: flags.FlagValues = flags.FLAGS
) -> Iterator[None]:
    """Puts the flags that are defined inside under a heading.

    Args:
      heading: such as "Data"; several stages may add to one.
      everyday: the names of those that --help shows too; the others are for --helpfull.
      values: where the flags are defined.
    """
    before = set(values)
    yield
    defined = [values[name] for name in values if name not in before]
    _PLACES.update({flag: Place(heading, flag.name in everyday) for flag in defined})
    missing = set(everyday) - {flag.name for flag in defined}
    assert not missing, f"not defined under {heading}: {missing}"


def help_text(
    description: str, full: bool, values: flags.FlagValues = flags.FLAGS, width: int = _WIDEST
) -> str:
    """Help of a program.

    Args:
      description: what it does.
      full: whether to list all of its flags, or the everyday ones.
      values: its flags; those under no heading come first, absl's own last and in full alone.
      width: of the terminal, in columns.
    """
    groups: dict[str, list[flags.Flag[Any]]] = {}
    hidden = 0
    # A flag with a short name is in there twice.
    for flag in {id(values[name]): values[name] for name in values}.values():
        where = place(flag, values)
        if where.is_everyday or full:
            groups.setdefault(where.heading, []).append(flag)
        else:
            hidden += where.heading != _ABSL
    order = sorted(groups, key=lambda heading: (heading != "", heading == _ABSL))
    parts = [description.strip()]
    for heading in order:
        lines = [f"{heading or 'Flags'}:"]
        lines += [_entry(flag, width) for flag in groups[heading]]
        parts.append("\n".join(lines))
    more = f"--helpfull lists {hidden} flags more; " if hidden else ""
    parts.append(f"{more}--flagfile=FILE reads flags from a file, one a line.")
    return "\n\n".join(parts) + "\n"


def define_help_flags() -> None:
    """Puts `help_text` in the place of absl's --help and --helpfull."""
    app.define_help_flags()
    for name, full in (("help", False), ("helpshort", False), ("helpfull", True)):
        flags.DEFINE_flag(_HelpFlag(name, full))


class _HelpFlag(flags.BooleanFlag):  # type: ignore[misc]
    """Prints the help of the program that runs, and ends it."""

    def __init__(self, name: str, full: bool) -> None:
        what = "all flags" if full else "the everyday flags"
        short = "?" if name == "help" else None
        super().__init__(name, False, f"Show {what}, and end.", short, allow_override=True)
        self._full = full

    def parse(self, arg: Any) -> None:
        if self._parse(arg):
            description = sys.modules["__main__"].__doc__ or ""
            width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
            with contextlib.suppress(BrokenPipeError):
                sys.stdout.write(help_text(description, self._full, width=width))
                sys.stdout.flush()
            sys.exit(0)


def place(flag: flags.Flag[Any], values: flags.FlagValues) -> Place:
    """Place of a flag; one that nobody put under a heading is everyday, unless absl's."""
    found = _PLACES.get(flag)
    if found is not None:
        return found
    module = values.find_module_defining_flag(flag.name) or ""
    is_absls = module.startswith("absl.") or isinstance(flag, _HelpFlag)
    return Place(_ABSL if is_absls else "", not is_absls)


def _entry(flag: flags.Flag[Any], width: int) -> str:
    """A flag with its default, and what it does, indented and wrapped."""
    wrapped = textwrap.fill(
        flag.help or "", width, initial_indent=_INDENT, subsequent_indent=_INDENT
    )
    name = f"[no]{flag.name}" if flag.boolean else flag.name
    return f"  --{name}{_default(flag)}\n{wrapped}"


def _default(flag: flags.Flag[Any]) -> str:
    if flag.boolean:
        return " (on)" if flag.default else ""
    if flag.default in (None, "", []):
        return "=..."
    default = ",".join(map(str, flag.default)) if isinstance(flag.default, list) else flag.default
    return f"={default}"
