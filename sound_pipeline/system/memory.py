"""Memory of the machine."""

from __future__ import annotations

import os
from pathlib import Path

# Of a container's limit: the first of cgroups v2, the other of v1. Without a limit the one says
# "max", the other a number beyond any memory.
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
# Where the system doesn't say: what the smallest machines that TensorFlow is used on have.
_ASSUMED_BYTES = 4 << 30


def memory_bytes() -> int:
    """Machine's memory, or what this process' container may use of it."""
    sizes = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in _LIMITS:
        try:
            sizes.append(int(limit.read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return min(sizes, default=_ASSUMED_BYTES)
