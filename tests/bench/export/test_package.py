"""What is no package, or none that can run here, is refused in one line before anything of it runs."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from rankbench.bench.errors import UserError
from rankbench.bench.export import package
from rankbench.bench.export.package import PackagedRanker, PackageHeader
from rankbench.bench.records.weights import Header
from support.shell import refused

WEIGHTS = Header(4, {"model": "hstu"}, 0, "tiny", "content", "split", 0.0)
HEADER = PackageHeader(package.VERSION, "exported", torch.__version__, "", {"scores": ("batch.label",)}, WEIGHTS)


def written(path: Path, **changes: Any) -> Path:
    text = json.dumps(dataclasses.asdict(HEADER) | changes)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/extra/rankbench.json", text)
    return path


def test_a_header_comes_back(tmp_path: Path) -> None:
    assert package.read_header(written(tmp_path / "model.pt2")) == HEADER


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 99}, "has version 99"),
        ({"torch": "1.0.0"}, "was made by torch 1.0.0"),
        ({"kind": "compiled", "processor": "another"}, "compiled for another processor"),
        ({"kind": "pickled"}, "make it again with rankbench export"),
        ({"weights": {}}, "make it again with rankbench export"),
    ],
)
def test_what_cannot_run_here_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        package.read_header(written(tmp_path / "model.pt2", **changes))


def test_files_that_are_no_packages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    with pytest.raises(UserError, match="does not exist; rankbench export makes it"):
        package.read_header(path)
    path.write_bytes(b"what")
    with pytest.raises(UserError, match="cannot be read"):
        package.read_header(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other/file", "x")
    with pytest.raises(UserError, match="holds no package"):
        package.read_header(path)
    written(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"tiny")] ^= 1  # within the header itself: its checksum tells
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged|cannot be read"):
        package.read_header(path)


@pytest.mark.long
def test_a_header_and_nothing_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be loaded|lacks its programs"):
        package.load(written(tmp_path / "model.pt2"), HEADER)


def test_programs_get_their_inputs_by_name_and_in_order() -> None:
    asked: list[tuple[torch.Tensor, ...]] = []

    def scores(*given: torch.Tensor) -> torch.Tensor:
        asked.append(given)
        return given[0]

    ranker = PackagedRanker({"scores": scores}, {"scores": ("batch.b", "batch.a")})
    ranker._run("scores", {"batch.a": torch.zeros(1), "batch.unused": torch.ones(2), "batch.b": torch.ones(1)})
    assert not ranker.remembers and [float(one) for one in asked[0]] == [1, 0]
    with pytest.raises(KeyError):
        ranker._run("scores", {"batch.a": torch.zeros(1)})


def test_wrong_options_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "give the --weights of a run" in refused(capsys, "export")
    assert "a package ends in .pt2" in refused(capsys, "export", "--weights", "a.safetensors", "--out", "a.onnx")
    assert "is a package already" in refused(capsys, "export", "--weights", "a.pt2", "--out", "b.pt2")
    assert "makes no use of --out" in refused(capsys, "export", "--try", "din", "--out", "b.pt2")
    assert "did you mean 'hstu'" in refused(capsys, "export", "--try", "hstuu")
    assert "package a.pt2 does not exist" in refused(capsys, "predict", "a.pt2", "--user", "u1")
    assert "computes in fp32 on the CPU" in refused(capsys, "predict", "a.pt2", "--user", "u1", "--precision", "int8")
