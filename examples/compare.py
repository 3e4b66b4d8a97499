"""Two models on a table of your own, from Python: run them, read the board, ask for the difference.

python examples/compare.py
"""

from pathlib import Path

import rankbench

TABLE = Path(__file__).parent / "own_table" / "clicks.yaml"
RESULTS = Path("results/local/example")


def main() -> None:
    """Train what is missing, then print the board and the verdict."""
    runs = rankbench.run(["ctr", "din", "hstu"], TABLE, seeds=2, settings=["train.epochs=3"], results=RESULTS, device="cpu")
    print(f"{sum(run.status == 'ok' for run in runs)} of {len(runs)} runs are finished")
    for row in rankbench.board(RESULTS, TABLE).rows:
        auc = row.quality["auc"]
        print(f"{row.label:6} AUC {auc.point:.4f} [{auc.low:.4f}, {auc.high:.4f}], {row.train_seconds:.1f} s of training")
    pair = rankbench.compare(RESULTS, "hstu", "din", TABLE, metric="auc")
    apart = pair.difference
    print(f"hstu minus din: {apart.value:+.4f} [{apart.low:+.4f}, {apart.high:+.4f}], {pair.verdict}")


if __name__ == "__main__":
    main()
