"""Packages: one file (.pt2) with a model's programs and what is needed to use them.

`exported` programs are graphs that torch runs operation by operation, on any machine with this version of torch. `compiled` ones
were made by AOTInductor into machine code of the processor on which they were made. A package is a program: whoever loads it
runs it, and weights (.safetensors) are what is passed on among people who do not trust each other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ...kernels.native import processor
from ..atomic import write_bytes
from ..contract import PointwiseBatch, Ranker, SequenceBatch
from ..errors import DAMAGED, UserError
from ..records.weights import Header
from ..typed import parse
from ..typed import read as from_text
from .programs import CANDIDATES, REMEMBER, SCORES, Program, inputs_of

Kind = Literal["exported", "compiled"]
KINDS: tuple[Kind, ...] = ("exported", "compiled")

SUFFIX = ".pt2"
VERSION = 1
_HEADER = "rankbench.json"


@dataclass(frozen=True)
class PackageHeader:
    """What a package is of."""

    version: int
    kind: Kind
    torch: str
    """Version of torch that made it."""
    processor: str
    """Hash of the instruction set for which it was compiled; empty of exported programs."""
    inputs: dict[str, tuple[str, ...]]
    """Program -> names of its tensors in their order."""
    weights: Header
    """Of the model."""


class PackagedRanker(Ranker):
    """A model made of its programs. Batches are those of one request, with two candidates at least (`programs.FEWEST`)."""

    def __init__(self, programs: Mapping[str, Callable[..., Any]], inputs: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.programs, self.inputs = programs, inputs

    @property
    def remembers(self) -> bool:
        """Whether there are programs for a past that is kept."""
        return REMEMBER in self.programs

    def forward(self, batch: PointwiseBatch | SequenceBatch) -> Tensor:
        return self._run(SCORES, inputs_of(batch))

    def remember(self, past: SequenceBatch) -> tuple[Tensor, ...]:
        return tuple(self._run(REMEMBER, inputs_of(past)))

    def forward_after(self, memory: tuple[Tensor, ...], seen_from: int, batch: SequenceBatch) -> Tensor:
        names = self.inputs[CANDIDATES][: len(memory)]
        given = dict(zip(names, memory, strict=True)) | {"seen_from": torch.tensor(seen_from)}
        return self._run(CANDIDATES, given | inputs_of(batch))

    def _run(self, name: str, given: Mapping[str, Tensor]) -> Any:
        return self.programs[name](*(given[place] for place in self.inputs[name]))


def ranker_of(programs: Mapping[str, Program]) -> PackagedRanker:
    """Of programs that are still in memory."""
    run = {name: _runnable(one.exported) for name, one in programs.items()}
    return PackagedRanker(run, {name: one.inputs for name, one in programs.items()})


def to_bytes(programs: Mapping[str, Program], weights: Header, kind: Kind) -> bytes:
    """The content of a package; `compiled` takes minutes.

    Raises:
        UserError: the programs cannot be compiled here.
    """
    from torch.export.pt2_archive._package import package_pt2

    inputs = {name: one.inputs for name, one in programs.items()}
    native = _processor() if kind == "compiled" else ""
    header = PackageHeader(VERSION, kind, torch.__version__, native, inputs, weights)
    content, extra = io.BytesIO(), {_HEADER: json.dumps(dataclasses.asdict(header))}
    if kind == "exported":
        package_pt2(content, exported_programs={name: one.exported for name, one in programs.items()}, extra_files=extra)
    else:
        package_pt2(content, aoti_files={name: _compiled(one.exported) for name, one in programs.items()}, extra_files=extra)
    return content.getvalue()


def write(path: Path, content: bytes) -> None:
    """What `to_bytes` gave, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    write_bytes(path, content)


def _runnable(program: torch.export.ExportedProgram) -> Any:
    """Without the guards of tracing: they refuse sizes of one, for which programs compute the same (equal.py asks for them)."""
    return program.module(check_guards=False)


def _processor() -> str:
    """Hash of the instruction set of this one."""
    return hashlib.sha256(processor().encode()).hexdigest()[:24]


def _compiled(program: torch.export.ExportedProgram) -> Any:
    """The files that AOTInductor makes of a program: code for any number of threads."""
    from torch._inductor import aot_compile
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

    options = {"aot_inductor.package": True, "cpp.dynamic_threads": True}
    assert program.example_inputs is not None, "tracing keeps them"
    args, kwargs = program.example_inputs
    try:
        return aot_compile(_runnable(program), args, kwargs, options=options)
    except InvalidCxxCompiler:
        raise UserError(
            "a compiled package needs a C++ compiler, and none is found; install g++ or make an exported one"
        ) from None
    except CppCompileError as error:
        said = next((line for line in str(error).splitlines() if "error:" in line), str(error).splitlines()[0])
        raise UserError(f"the C++ compiler does not compile the package ({said.strip()[:200]}); make an exported one") from None


def read_header(path: Path) -> PackageHeader:
    """What a package is of; nothing of it is run.

    Raises:
        UserError: no such file, not a whole package, or one that cannot run here.
    """
    if not path.is_file():
        raise UserError(f"package {path} does not exist; rankbench export makes it")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            names = [name for name in archive.namelist() if name.endswith(f"/{_HEADER}")]
            text = archive.read(names[0]).decode() if names else ""
    except DAMAGED as error:
        raise UserError(f"package {path} cannot be read ({error}); make it again with rankbench export") from None
    if damaged is not None:
        raise UserError(f"package {path} is damaged ({damaged}); make it again with rankbench export")
    if not text:
        raise UserError(f"{path} holds no package of rankbench export")

    def broken(what: str) -> UserError:
        return UserError(f"package {path}: its header {what}; make it again with rankbench export")

    raw = parse(text, broken)
    version = raw.get("version") if isinstance(raw, dict) else None
    if version != VERSION:
        raise UserError(
            f"package {path} has version {version}, this program reads {VERSION}; make it again with rankbench export"
        )
    header = from_text(PackageHeader, text, broken)
    if header.torch != torch.__version__:
        raise UserError(f"package {path} was made by torch {header.torch}, here is {torch.__version__}; make it again here")
    if header.kind == "compiled" and header.processor != _processor():
        raise UserError(f"package {path} was compiled for another processor; make it again here, or take an exported one")
    return header


def load(path: Path, header: PackageHeader) -> PackagedRanker:
    """The programs of a package, ready to run.

    Args:
        header: what `read_header` gave; who loads a package that belongs to other data runs it for nothing.

    Raises:
        UserError: they cannot be loaded.
    """
    from torch.export.pt2_archive._package import load_pt2

    try:
        found = load_pt2(str(path))
    except Exception as error:  # of torch's reader, which has no type of its own for bytes that it does not understand
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"package {path} cannot be loaded ({reason}); make it again with rankbench export") from None
    programs: dict[str, Callable[..., Any]]
    if header.kind == "exported":
        programs = {name: _runnable(program) for name, program in found.exported_programs.items()}
    else:
        programs = dict(found.aoti_runners)
    if missing := set(header.inputs) - set(programs):
        raise UserError(f"package {path} lacks its programs {', '.join(sorted(missing))}; make it again with rankbench export")
    return PackagedRanker(programs, header.inputs)
