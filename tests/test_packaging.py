"""The source distribution and the wheel made from it hold the whole package and work where the checkout is not."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import pytest

from support.wheel import FOLDERS, ROOT, built, call, installed

SOURCES = sorted(path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("packaging"))


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    modules = {f"rankbench/{path}" for path in SOURCES} | {"rankbench/__init__.py", "rankbench/__main__.py"}
    assert {name for name in names if name.endswith(".py")} == modules
    assert "rankbench/py.typed" in names
    native = {path.relative_to(ROOT).as_posix() for suffix in ("cpp", "h") for path in (ROOT / "kernels").rglob(f"*.{suffix}")}
    assert native and {f"rankbench/{path}" for path in native} <= names
    assert all(name.startswith("rankbench/") for name in names)


@pytest.mark.long
def test_the_wheel_works_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    python = installed(tmp_path, wheel)
    (site,) = (tmp_path / "venv" / "lib").glob("python3*/site-packages")

    shown = call(tmp_path / "venv" / "bin" / "rankbench", "ls", "models", cwd=tmp_path)
    assert {"din", "hstu", "random"} <= {line.split()[0] for line in shown.splitlines()}

    # Programs of Triton can only be read where it is installed, and nothing else imports them.
    there = importlib.util.find_spec("triton") is not None
    found = [path for path in SOURCES if there or "\nimport triton\n" not in (ROOT / path).read_text()]
    modules = ["rankbench." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in found]
    code = f"import importlib; files = [importlib.import_module(name).__file__ for name in {modules}]; print(*files, sep='\\n')"
    files = call(python, "-c", code, cwd=tmp_path).splitlines()
    assert len(files) == len(modules)
    assert all(Path(file).is_relative_to(site) for file in files)
