"""Every path, module and flag that the pages name is there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.helpers.program_flags import PROGRAMS, flags_of

ROOT = Path(__file__).parents[1]
# What is named in the history need not be there any more.
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
CONFIGS = sorted((ROOT / "configs").glob("*.cfg"))
_FOLDERS = "sound_pipeline|tests|benchmarks|configs|docs|examples"
# Of absl, and of the tools that the pages' commands call.
_OTHERS = {"help", "helpfull", "flagfile", "dir", "all", "tag_set", "signature_def", "inputs"}


@pytest.fixture(scope="module")
def flags() -> set[str]:
    """The names of all flags: of programs, and of benchmarks."""
    names = {name for program in PROGRAMS for name in flags_of(program)}
    for path in (ROOT / "benchmarks").rglob("*.py"):
        names |= set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    return names | _OTHERS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(rf"(?<![\w/.-])((?:{_FOLDERS})/[\w./*-]*\w)", text)
    missing = [name for name in named if not list(ROOT.glob(name))]
    links = re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", text)
    local = [link for link in links if "://" not in link]
    missing += [link for link in local if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\b(?:sound_pipeline|benchmarks)(?:\.[a-z_]\w*)+", text):
        if name == "sound_pipeline.load_model":
            continue
        assert importlib.util.find_spec(name), name


@pytest.mark.parametrize("page", [*PAGES, *CONFIGS], ids=lambda page: page.name)
def test_flags_are_flags(page: Path, flags: set[str]) -> None:
    text = page.read_text(encoding="utf-8")
    # Of our programs: underscores, never hyphens, and only in code.
    code = text if page.suffix == ".cfg" else "\n".join(re.findall(r"`[^`]+`", text))
    named = re.findall(r"(?<![\w-])--(?:no)?([a-z]\w*)(?![\w-])", code)
    assert not {name for name in named if name not in flags and f"no{name}" not in flags}
