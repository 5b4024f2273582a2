"""What a program says and how it exits, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sound_pipeline.errors import UserError
from sound_pipeline.system import program as program_module

ROOT = Path(__file__).parents[2]
PROGRAM = r"""
import errno, logging, os, signal, time
from absl import flags
from sound_pipeline.system import program
from sound_pipeline.errors import UserError

ENDS = ["well", "much", "three", "user", "interrupt", "defect", "full", "signal", "lost"]
ENDS += ["name", "path"]
flags.DEFINE_enum("end", "well", ENDS, "How to end.")
flags.DEFINE_integer("number", 1, "A whole number.")
flags.DEFINE_string("needed", None, "Needed.", required=True)

# Whoever runs the tests may do so under nohup.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def main(arguments):
    program.no_arguments(arguments)
    end = flags.FLAGS.end
    logging.getLogger("sound_pipeline.somewhere").info("at work")
    if end == "three":
        return 3
    if end == "user":
        raise UserError("sounds.csv: no column 'label'; add one")
    if end == "interrupt":
        raise KeyboardInterrupt
    if end == "defect":
        raise LookupError("a defect of the package")
    if end == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/a")
    if end == "signal":
        os.kill(os.getpid(), flags.FLAGS.number)
    if end == "name":
        logging.getLogger("sound_pipeline").warning("a\u202eb\x1b[2J\nc")
        print("\u30b5\u00fc")
    if end == "lost":
        class Interrupted:
            def __del__(self):
                os.kill(os.getpid(), flags.FLAGS.number)
                for _ in range(1000): pass
        Interrupted()
        time.sleep(30)
    if end == "path":
        print(flags.FLAGS.needed)
    if end == "much":
        for line in range(100_000):
            print(line)
    print("done")


program.run(main)
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("program") / "listen.py"
    path.write_text(PROGRAM)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "status", "stderr"),
    [
        ((), 0, "at work\n"),
        (("--end=three",), 3, "at work\n"),
        (
            ("--end=user",),
            1,
            "at work\nlisten.py: error: sounds.csv: no column 'label'; add one\n",
        ),
        (("--end=interrupt",), 130, "at work\nlisten.py: interrupted\n"),
        (("--end=signal", "--number=15"), 143, "at work\nlisten.py: ended by SIGTERM\n"),
        (("--end=lost", "--number=2"), 130, "at work\nlisten.py: interrupted\n"),
        (("--end=lost", "--number=15"), 143, "at work\nlisten.py: ended by SIGTERM\n"),
        (("--end=signal", "--number=1"), 129, "at work\nlisten.py: ended by SIGHUP\n"),
        (
            ("--end=full",),
            1,
            "at work\nlisten.py: error: runs/a: No space left on device; free some room there, or "
            "name another folder\n",
        ),
        (
            ("more",),
            1,
            "listen.py: error: unexpected argument 'more': flags start with --\n",
        ),
    ],
)
def test_endings(program: str, arguments: tuple[str, ...], status: int, stderr: str) -> None:
    ended = python(program, "--needed=x", *arguments)
    assert ended.returncode == status
    assert ended.stderr == stderr
    assert ended.stdout == ("" if status else "done\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--needed=x", "--colour=red"), ("colour",)),
        (("--needed=x", "--numbr=3"), ("numbr", "number ")),
        (("--needed=x", "--end=badly"), ("--end", "badly", "well", "user")),
        (("--needed=x", "--number=many"), ("--number", "many")),
        ((), ("--needed",)),
    ],
)
def test_a_wrong_flag_is_named_in_one_line(
    program: str, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    ended = python(program, *arguments)
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("listen.py: error: ")
    assert line.endswith("--help lists the flags")
    for word in words:
        assert word in line


def test_a_reader_that_has_had_enough_is_no_defect(program: str) -> None:
    command = f"{sys.executable} {program} --needed=x --end=much | head -1"
    process = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        timeout=60,
    )
    assert (process.stdout, process.stderr) == ("0\n", "at work\n")


def test_names_neither_steer_a_terminal_nor_end_a_program_on_one_without_utf8(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    ended = python(program, "--needed=x", "--end=name")
    assert ended.returncode == 0
    assert ended.stdout == "\\u30b5\\xfc\ndone\n"
    assert ended.stderr == "at work\na\\u202eb\\x1b[2J c\n"


def test_a_tilde_is_the_home_directory(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    ended = python(program, "--needed=~/runs", "--end=path")
    assert ended.stdout == "/home/somebody/runs\ndone\n"
    ended = python(program, "--needed=~nobody-of-this-name/runs", "--end=path")
    assert ended.returncode == 1 and "--needed=~nobody-of-this-name/runs: there is" in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_told_in_a_line(
    program: str, unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Buffers that can't be emptied, or none at all.
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, program, "--needed=x"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
            timeout=60,
        )
    assert ended.returncode == 1
    _, line = ended.stderr.splitlines()
    assert line.startswith("listen.py: error: standard output: No space left on device; ")


def test_a_defect_keeps_its_traceback(program: str) -> None:
    ended = python(program, "--needed=x", "--end=defect")
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert ended.stderr.endswith("LookupError: a defect of the package\n")
    assert "in main" in ended.stderr
    assert "listen.py: error" not in ended.stderr


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        ("train.py", ("--dataset", "--extractor", "--window_seconds", "--output_dir")),
        ("serve_mic.py", ("--model", "--input")),
    ],
)
def test_help_comes_without_tensorflow(script: str, flags: tuple[str, ...]) -> None:
    ended = python("-X", "importtime", script, "--help")
    assert "Traceback" not in ended.stderr
    for flag in flags:
        assert flag in ended.stdout
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "sound_pipeline.system.program" in imported
    slow = ("tensorflow", "tensorflow_hub", "tf_keras", "keras", "matplotlib", "librosa", "sklearn")
    assert imported.isdisjoint(slow)


@pytest.mark.parametrize(
    ("script", "words"),
    [("train.py", ("--dataset", "--output_dir")), ("serve_mic.py", ("--model", "--input"))],
)
def test_what_a_program_needs_is_named(script: str, words: tuple[str, ...]) -> None:
    ended = python(script)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{script}: error: ")
    assert any(word in line for word in words)


def test_train_refuses_a_value_out_of_range_in_one_line(tmp_path: Path) -> None:
    needed = ("--dataset=folder", "--data_dir=sounds", f"--output_dir={tmp_path / 'run'}")
    ended = python("train.py", *needed, "--mel_bands=3")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("train.py: error: --mel_bands=3: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "numbers"), [([], ()), (["1"], (1,)), (["3", " 10", "-2 "], (3, 10, -2))]
)
def test_integers(words: list[str], numbers: tuple[int, ...]) -> None:
    assert program_module.integers("folds", words) == numbers


@pytest.mark.parametrize(
    ("words", "numbers"), [([], ()), (["1"], (1.0,)), (["0.5", " 1e1"], (0.5, 10.0))]
)
def test_numbers(words: list[str], numbers: tuple[float, ...]) -> None:
    assert program_module.numbers("times", words) == numbers


def test_numbers_that_are_none_name_the_flag() -> None:
    with pytest.raises(UserError) as caught:
        program_module.numbers("times", ["1", "half"])
    assert str(caught.value).startswith("--times: 'half' is not a number")


@pytest.mark.parametrize("word", ["", "one", "1.5", "--5", "²", "1 2", "-"])
def test_integers_that_are_none_name_the_flag(word: str) -> None:
    with pytest.raises(UserError) as caught:
        program_module.integers("folds", ["1", word])
    assert str(caught.value).startswith(f"--folds: {word!r} ")
