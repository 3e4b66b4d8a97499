"""Whether a record's code, its time and its machine can be what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ...kernels import dispatch
from .. import device as devices
from .. import implementations  # noqa: F401  (all operations are registered)
from ..records.schema import RunRecord
from .finding import Said
from .history import Repository

CLOCKS = timedelta(hours=1)
"""By which the clocks of two machines may differ."""
_REDUCED = {"cpu": set(), "cuda": {"tf32"}, "npu": {"hf32"}}
"""Kind of device -> its switches of reduced precision."""


def about_origin(record: RunRecord, history: Repository | None) -> Iterator[Said]:
    """What commit, times, device and kernels show."""
    if record.simulated:
        yield "wrong", "it was made on a simulated device"
    yield from _about_time(record)
    yield from _about_commit(record, history)
    yield from _about_machine(record)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _about_time(record: RunRecord) -> Iterator[Said]:
    started, finished = _moment(record.started), _moment(record.finished)
    for name, text, moment in (("started", record.started, started), ("finished", record.finished, finished)):
        if moment is None:
            yield "wrong", f"{name} is {text!r}, which is no time of ISO 8601 with a zone"
        elif moment > datetime.now(UTC) + CLOCKS:
            yield "wrong", f"{name} is {text}, which is in the future"
    if started is not None and finished is not None and finished < started:
        yield "wrong", f"it finished at {record.finished}, before it started at {record.started}"


def _about_commit(record: RunRecord, history: Repository | None) -> Iterator[Said]:
    name = record.environment.git_commit
    if name is None:
        yield "wrong", "no commit is given; run from a checkout"
        return
    short = name[:12]
    if record.environment.git_dirty is not False:
        yield "wrong", f"the code differed from commit {short}; commit first, then run"
    if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", name):
        yield "wrong", f"{name[:60]!r} is no name of a commit"
        return
    if history is None:
        yield "note", f"commit {short} was not looked up: this is no checkout of the repository"
        return
    commit = history.commit(name)
    if commit is None:
        if history.whole:
            yield "wrong", f"commit {short} is not in this repository; fetch the branch that it is on"
        else:
            yield "note", f"commit {short} was not found, but not all of the history is here (git fetch --unshallow)"
        return
    finished = _moment(record.finished)
    if finished is not None and commit.made > finished + CLOCKS:
        yield "wrong", f"commit {short} was made at {commit.made.isoformat()}, after the run had finished at {record.finished}"
    if record.environment.git_dirty is False and commit.code_hash != record.environment.code_hash:
        yield "wrong", f"its code hash is {record.environment.code_hash[:12]}, that of commit {short} is {commit.code_hash[:12]}"


def _about_machine(record: RunRecord) -> Iterator[Said]:
    environment, kind = record.environment, record.device.partition(":")[0]
    if kind not in devices.KINDS:
        yield "wrong", f"it ran on {record.device}; a device is one of {', '.join(devices.KINDS)}"
        return
    for name in ("cores", "threads", "processes", "memory_gb"):
        if not getattr(environment, name) > 0:
            yield "wrong", f"environment.{name} is {getattr(environment, name)}"
    if (environment.accelerator is None) != (kind == "cpu"):
        yield "wrong", f"it ran on {record.device}, but its accelerator is {environment.accelerator or 'none'}"
    if kind == "cpu" and record.precision == "fp16":
        yield "wrong", "it ran in fp16 on a CPU, which this program refuses"
    if strange := sorted(record.matmul.keys() - _REDUCED[kind]):
        yield "wrong", f"matmul names {', '.join(strange)}, which {kind} does not have"
    for operation, ran in record.kernels.items():
        if operation not in dispatch.OPERATIONS:
            yield "wrong", f"kernels names the operation {operation}, which does not exist"
            continue
        for name in ran.split(" and "):
            if name not in dispatch.names(operation):
                yield "wrong", f"kernels names {operation}={name}, which does not exist"
            elif (only := dispatch.find(operation, name).device) not in (None, kind):
                yield "wrong", f"kernels names {operation}={name}, which runs on {only} alone, but it ran on {record.device}"
