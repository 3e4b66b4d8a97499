"""Files of a cell are the same bytes loose and packed, whenever somebody was killed, and a zip that is no cell's is refused."""

from __future__ import annotations

import functools
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankbench.bench.errors import UserError
from rankbench.bench.records import run_files

FILES = {
    **{f"seed-{seed}.json": b'{"seed": %d, "and": "more of it, more of it"}' % seed for seed in (2, 10)},
    **{f"seed-{seed}.scores.npz": bytes(range(seed, seed + 200)) for seed in (2, 10)},
}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def held(folder: Path, names: Any) -> dict[str, bytes]:
    """What reading gives, by name."""
    return {name: run_files.read(folder / name) for name in names if run_files.exists(folder / name)}


def on_disk(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


SEEDS = st.dictionaries(st.integers(0, 2000), st.tuples(st.binary(max_size=300), st.binary(max_size=300)), min_size=1, max_size=3)


@settings(max_examples=15)
@given(SEEDS, st.randoms(use_true_random=False))
def test_files_come_back_byte_for_byte_in_whatever_steps_they_were_packed(
    seeds: dict[int, tuple[bytes, bytes]], random: Any
) -> None:
    every = {}
    for seed, (record, scores) in seeds.items():
        every |= {f"seed-{seed}.json": record, f"seed-{seed}.scores.npz": scores}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "cell"
        left = write(folder, every)
        while left:
            chosen = random.sample(left, random.randint(1, len(left)))
            run_files.pack(folder, chosen)
            left = [path for path in left if path not in chosen]
            assert held(folder, every) == every
        assert on_disk(Path(place)).keys() == {"cell.zip"} and not folder.exists()
        with zipfile.ZipFile(run_files.archive(folder)) as file:  # by anybody's program
            assert {name: file.read(name) for name in file.namelist()} == every
        run_files.unpack(folder)
        assert on_disk(Path(place)) == {f"cell/{name}": content for name, content in every.items()}


def test_the_same_files_make_the_same_zip_whenever_and_wherever(tmp_path: Path) -> None:
    paths = write(tmp_path / "a" / "cell", FILES)
    run_files.pack(tmp_path / "a" / "cell", paths)
    other = write(tmp_path / "b" / "cell", dict(reversed(FILES.items())))
    for path in other:
        os.utime(path, (1, 1))
        path.chmod(0o600)
    run_files.pack(tmp_path / "b" / "cell", other[:1])
    run_files.pack(tmp_path / "b" / "cell", other[1:])
    assert on_disk(tmp_path / "a") == on_disk(tmp_path / "b")
    with zipfile.ZipFile(tmp_path / "a" / "cell.zip") as file:
        assert [member.filename for member in file.infolist()] == [
            *("seed-2.json", "seed-2.scores.npz", "seed-10.json", "seed-10.scores.npz")
        ]
        kinds = {(Path(one.filename).suffix, one.compress_type, one.date_time, one.external_attr) for one in file.infolist()}
    first, mode = (1980, 1, 1, 0, 0, 0), 0o100644 << 16
    assert kinds == {(".json", zipfile.ZIP_DEFLATED, first, mode), (".npz", zipfile.ZIP_STORED, first, mode)}
    assert (tmp_path / "a" / "cell.zip").stat().st_mode & 0o777 == 0o644


CALLS = ((os, "replace"), (os, "fsync"), (Path, "unlink"), (Path, "rmdir"), (Path, "chmod"))


def killed_after(monkeypatch: pytest.MonkeyPatch, steps: int, work: Callable[[], None]) -> bool:
    """Whether a kill after so many changes of the disk comes before `work` is done."""
    left = steps

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return function(*given, **options)

        return call

    with monkeypatch.context() as patch:
        for module, name in CALLS:
            patch.setattr(module, name, counting(getattr(module, name)))
        try:
            work()
        except KeyboardInterrupt:
            return True
    return False


def record_of(path: Path) -> Path:
    return path.with_name(path.name.replace(".scores.npz", ".json"))


@pytest.mark.parametrize("way", ["pack", "unpack"])
def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_there_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    for steps in range(100):
        folder = tmp_path / str(steps) / "cell"
        paths = write(folder, FILES)
        if way == "unpack":
            run_files.pack(folder, paths)
        work = functools.partial(run_files.pack, folder, paths) if way == "pack" else functools.partial(run_files.unpack, folder)
        killed = killed_after(monkeypatch, steps, work)
        assert held(folder, FILES) == FILES
        assert [path.name for path in run_files.records(folder)] == ["seed-10.json", "seed-2.json"]
        if not killed:
            break
        if way == "pack":  # as packing.loose finds what is left: by its records
            left = [folder / name for name in FILES if (folder / name).exists() and record_of(folder / name).exists()]
            run_files.pack(folder, left)
        else:
            run_files.unpack(folder)
        whole = {"cell.zip"} if way == "pack" else {f"cell/{name}" for name in FILES}
        assert {name for name in on_disk(folder.parent) if ".writing-" not in name} == whole
        assert held(folder, FILES) == FILES
    assert not killed and steps > 5


def test_weights_stay_where_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    paths = write(folder, FILES)
    (folder / "seed-2.safetensors").write_bytes(b"weights")
    run_files.pack(folder, paths)
    assert on_disk(tmp_path).keys() == {"cell.zip", "cell/seed-2.safetensors"}
    run_files.unpack(folder)
    assert on_disk(tmp_path).keys() == {"cell/seed-2.safetensors", *(f"cell/{name}" for name in FILES)}


def test_further_seeds_lie_beside_a_zip_and_a_file_in_both_forms_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    run_files.pack(folder, write(folder, FILES))
    write(folder, {"seed-11.json": b"later", "seed-2.json": FILES["seed-2.json"]})
    assert [path.name for path in run_files.records(folder)] == ["seed-10.json", "seed-11.json", "seed-2.json"]
    assert held(folder, FILES) == FILES and run_files.read(folder / "seed-11.json") == b"later"
    assert run_files.cells(tmp_path) == [folder]


def test_two_files_of_one_name_that_differ_are_an_error_and_nothing_is_moved(tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    run_files.pack(folder, write(folder, FILES))
    own = write(folder, {"seed-2.json": b"another one", "seed-3.json": b"later"})
    before = on_disk(tmp_path)
    for call in (lambda: run_files.read(own[0]), lambda: run_files.pack(folder, own), lambda: run_files.unpack(folder)):
        with pytest.raises(
            UserError, match=r"cell/seed-2\.json is not the seed-2\.json that lies in \S+cell\.zip; delete the one"
        ):
            call()
    assert on_disk(tmp_path) == before


def test_a_larger_record_than_can_be_read_again_is_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write(tmp_path / "cell", FILES)
    monkeypatch.setattr(run_files, "LARGEST_RECORD", 10)
    with pytest.raises(UserError, match=r"cell\.zip cannot be made: it would hold seed-2\.json of 4\d bytes"):
        run_files.pack(tmp_path / "cell", paths)
    assert on_disk(tmp_path).keys() == {f"cell/{name}" for name in FILES}


def zipped(path: Path, *members: tuple[str, bytes, int]) -> None:
    with zipfile.ZipFile(path, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two members with one name
        for name, content, way in members:
            file.writestr(zipfile.ZipInfo(name), content, way)


STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
FOREIGN = {
    "upwards": ([("../seed-0.json", b"{}", STORED)], "holds '../seed-0.json', which is no record"),
    "from the root": ([("/seed-0.json", b"{}", STORED)], "holds '/seed-0.json', which is no record"),
    "a folder": ([("seed-0.json/", b"", STORED)], "holds 'seed-0.json/', which is no record"),
    "below a folder": ([("cell/seed-0.json", b"{}", STORED)], "holds 'cell/seed-0.json', which is no record"),
    "another name": ([("seed-0.json", b"{}", STORED), ("seed-00.json", b"{}", STORED)], "holds 'seed-00.json', which"),
    "weights": ([("seed-0.safetensors", b"", STORED)], "holds 'seed-0.safetensors', which"),
    "a line of its own": ([("seed-0.json\n", b"", STORED)], r"holds 'seed-0.json\\n', which"),
    "twice": ([("seed-0.json", b"{}", STORED), ("seed-0.json", b"[]", STORED)], "holds two files of one name"),
    "another method": ([("seed-0.json", b"{}", zipfile.ZIP_BZIP2)], "holds seed-0.json, which is not deflated"),
    "scores that grow": ([("seed-0.scores.npz", bytes(10**6), DEFLATED)], "holds seed-0.scores.npz, which is not stored"),
    "a record that grows": ([("seed-0.json", bytes(10**6), DEFLATED)], "holds seed-0.json of 1000000 bytes, more than"),
}


@pytest.mark.parametrize(("members", "message"), FOREIGN.values(), ids=FOREIGN)
def test_a_zip_that_is_no_cells_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: list[tuple[str, bytes, int]], message: str
) -> None:
    monkeypatch.setattr(run_files, "LARGEST_RECORD", 10**5)
    zipped(tmp_path / "cell.zip", *members)
    refused(tmp_path / "cell", message)
    assert on_disk(tmp_path).keys() == {"cell.zip"}


def refused(folder: Path, message: str) -> None:
    """By everything that reads it, or would change it."""
    for call in (
        lambda: run_files.records(folder),
        lambda: run_files.exists(folder / "seed-0.json"),
        lambda: run_files.read(folder / "seed-0.json"),
        lambda: run_files.pack(folder, []),
        lambda: run_files.unpack(folder),
    ):
        with pytest.raises(UserError, match=rf"^packed cell \S+cell\.zip {message}.*; take it .* run the cell again$"):
            call()


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\3\4 torn"])
def test_what_is_no_zip_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cell.zip").write_bytes(content)
    refused(tmp_path / "cell", r"cannot be read \(")


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    zipped(tmp_path / "cell.zip", ("seed-0.json", b"{}", STORED))
    content = bytearray((tmp_path / "cell.zip").read_bytes())
    for at in (6, content.index(b"PK\1\2") + 8):
        content[at] |= 1
    (tmp_path / "cell.zip").write_bytes(content)
    refused(tmp_path / "cell", r"holds seed-0\.json, which is encrypted")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, bytes]]:
    folder = tmp_path_factory.mktemp("whole") / "cell"
    run_files.pack(folder, write(folder, FILES))
    yield folder, run_files.archive(folder).read_bytes()


@given(st.data())
def test_a_damaged_zip_is_an_error_or_reads_as_before(whole: tuple[Path, bytes], data: st.DataObject) -> None:
    folder, content = whole
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, 2 * len(content)))]
    run_files.archive(folder).write_bytes(damaged)
    for name, before in FILES.items():
        try:
            assert run_files.read(folder / name) == before
        except FileNotFoundError:
            assert name not in {path.name for path in run_files.records(folder)}  # its name was changed to another seed's
        except UserError as error:
            assert str(error).startswith(f"packed cell {run_files.archive(folder)} ") and "\n" not in str(error)
