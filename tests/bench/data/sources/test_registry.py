"""The registry: lazy, complete, and helpful about names that do not exist."""

import subprocess
import sys
from pathlib import Path

import pytest

from rankbench.bench.data import sources
from rankbench.bench.data.dataset import open_dataset
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
    assert done.stdout.startswith(
        "['ml-100k', 'ml-1m', 'kuairand-pure', 'taobao-userbehavior', 'simulator', 'simulator-target', 'simulator-behaviours', "
        "'simulator-domains', 'simulator-side-information'] set()"
    )


@pytest.mark.parametrize("name", ["ml-100k", "ml-1m", "kuairand-pure"])
def test_loaders_exist(name: str) -> None:
    card = sources.DATASETS[name]
    assert card.name == name and card.summary and card.licence
    assert callable(sources._function(card.loader))


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
