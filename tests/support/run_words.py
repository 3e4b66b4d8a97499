"""What boards and studies say of how their runs were made, and the words of it."""

from __future__ import annotations

import typing

from rankbench.bench.analysis.statements import (
    Differs,
    Loaded,
    Machine,
    Machines,
    ProcessCounts,
    Reachable,
    SeedCounts,
    SingleSeeds,
    Uncommitted,
    Unlearnt,
)

OF_RUNS: list[tuple[typing.Any, str]] = [
    (SeedCounts({"din": 5, "hstu": 3}), "Rows differ in their number of seeds (3 to 5): din 5, hstu 3."),
    (
        SingleSeeds(("hstu", "din"), True),
        "One seed, so that training noise is not measured and no interval can be trusted: all rows.",
    ),
    (
        SingleSeeds(("hstu",), False),
        "One seed, so that training noise is not measured and it is taken to be that of the other rows: hstu.",
    ),
    (
        Unlearnt({"din": 2, "hstu": 1}, {"din": 3, "hstu": 3}),
        "On validation these runs are not told from chance (AUC below .5, or less than two standard errors above): 2 of 3 of "
        "din and 1 of 3 of hstu. Training may have ended before they began to learn: train.patience=10 and train.epochs=60 let "
        "all models wait longer.",
    ),
    (
        Machines((Machine("cpu", "Xeon", 2), Machine("cuda:0", "H100", 8))),
        "Times and memory of different machines are not comparable; these runs come from cpu (Xeon, 2 threads); cuda:0 "
        "(H100, 8 threads).",
    ),
    (
        ProcessCounts((1, 4)),
        "Runs differ in how many processes trained together (1 and 4), and with that in the examples of a step "
        "(docs/howto/devices.md).",
    ),
    (
        Loaded(3, 12),
        "3 of 12 runs began on a machine with more work than cores: their times are marked † and compared with nothing.",
    ),
    (
        Differs("kernel", "hstu_attention", {"fused": ("hstu",), "reference": ("llama", "gpt")}),
        "The kernel of hstu_attention differs between runs: fused: hstu; reference: llama, gpt.",
    ),
    (
        Differs("version", "torch", {"2.5": ("din",), "2.6": ("hstu",)}),
        "The version of torch differs between runs: 2.5: din; 2.6: hstu.",
    ),
    (
        Differs("code", "", {"ab": ("din",), "cd": ("hstu",)}),
        "The code (hash of the program's source files) differs between runs: ab: din; cd: hstu.",
    ),
    (Uncommitted(1), "1 run was made by code with uncommitted changes."),
    (Reachable(0.8125), "The best reachable AUC over all events of this simulated data is 0.8125."),
]
