"""Number format that a model's heavy part is computed in.

Weights, inputs and outputs stay float32. Inside, TensorFlow's graph optimiser casts convolutions
and matrix products, and what lies between them, to the chosen format (its auto mixed precision).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sound_pipeline.errors import UserError, check

PRECISIONS = ("auto", "float32", "bfloat16", "float16")

# The graph optimiser's switches: the first casts to bfloat16 for oneDNN's kernels on CPUs, the
# second to float16 for those of a GPU.
_SWITCHES = {
    "bfloat16": "auto_mixed_precision_onednn_bfloat16",
    "float16": "auto_mixed_precision",
}
_BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")
_TENSOR_CORES = (7, 0)


@dataclass(frozen=True)
class Machine:
    """Capabilities that decide which number formats are fast.

    Attributes:
      cpu_flags: the CPU's features as Linux names them; None where they can't be told.
      onednn: whether TensorFlow uses oneDNN.
      gpu: the GPU's name; None: there is none.
      gpu_capability: its CUDA compute capability; None where it has none.
    """

    cpu_flags: frozenset[str] | None
    onednn: bool = True
    gpu: str | None = None
    gpu_capability: tuple[int, int] | None = None


@dataclass(frozen=True)
class PrecisionChoice:
    """A format to compute in, and why.

    Attributes:
      precision: float32, bfloat16 or float16.
      why: one line.
    """

    precision: str
    why: str


def check_precision(precision: str) -> None:
    """Raises UserError where --precision isn't one of `PRECISIONS`."""
    check(
        precision in PRECISIONS,
        f"--precision={precision}: give {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}",
    )


def choose_precision(asked: str, machine: Machine, pays: bool = True) -> PrecisionChoice:
    """Format that --precision means on a machine.

    Args:
      asked: one of `PRECISIONS`.
      machine: where the model is to be computed.
      pays: whether the model gains from less than float32 (see `Extractor`).

    Raises:
      UserError: the machine can't compute in the format asked for, or not faster than in float32.
    """
    check_precision(asked)
    if asked == "float32":
        return PrecisionChoice("float32", "as asked")
    if asked == "auto":
        if not pays:
            return PrecisionChoice("float32", "this extractor gains nothing from less")
        for precision in _SWITCHES:
            able, why = _able(precision, machine)
            if able:
                return PrecisionChoice(precision, why)
        # What the machine computes on is what it has to answer for.
        return PrecisionChoice(
            "float32", _able("float16" if machine.gpu else "bfloat16", machine)[1]
        )
    able, why = _able(asked, machine)
    if not able:
        raise UserError(f"--precision={asked}: {why}; give auto or float32")
    return PrecisionChoice(asked, why)


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """TensorFlow functions that this thread calls inside are computed in a format.

    The optimiser's switches belong to the whole process, so they are put back as they were at the
    end; a function called again outside is computed as it was before.

    Args:
      precision: float32, bfloat16 or float16.
    """
    import tensorflow as tf

    current = tf.config.optimizer.get_experimental_options()
    before = {switch: current.get(switch, False) for switch in _SWITCHES.values()}
    wanted = {switch: switch == _SWITCHES.get(precision) for switch in before}
    if wanted == before:
        yield
        return
    tf.config.optimizer.set_experimental_options(wanted)
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options(before)


def this_machine() -> Machine:
    """Capabilities of this machine, by TensorFlow and the operating system."""
    import tensorflow as tf

    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() not in ("0", "false")
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return Machine(_cpu_flags(), onednn)
    details = tf.config.experimental.get_device_details(gpus[0])
    return Machine(
        _cpu_flags(),
        onednn,
        details.get("device_name", gpus[0].name),
        details.get("compute_capability"),
    )


def _able(precision: str, machine: Machine) -> tuple[bool, str]:
    """Whether a machine is fast in a format of `_SWITCHES`, and why or why not."""
    if precision == "float16":
        if machine.gpu is None:
            return False, "float16 needs a GPU, and TensorFlow finds none"
        if machine.gpu_capability is None:
            return False, f"the GPU ({machine.gpu}) names no compute capability"
        major, minor = machine.gpu_capability
        at_least = machine.gpu_capability >= _TENSOR_CORES
        return at_least, (
            f"the GPU ({machine.gpu}, compute capability {major}.{minor}) has "
            f"{'' if at_least else 'no '}units for float16"
        )
    if machine.gpu is not None:
        return False, f"TensorFlow casts to bfloat16 on CPUs alone, not on the GPU ({machine.gpu})"
    if machine.cpu_flags is None:
        return False, "this system doesn't say whether its CPU computes in bfloat16"
    found = [flag for flag in _BFLOAT16_FLAGS if flag in machine.cpu_flags]
    if not found:
        return False, f"the CPU has neither {' nor '.join(_BFLOAT16_FLAGS)}"
    if not machine.onednn:
        return False, "oneDNN is switched off by TF_ENABLE_ONEDNN_OPTS"
    return True, f"the CPU has {' and '.join(found)}"


def _cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str] | None:
    """Features of an x86 CPU under Linux; None elsewhere."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        name, _, words = line.partition(":")
        if name.strip() == "flags":
            return frozenset(words.split())
    return None
