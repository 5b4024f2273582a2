"""A private PulseAudio daemon whose null sink's monitor is the microphone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from ctypes import util
from pathlib import Path
from types import TracebackType

SINK_RATE_HZ = 48000
# norewinds: without it the first second that is played is lost.
_SINK = (
    "module-null-sink",
    "sink_name=mic",
    f"rate={SINK_RATE_HZ}",
    "channels=1",
    "format=s16le",
    "norewinds=1",
)
_START_UP_SECONDS = 20.0


def missing() -> str:
    """What keeps the tests on PulseAudio from running here, as advice; empty if nothing does."""
    if sys.platform != "linux":
        return "needs PulseAudio on Linux"
    programs_are_there = all(shutil.which(name) for name in ("pulseaudio", "pactl", "paplay"))
    plugin_is_there = any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
    if programs_are_there and plugin_is_there and util.find_library("portaudio"):
        return ""
    return "apt-get install libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins"


class PulseAudio:
    """A daemon of one's own, without a session bus, a configuration or a sound card.

    What is played to it with `play` is what its default source, a virtual microphone, gives.
    """

    def __init__(self) -> None:
        # Not pytest's tmp_path: the path of a Unix socket is at most 107 bytes long.
        self._folder = Path(tempfile.mkdtemp(prefix="pulse-"))
        self._socket = self._folder / "native"
        self._script = self._folder / "mic.pa"
        self._script.write_text(
            f"load-module module-native-protocol-unix socket={self._socket} auth-anonymous=1\n"
            f"load-module {' '.join(_SINK)}\n"
            "set-default-sink mic\n"
            "set-default-source mic.monitor\n"
        )
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables by which clients find this daemon and no other."""
        folder = str(self._folder)
        return {
            "PULSE_RUNTIME_PATH": folder,
            "PULSE_STATE_PATH": folder,
            "PULSE_SERVER": f"unix:{self._socket}",
        }

    def start(self) -> None:
        """Starts the daemon and waits until it answers."""
        # A killed daemon leaves its socket behind, and the next one would refuse to take it.
        self._socket.unlink(missing_ok=True)
        self._daemon = subprocess.Popen(
            [
                "pulseaudio",
                "-n",
                "-F",
                str(self._script),
                "--daemonize=no",
                "--exit-idle-time=-1",
                "--use-pid-file=no",
                "--realtime=no",
                "--high-priority=no",
                "--disable-shm=yes",
            ],
            env={key: value for key, value in self._environment().items() if key != "PULSE_SERVER"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_UP_SECONDS
        while "mic.monitor" not in self._pactl("list", "short", "sources", check=False):
            if time.monotonic() > deadline:
                raise TimeoutError("the private PulseAudio daemon doesn't answer")
            time.sleep(0.02)

    def kill(self) -> None:
        """As a crash: nothing is said to the clients."""
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()
            self._daemon = None

    def freeze(self) -> None:
        """Stops the daemon without closing a connection: its clients hear nothing any more."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def unload_sink(self) -> None:
        """Takes the microphone away, the daemon staying."""
        self._pactl("unload-module", "module-null-sink")

    def load_sink(self) -> None:
        """Plugs it in again."""
        self._pactl("load-module", *_SINK)
        self._pactl("set-default-sink", "mic")
        self._pactl("set-default-source", "mic.monitor")

    def play(self, recording: Path) -> None:
        """Plays a WAV file to its end."""
        self.start_playing(recording).wait()

    def start_playing(self, recording: Path) -> subprocess.Popen[bytes]:
        """Plays a WAV file in a process that ends with it."""
        return subprocess.Popen(["paplay", str(recording)], env=self._environment())

    def close(self) -> None:
        """Ends the daemon and removes its files."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> PulseAudio:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.variables}

    def _signal(self, number: signal.Signals) -> None:
        assert self._daemon is not None
        self._daemon.send_signal(number)

    def _pactl(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            ["pactl", *words],
            env=self._environment(),
            capture_output=True,
            check=check,
            text=True,
            timeout=_START_UP_SECONDS,
        )
        return done.stdout
