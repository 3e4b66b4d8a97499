"""Everything that an Ascend card has to show, in under nine minutes: `PYTHONPATH=tests python -m support.npu_check`.

Without a card the same steps run on small shapes, on a simulated device.
"""

from __future__ import annotations

import sys

from rankbench.bench import device as devices
from support.card_check import Step, check

SIMULATED = "tests/support/on_npu.py command {folder}"
"""The command line on the simulated device."""

LARGE = "--models hstu --steps 4 --rounds 2"

STEPS = (
    Step("doctor", "-m rankbench doctor", f"{SIMULATED} doctor", 20),
    Step("operator", "-m rankbench ls kernels", f"{SIMULATED} ls kernels", 40),
    Step(
        "numbers", "-m support.same_numbers npu {folder}/log",
        "tests/support/on_npu.py numbers {folder}/log din,hstu", 110,
    ),
    Step(
        "training",
        "-m rankbench speed train --device npu --dataset simulator --models din,hstu,sasrec,llama --seconds 3 --rounds 1"
        " --results {folder}",
        f"{SIMULATED} speed train --device npu --dataset {{table}} --models din --seconds 1 --rounds 1 --results {{folder}}", 100,
    ),
    Step(
        "board",
        "-m rankbench run --device npu --dataset simulator --models din,hstu --set train.precision=bf16 --set train.epochs=2"
        " --seeds 1 --quiet --results {folder}/board",
        f"{SIMULATED} run --device npu --dataset {{table}} --models din,hstu --set train.precision=bf16 --set train.epochs=1"
        " --seeds 1 --jobs 1 --quiet --results {folder}/board", 110,
    ),
    Step(
        "steps", f"-m rankbench speed large --device npu --sizes base {LARGE} --set train.precision=bf16"
        " --set train.whole_step=padded --results {folder}/steps",
        f"{SIMULATED} speed large --device npu --sizes tiny --models hstu --steps 2 --rounds 1 --set hstu.layers=1"
        " --set train.batch_events=300 --set data.history_length=8 --set train.whole_step=padded --results {folder}/steps", 100,
    ),
    Step(
        "board-recorded", "-m rankbench run --device npu --dataset simulator --models din,dcnv2,hstu"
        " --kernel hstu_attention=dense --set train.whole_step=graph --set train.assembly=device --set train.epochs=2 --seeds 1"
        " --quiet --results {folder}/recorded",
        f"{SIMULATED} run --device npu --dataset {{table}} --models din,hstu --kernel hstu_attention=dense"
        " --set train.whole_step=graph --set train.assembly=device --set train.epochs=1 --seeds 1 --jobs 1 --quiet"
        " --results {folder}/recorded", 50,
    ),
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """0 if every step is ok."""
    card = None if devices.why_absent("npu") else devices.accelerator_name(devices.resolve("npu"))
    return check(arguments, STEPS, card, "build/npu-check", f"a simulated device ({devices.why_absent('npu')})")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
