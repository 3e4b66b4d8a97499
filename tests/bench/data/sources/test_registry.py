"""The registry: lazy, complete, and helpful about names that do not exist."""

import subprocess
import sys
from pathlib import Path

import pytest

from rankbench.bench.data import sources
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.sources import fetch
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.errors import UserError
from support.tables import click_table


def test_listing_imports_neither_pandas_nor_torch() -> None:
    code = (
        "import sys; from rankbench.bench.data import sources; "
        "print(list(sources.DATASETS), {'pandas', 'pyarrow', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['ml-100k', 'ml-1m', ") and done.stdout.endswith("'simulator-long-history'] set()\n")


@pytest.mark.parametrize("name", sources.DATASETS)
def test_loaders_exist(name: str) -> None:
    card = sources.DATASETS[name]
    assert card.name == name and card.summary and card.licence and card.places
    assert callable(sources._function(f"{card.loader}:load"))


@pytest.mark.parametrize("name", [name for name, card in sources.DATASETS.items() if card.cite])
def test_a_set_whose_files_are_absent_says_where_they_are_to_be_had(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(fetch, "download", offline)
    monkeypatch.setattr(fetch, "download_wheel", offline)
    for root in (None, tmp_path):
        with pytest.raises(UserError, match=r"https?://|contest|Toys_CTR") as caught:
            sources.load(name, DataRoots(root, tmp_path / "cache"))
        assert "RANKBENCH_DATA" in str(caught.value) and "\n" not in str(caught.value)


def test_a_changed_file_is_converted_again_whatever_the_name_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "Tenrec"
    folder.mkdir()
    header, row = "user_id,item_id,click,follow,like,share,video_category,watching_times,gender,age\n", "1,{},{},0,0,0,1,0,1,4\n"
    roots = DataRoots(tmp_path, tmp_path / "cache")
    (folder / "QB-video.csv").write_text(header + "".join(row.format(item, item % 2) for item in range(8)))
    first = open_dataset("tenrec-qb-video", roots).meta.events
    (folder / "QB-video.csv").write_text(header + "".join(row.format(item, item % 2) for item in range(9)))
    assert (first, open_dataset("tenrec-qb-video", roots).meta.events) == (8, 9)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ml-100", "unknown data set 'ml-100'; did you mean 'ml-100k'?"),
        ("absent.yaml", "absent.yaml does not exist"),
        ("events.csv", "is not a .yaml file: describe your own table"),
        ("list.yaml", "must hold keys"),
        ("broken.yaml", "cannot be read"),
        ("other.yaml", "unknown source in .*'simulatr'; did you mean 'simulator'"),
    ],
)
def test_bad_names_and_files(name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("events.csv").write_text("a\n1\n")
    Path("list.yaml").write_text("- a\n- b\n")
    Path("broken.yaml").write_text("a: [1\nb: }")
    Path("other.yaml").write_text("source: simulatr\n")
    with pytest.raises(UserError, match=message) as caught:
        sources.load(name, DataRoots(None, tmp_path))
    assert "\n" not in str(caught.value)


def test_the_margin_of_a_table_reaches_its_log_and_is_no_part_of_its_content(tmp_path: Path) -> None:
    path = click_table(tmp_path)
    roots = DataRoots(None, tmp_path / "cache")
    usual = open_dataset(str(path), roots).meta
    path.write_text(path.read_text() + "margin: 0.01\n")
    wider = open_dataset(str(path), roots).meta
    assert (usual.margin, wider.margin) == (0.002, 0.01) and usual.content_hash == wider.content_hash
    path.write_text(path.read_text().replace("0.01", "-1"))
    with pytest.raises(UserError, match="margin"):
        open_dataset(str(path), roots)
