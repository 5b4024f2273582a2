"""Run directories: whole results or the old ones, however a run ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sound_pipeline.errors import UserError
from sound_pipeline.training.run_directory import RESULTS, staged

_FOLDERS = ("tensorboard", "saved_model")


def write_results(directory: Path, mark: str) -> None:
    for name in RESULTS:
        if name in _FOLDERS:
            (directory / name).mkdir()
            (directory / name / f"{mark}.bin").write_text(mark)
        else:
            (directory / name).write_text(mark)


def run(directory: Path, mark: str) -> None:
    with staged(directory) as aside:
        write_results(aside, mark)


def contents(directory: Path) -> dict[str, str]:
    """What each file below a directory holds, by its path there."""
    return {
        path.relative_to(directory).as_posix(): path.read_text()
        for path in directory.rglob("*")
        if path.is_file()
    }


def whole(mark: str) -> dict[str, str]:
    return {f"{name}/{mark}.bin" if name in _FOLDERS else name: mark for name in RESULTS}


def test_puts_all_results_in_place_and_nothing_else(tmp_path: Path) -> None:
    run(tmp_path / "runs" / "first", "one")
    assert contents(tmp_path / "runs" / "first") == whole("one")
    assert {path.name for path in (tmp_path / "runs" / "first").iterdir()} == set(RESULTS)


def test_results_are_not_visible_before_the_end(tmp_path: Path) -> None:
    with staged(tmp_path) as aside:
        write_results(aside, "one")
        assert not [name for name in RESULTS if (tmp_path / name).exists()]


def test_takes_an_empty_directory(tmp_path: Path) -> None:
    run(tmp_path, "one")
    assert contents(tmp_path) == whole("one")


def test_a_new_run_replaces_the_old_one_wholly(tmp_path: Path) -> None:
    run(tmp_path, "one")
    run(tmp_path, "two")
    assert contents(tmp_path) == whole("two")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, UserError])
def test_an_error_leaves_the_old_run_untouched(tmp_path: Path, error: type[BaseException]) -> None:
    run(tmp_path, "one")
    with pytest.raises(error, match="in the middle"), staged(tmp_path) as aside:
        (aside / "predictions.csv").write_text("two")
        raise error("in the middle")
    assert contents(tmp_path) == whole("one")
    assert {path.name for path in tmp_path.iterdir()} == set(RESULTS)


def test_an_error_leaves_no_new_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in the middle"), staged(tmp_path / "run"):
        raise ValueError("in the middle")
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_an_empty_directory_there(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(ValueError, match="in the middle"), staged(tmp_path / "run"):
        raise ValueError("in the middle")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_results_that_lack_something_do_not_replace_a_run(tmp_path: Path) -> None:
    run(tmp_path, "one")
    with pytest.raises(FileNotFoundError, match="did not write metrics"), staged(tmp_path) as aside:
        write_results(aside, "two")
        (aside / "metrics.json").unlink()
    assert contents(tmp_path) == whole("one")


@pytest.mark.parametrize("foreign", ["thesis.tex", "src"])
def test_refuses_a_directory_with_other_content(tmp_path: Path, foreign: str) -> None:
    run(tmp_path, "one")
    if "." in foreign:
        (tmp_path / foreign).write_text("precious")
    else:
        (tmp_path / foreign).mkdir()
    with pytest.raises(UserError) as caught, staged(tmp_path):
        pytest.fail("must not start")
    message = str(caught.value)
    assert f"--output_dir={tmp_path}" in message and foreign in message
    assert len(message.splitlines()) == 1
    assert (tmp_path / foreign).exists()
    assert whole("one").items() <= contents(tmp_path).items()


def test_refuses_a_file_as_the_directory(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    for directory in (tmp_path / "run", tmp_path / "run" / "below"):
        with (
            pytest.raises(UserError, match=r"--output_dir=.*(Not a directory|exists)"),
            staged(directory),
        ):
            pytest.fail("must not start")
    assert (tmp_path / "run").read_text() == "a file"


def test_two_runs_do_not_write_into_one_directory(tmp_path: Path) -> None:
    run(tmp_path, "one")
    with staged(tmp_path) as aside:
        with pytest.raises(UserError, match=r"another train\.py is writing here"), staged(tmp_path):
            pytest.fail("must not start")
        # Nor does the second one remove what the first one writes.
        write_results(aside, "two")
    assert contents(tmp_path) == whole("two")
    run(tmp_path, "three")
    assert contents(tmp_path) == whole("three")


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    run(tmp_path, "one")
    (tmp_path / ".unfinished").mkdir()
    write_results(tmp_path / ".unfinished", "killed")
    run(tmp_path, "two")
    assert contents(tmp_path) == whole("two")
    assert {path.name for path in tmp_path.iterdir()} == set(RESULTS)


@pytest.mark.parametrize("moved", range(len(RESULTS)))
def test_a_run_killed_while_moving_has_no_model_until_all_is_there(
    tmp_path: Path, moved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill leaves no chance to clean up: the aside folder stays, as after `moved` renames."""
    run(tmp_path, "one")
    replace = os.replace
    renamed = 0

    def killed_in_time(path: Path, target: Path) -> None:
        nonlocal renamed
        if path.parent.name.startswith(".unfinished"):
            if renamed == moved:
                raise SystemExit
            renamed += 1
        replace(path, target)

    with monkeypatch.context() as patches:
        patches.setattr(os, "replace", killed_in_time)
        patches.setattr(
            "sound_pipeline.training.run_directory.shutil.rmtree", lambda *_, **__: None
        )
        with pytest.raises(SystemExit):
            run(tmp_path, "two")
    assert not (tmp_path / "saved_model").exists()
    assert set(RESULTS[:moved]) <= {path.name for path in tmp_path.iterdir()}

    run(tmp_path, "three")
    assert contents(tmp_path) == whole("three")
    assert {path.name for path in tmp_path.iterdir()} == set(RESULTS)


def write_lite(directory: Path, mark: str) -> None:
    (directory / "tflite").mkdir()
    (directory / "tflite" / "model_int8.tflite").write_text(mark)


def test_what_only_some_runs_write_is_kept_and_replaced_with_the_rest(tmp_path: Path) -> None:
    with staged(tmp_path) as aside:
        write_results(aside, "one")
        write_lite(aside, "one")
    lite = {"tflite/model_int8.tflite": "one"}
    assert contents(tmp_path) == whole("one") | lite
    with pytest.raises(ValueError, match="in the middle"), staged(tmp_path) as aside:
        write_lite(aside, "two")
        raise ValueError("in the middle")
    assert contents(tmp_path) == whole("one") | lite
    run(tmp_path, "two")
    assert contents(tmp_path) == whole("two"), "files of another model"


def test_a_run_to_which_it_was_added_later_can_be_run_again(tmp_path: Path) -> None:
    run(tmp_path, "one")
    write_lite(tmp_path, "one")
    run(tmp_path, "two")
    assert contents(tmp_path) == whole("two")
