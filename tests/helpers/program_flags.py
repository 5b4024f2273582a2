"""The flags of each program, as it defines them."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).parents[2]

PROGRAMS = {
    "train.py": "import train; train.define_flags()",
    "serve_mic.py": "import serve_mic; serve_mic.define_flags()",
    "sound_pipeline.convert": "from sound_pipeline import convert; convert.define_flags()",
    "sound_pipeline.data_worker": (
        "from sound_pipeline import data_worker; data_worker.define_flags()"
    ),
    "sound_pipeline.datasets": (
        "from sound_pipeline.datasets.__main__ import define_flags; define_flags()"
    ),
    "sound_pipeline.demo_data": (
        "from sound_pipeline.demo_data.__main__ import define_flags; define_flags()"
    ),
    "sound_pipeline.extract": "from sound_pipeline import extract; extract.define_flags()",
    "sound_pipeline.label": "from sound_pipeline.label import flags; flags.define(FLAGS)",
    "sound_pipeline.report": (
        "from sound_pipeline.report.__main__ import define_flags; define_flags()"
    ),
    "sound_pipeline.tflite": (
        "from sound_pipeline.tflite.__main__ import define_flags; define_flags()"
    ),
}
"""What defines the flags of each program, by what users type."""

_ASK = """
import json
from absl.flags import FLAGS
from sound_pipeline.system import flag_groups
{define}
own = dict()
for name in FLAGS:
    module = FLAGS.find_module_defining_flag(name) or ""
    if module.startswith("absl."):
        continue
    place = flag_groups.place(FLAGS[name], FLAGS)
    own[FLAGS[name].name] = dict(
        help=FLAGS[name].help, heading=place.heading, is_everyday=place.is_everyday
    )
print(json.dumps(own))
"""


class ProgramFlag(TypedDict):
    """A flag as --help shows it."""

    help: str
    heading: str
    is_everyday: bool


@functools.cache
def flags_of(program: str) -> dict[str, ProgramFlag]:
    """The flags that a program defines, without absl's own."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK.format(define=PROGRAMS[program])],
        capture_output=True,
        check=True,
        cwd=ROOT,
        text=True,
    )
    found: dict[str, ProgramFlag] = json.loads(done.stdout)
    return found
