"""What import-linter (pyproject.toml) does not see: libraries of models, circles of modules, imports by a bare name, links.

Every import statement of the four folders is read, lazy ones and those for types included.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("bench", "baselines", "generative", "kernels", "unified")

LIBRARIES = {
    "kernels": {"torch"},
    "generative": {"torch", "numpy"},
    "baselines": {"torch", "numpy"},
    "unified": {"torch"},
}
"""What models may import besides the standard library."""

MORE_LIBRARIES = {
    "baselines/_deepctr.py": {"deepctr_torch"},
    "baselines/gbdt.py": {"sklearn", "threadpoolctl"},
    "kernels/hstu_attention/triton/backward.py": {"triton"},
    "kernels/hstu_attention/triton/bias.py": {"triton"},
    "kernels/hstu_attention/triton/forward.py": {"triton"},
    "kernels/target_attention/programs.py": {"triton"},
    "kernels/triton_layer/products.py": {"triton"},
    "kernels/triton_layer/rows.py": {"triton"},
}
"""What single files may import besides."""

FILES = [path.relative_to(ROOT) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Dotted targets of a file's imports; relative ones as paths from the root, such as `bench.config`."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    package = path.parent.parts
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (f"absolute:{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield f"absolute:{node.module}"
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            for alias in node.names:
                yield ".".join(part for part in (*base, alias.name) if part)


def inner(path: Path) -> set[str]:
    return {target for target in imports(path) if not target.startswith("absolute:")}


def libraries(path: Path) -> set[str]:
    found = {target.removeprefix("absolute:").split(".")[0] for target in imports(path) if target.startswith("absolute:")}
    return found - sys.stdlib_module_names


def test_there_is_something_to_check() -> None:
    assert {path.parts[0] for path in FILES} == set(FOLDERS)
    assert inner(Path("bench/identity.py")) == set()
    assert inner(Path("bench/typed.py")) == {"bench.errors.UserError", "bench.errors.unknown_name"}
    assert "yaml" in libraries(Path("bench/yaml_text.py"))


@pytest.mark.parametrize("folder", LIBRARIES)
def test_kernels_and_models_need_no_library_but_torch(folder: str) -> None:
    for path in (path for path in FILES if path.parts[0] == folder):
        allowed = LIBRARIES[folder] | MORE_LIBRARIES.get(path.as_posix(), set())
        assert libraries(path) <= allowed, path


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("kernels", ("kernels",)),
        ("generative", ("generative", "kernels", "bench.contract")),
        ("baselines", ("baselines", "kernels", "bench.contract")),
        ("unified", ("unified", "baselines", "kernels", "bench.contract")),
        ("bench", ("bench", "kernels", "__version__")),
    ],
)
def test_folders_import_only_what_lies_below(folder: str, allowed: tuple[str, ...]) -> None:
    for path in (path for path in FILES if path.parts[0] == folder):
        wrong = {target for target in inner(path) if not any(f"{target}.".startswith(f"{one}.") for one in allowed)}
        assert not wrong, path


def test_modules_import_each_other_in_no_circle() -> None:
    """Imports for types alone do not run and are left out here."""
    names = {path.with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path for path in FILES}

    def running(path: Path) -> set[str]:
        tree = ast.parse((ROOT / path).read_text())
        skipped = {
            id(child)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            for child in ast.walk(node)
        }
        found = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level and id(node) not in skipped:
                base = ".".join([*path.parent.parts[: len(path.parent.parts) - node.level + 1], *filter(None, [node.module])])
                found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in names else base for alias in node.names}
        return found & names.keys()

    edges = {name: running(path) - {name} for name, path in names.items()}
    while free := {name for name, targets in edges.items() if not targets}:
        edges = {name: targets - free for name, targets in edges.items() if name not in free}
    # A package that gathers its modules' names and a module that reaches a sibling through it are the classic circle.
    assert not edges, f"these import each other: {edges}"


def test_no_folder_is_imported_by_its_bare_name() -> None:
    """That would make a second copy of the module, or find somebody else's package of that name."""
    for path in (*FILES, *(path.relative_to(ROOT) for path in sorted((ROOT / "tests").rglob("*.py")))):
        bare = libraries(path) & {*FOLDERS, "results", "tests"}
        assert not bare, path
        assert path.parts[0] == "tests" or "rankbench" not in libraries(path), f"{path}: import relatively inside the tree"


def test_every_folder_with_code_is_a_package() -> None:
    """Otherwise the wheel lacks it."""
    assert all((ROOT / path.parent / "__init__.py").is_file() for path in FILES)


def test_the_package_links_to_the_folders() -> None:
    for folder in FOLDERS:
        assert (ROOT / "src" / "rankbench" / folder).resolve() == ROOT / folder
