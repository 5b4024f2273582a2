"""Flags under headings, everyday ones first: of made-up programs, and of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

from sound_pipeline.system.flag_groups import group, help_text
from tests.helpers.program_flags import PROGRAMS, ROOT, flags_of


def made_up() -> flags.FlagValues:
    values = flags.FlagValues()
    with group("Sound", ("level",), values):
        flags.DEFINE_float("level", -20.0, "Level in dB.", flag_values=values)
        flags.DEFINE_bool("loud", True, "Make it loud.", flag_values=values)
    with group("Output", ("to",), values):
        flags.DEFINE_list("to", ["a", "b"], "Where to. " + "Long " * 30, flag_values=values)
        flags.DEFINE_string("format", "", "Format of it.", flag_values=values)
    return values


def test_help_lists_everyday_flags_under_their_headings() -> None:
    text = help_text("Makes sounds.\n", False, made_up(), width=60)
    assert text.startswith(
        "Makes sounds.\n\nSound:\n  --level=-20.0\n      Level in dB.\n\nOutput:\n"
    )
    assert "  --to=a,b\n      Where to." in text
    assert "--loud" not in text and "--format" not in text
    assert "--helpfull lists 2 flags more" in text
    assert max(map(len, text.splitlines()[:-1])) <= 60


def test_helpfull_lists_all_in_the_order_of_their_definitions() -> None:
    text = help_text("Makes sounds.", True, made_up())
    names = re.findall(r"^  --(?:\[no\])?(\w+)", text, re.MULTILINE)
    assert names == ["level", "loud", "to", "format"]
    assert "  --[no]loud (on)\n" in text and "  --format=...\n" in text
    assert "flags more" not in text


def test_a_group_may_be_added_to_by_several_stages() -> None:
    values = made_up()
    with group("Sound", ("pitch",), values):
        flags.DEFINE_float("pitch", 440.0, "Pitch in Hz.", flag_values=values)
    text = help_text("", False, values)
    assert text.count("Sound:") == 1
    assert text.index("--level") < text.index("--pitch") < text.index("Output:")


def test_a_flag_that_is_not_defined_is_a_defect() -> None:
    with (
        pytest.raises(AssertionError, match="not defined under Sound"),
        group("Sound", ("volume",), flags.FlagValues()),
    ):
        pass


@pytest.mark.parametrize("program", ["train.py", "serve_mic.py"])
def test_the_everyday_flags_of_the_large_programs_are_few(program: str) -> None:
    defined = flags_of(program)
    everyday = [flag for flag in defined.values() if flag["is_everyday"]]
    assert 10 <= len(everyday) <= 25
    assert all(flag["heading"] for flag in defined.values())
    assert len({flag["heading"] for flag in everyday}) >= 4


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_help_text_is_a_sentence_that_says_what_the_flag_does(program: str) -> None:
    for name, flag in flags_of(program).items():
        text = re.sub(r"^<[^>]*>: |;\s+repeat this option.*", "", flag["help"])
        assert len(text.split()) >= 4, f"--{name}: {text}"
        assert text[0].isupper() or text.startswith(("auto:", "balanced:")), f"--{name}: {text}"
        assert text.endswith("."), f"--{name}: {text}"
        assert not re.match(r"(Of|To|From|Between|As|The same|In|Or)\b", text), f"--{name}: {text}"


@pytest.mark.parametrize("flag", ["--help", "--helpfull", "-?"])
def test_help_of_a_program(flag: str) -> None:
    done = subprocess.run(
        [sys.executable, "train.py", flag], capture_output=True, cwd=ROOT, text=True, check=False
    )
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("Trains a model that names sounds")
    assert ("--fine_tune_epochs" in done.stdout) == (flag == "--helpfull")
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_an_extractor_on_the_command_line_replaces_that_of_a_flagfile(tmp_path: Path) -> None:
    file = tmp_path / "some.cfg"
    file.write_text("--extractor=one,two\n--dataset=folder\n--output_dir=run\n")
    code = (
        "import train; from absl.flags import FLAGS; train.define_flags();"
        f"FLAGS(['train.py', '--flagfile={file}', '--extractor=gabor']); print(FLAGS.extractor)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, text=True)
    assert done.stdout == "gabor\n", done.stderr
