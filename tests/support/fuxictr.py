"""A program and a folder that stand in for the Python that has FuxiCTR and for FuxiCTR's model zoo."""

from __future__ import annotations

import sys
from pathlib import Path

from rankbench.bench.peers.fuxictr import MODELS, model_file

_PROGRAM = """\
#!{python}
import json, sys
from pathlib import Path
job = json.loads(Path(sys.argv[2]).read_text())
if job["do"] == "check":
    print("hello"); print(json.dumps({{"fuxictr": "0.0", "torch": "0.0"}}))
if job["do"] in ("train", "time") and {broken}:
    sys.exit("first line\\nit broke")
if job["do"] == "train":
    import pandas as pd
    table = pd.read_parquet(Path(job["data_root"]) / "test.parquet")
    score = 0.2 + 0.6 * table["label"] + 0.01 * job["seed"]
    pd.DataFrame({{"label": table["label"], "score": score}}).to_parquet(job["predictions"])
    facts = {{"epochs": 3, "valid_auc": 0.7, "seconds": 1.0, "parameters": 9, "versions": {{"fuxictr": "0.0"}}}}
    Path(job["facts"]).write_text(json.dumps(facts))
if job["do"] == "time":
    from pyarrow.parquet import read_metadata
    examples = read_metadata(Path(job["data_root"]) / "train.parquet").num_rows
    wall, cpu = 1.0 + job["params"]["num_workers"], 0.5 * job["threads"]
    print("hello"); print(json.dumps({{"examples": examples, "wall_seconds": wall, "cpu_seconds": cpu}}))
"""


def stand_in(folder: Path, broken: bool = False) -> str:
    """A program that answers as the runner does in FuxiCTR's Python."""
    file = folder / f"python-{broken}"
    file.write_text(_PROGRAM.format(python=sys.executable, broken=broken))
    file.chmod(0o755)
    return str(file)


def model_zoo(folder: Path) -> Path:
    """A folder with a file for each model."""
    for model in MODELS:
        file = model_file(folder / "model_zoo", model)
        file.parent.mkdir(parents=True)
        file.write_text(f"# {model}")
    return folder / "model_zoo"
