"""The rule between packages: each is a stage of the flow, and imports only from those before it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sound_pipeline"

STAGES = (
    "errors",
    "system",
    "events",
    "demo_data",
    "audio",
    "datasets",
    "features",
    "augmentation",
    "extractors",
    "input_pipeline",
    "embeddings",
    "heads",
    "evaluation",
    "fine_tuning",
    "models",
    "tflite",
    "config",
    "label",
    "live.microphone",
    "live",
    "report",
    "training",
)
"""Packages, and modules directly under sound_pipeline, in the order of the flow."""


def module_name(path: Path) -> str:
    """A module's name below sound_pipeline: `audio.wav`; of a package that of its `__init__`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def stage(module: str) -> str:
    """The longest of STAGES that a module is or lies in; empty for programs, which may use all."""
    if module.endswith("__main__"):
        return ""
    found = [name for name in STAGES if f"{module}.".startswith(f"{name}.")]
    return max(found, key=len, default="")


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules and names that a module imports, below sound_pipeline."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("sound_pipeline."):
                yield name.removeprefix("sound_pipeline.")


def upward_imports(module: str, source: str) -> list[str]:
    """What a module imports of later stages than its own, or of programs."""
    own = stage(module)
    if not own:
        return []
    allowed = STAGES[: STAGES.index(own) + 1]
    return [name for name in imported(ast.parse(source)) if stage(name) not in allowed]


MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = {module_name(path): path.read_text(encoding="utf-8") for path in MODULES}


def test_each_package_imports_only_from_those_before_it() -> None:
    upward = {name: upward_imports(name, source) for name, source in SOURCES.items()}
    assert not {name: found for name, found in upward.items() if found}


@pytest.mark.parametrize(
    "statement",
    [
        "from sound_pipeline.heads.head import Head",
        "from sound_pipeline import heads",
        "import sound_pipeline.heads.head",
        "def late():\n    from sound_pipeline.heads import head",
        "from sound_pipeline.convert import main",
    ],
)
def test_an_import_upwards_is_found(statement: str) -> None:
    assert upward_imports("audio.wav", statement)
    assert not upward_imports("evaluation.metrics", statement.replace("convert", "audio.wav"))


def test_every_package_is_a_stage() -> None:
    packages = {stage(f"{path.parent.relative_to(PACKAGE).as_posix()}") for path in MODULES}
    assert packages - {""} <= set(STAGES)
    directories = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert directories <= set(STAGES)


def test_few_files_lie_beside_the_packages() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 8


def test_nothing_imports_a_main_module() -> None:
    found = {
        name: [each for each in imported(ast.parse(source)) if "__main__" in each]
        for name, source in SOURCES.items()
    }
    assert not {name: each for name, each in found.items() if each}


def test_no_package_imports_tensorflow_by_being_imported() -> None:
    packages = ["sound_pipeline"] + [
        f"sound_pipeline.{path.parent.relative_to(PACKAGE).as_posix().replace('/', '.')}"
        for path in PACKAGE.rglob("*/__init__.py")
    ]
    code = "".join(f"import {package}\n" for package in packages)
    code += "import sys\nassert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


def definitions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for name, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                yield name, node


def parameters(function: ast.FunctionDef) -> int:
    arguments = function.args
    names = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in names)


def test_functions_are_short_and_take_few_parameters() -> None:
    long = [
        f"{module}.{function.name}"
        for module, function in definitions()
        if function.end_lineno - function.lineno >= 60 or parameters(function) > 6  # type: ignore[operator]
    ]
    assert not long


def test_no_two_public_classes_share_a_name() -> None:
    modules = defaultdict(list)
    for name, source in SOURCES.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(name)
    assert not {name: found for name, found in modules.items() if len(found) > 1}
