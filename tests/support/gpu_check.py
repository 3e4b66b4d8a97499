"""Everything that an NVIDIA card has to show, in three parts of under nine minutes, or at first (`--part 0`) what decides whether
it is as fast as it should be: `PYTHONPATH=tests python -m support.gpu_check`.

Without a card the same steps run on small shapes, Triton's programs in its interpreter.
"""

from __future__ import annotations

import sys

import torch

from support.card_check import Step, check

WIDE = "--set train.precision=bf16 --set train.max_seconds=8 --set train.epochs=1 --seeds 1 --jobs 1 --quiet"
"""Models of width 512 for some seconds: whether they train at all, with their memory and speed in the record."""

LARGE = "--models hstu --set train.precision=bf16 --steps 6 --rounds 2"
SMALL = (
    "--models hstu --sizes tiny --steps 2 --rounds 1 --set hstu.layers=1 --set hstu.heads=1 --set train.batch_events=60"
    " --set data.history_length=8"
)
"""Interpreted, a program takes as long as a layer does elsewhere."""

TOGETHER = "-n 8 --dist worksteal"
"""Most of the time of a test is the compiler's."""

STEPS = (
    Step("implementations", "-m support.gpu_programs", "-m support.gpu_programs", 65, decides=True),
    Step(
        "programs", f"-m pytest -q {TOGETHER} tests/kernels/test_triton.py -m 'long and not slow'",
        "-m pytest -q tests/kernels/test_triton.py -m 'long and not slow' -k 'nothing or borders or blocks or gpus'", 110,
    ),
    Step(
        "layer", f"-m pytest -q {TOGETHER} tests/kernels/test_triton_layer.py tests/kernels/test_triton_unit.py"
        " tests/bench/training/test_gradients.py -m 'long and not slow' -k 'test_triton_layer or test_triton_unit or on_a_card'",
        "-m pytest -q tests/kernels/test_triton_layer.py tests/kernels/test_triton_unit.py -m 'long and not slow'"
        " -k 'nothing or check or without'", 110,
    ),
    Step(
        "numbers", "-m support.same_numbers cuda {folder}/log", "-m support.same_numbers cpu {folder}/log --models din,hstu", 110,
    ),
    Step(
        "board",
        "-m rankbench run --device cuda --dataset simulator --models din,hstu --set train.precision=bf16 --set train.epochs=2"
        " --seeds 1 --quiet --results {folder}/board",
        "-m rankbench run --device cpu --dataset {table} --models din,hstu --set train.precision=bf16 --set train.epochs=1"
        " --seeds 1 --jobs 1 --quiet --results {folder}/board", 60,
    ),
    Step(
        "scoring", "-m rankbench predict hstu --device cuda --dataset simulator --user u1 --results {folder}/board",
        "-m support.interpreted predict hstu --device cpu --dataset {table} --user u1 --results {folder}/board", 40,
        needs="board",
    ),
    Step(
        "attention", "-m rankbench speed kernels --device cuda --dtype bf16 --grid published --rounds 2 --results {folder}",
        "-m support.interpreted speed kernels --device cpu --grid tiny --rounds 1 --results {folder}", 115, part=2, decides=True,
    ),
    Step(
        "training",
        "-m rankbench speed train --device cuda --dataset simulator --models din,hstu --seconds 4 --rounds 1 --results {folder}",
        "-m support.interpreted speed train --device cpu --dataset {table} --models din --seconds 1 --rounds 1"
        " --results {folder}", 95, part=2, decides=True,
    ),
    Step(  # what the card's examples a second are held against
        "training-on-its-host",
        "-m rankbench speed train --device cpu --threads 1 --dataset simulator --models din,hstu --seconds 4 --rounds 1"
        " --results {folder}",
        "-m rankbench speed train --device cpu --threads 1 --dataset {table} --models din --seconds 1 --rounds 1"
        " --results {folder}", 50, part=2, decides=True,
    ),
    Step(
        "training-others",
        "-m rankbench speed train --device cuda --dataset simulator --models sasrec,llama --seconds 4 --rounds 1"
        " --results {folder}",
        "-m support.interpreted speed train --device cpu --dataset {table} --models hstu --seconds 1 --rounds 1"
        " --results {folder}", 110, part=2,
    ),
    Step(
        "training-wide",
        f"-m rankbench run --device cuda --dataset simulator --models hstu,sasrec,llama {WIDE} --set hstu.width=512"
        " --set hstu.layers=8 --set hstu.heads=8 --set sasrec.width=512 --set sasrec.heads=8 --set llama.width=512"
        " --set llama.heads=8 --results {folder}/wide",
        "-m support.interpreted run --device cpu --dataset {table} --models hstu --set hstu.width=32 --set hstu.heads=1"
        " --set hstu.layers=1 --set data.history_length=5 --set train.epochs=1 --seeds 1 --jobs 1 --quiet"
        " --results {folder}/wide", 100, part=2,
    ),
    Step(
        "fp16", "-m rankbench run --device cuda --dataset simulator --models din,hstu --set train.precision=fp16"
        " --set train.epochs=2 --seeds 1 --quiet --results {folder}/fp16",
        "-m pytest -q tests/bench/training/test_gradients.py -m long -k overflow", 50, part=2,
    ),
    Step(
        "steps-plain", f"-m rankbench speed large --device cuda --sizes base {LARGE} --results {{folder}}/plain",
        f"-m support.interpreted speed large --device cpu {SMALL} --results {{folder}}/plain", 90, part=3,
    ),
    Step(
        "steps-whole", f"-m rankbench speed large --device cuda --sizes base {LARGE} --set train.whole_step=graph"
        " --set train.assembly=device --results {folder}/whole",
        f"-m support.interpreted speed large --device cpu {SMALL} --set train.whole_step=padded --set train.assembly=device"
        " --results {folder}/whole", 95, part=3, decides=True,
    ),
    Step(
        "steps-recomputed", f"-m rankbench speed large --device cuda --sizes long {LARGE} --set train.recompute=true"
        " --results {folder}/recomputed",
        f"-m rankbench speed large --device cpu {SMALL} --set train.recompute=true --results {{folder}}/recomputed", 90, part=3,
    ),
    Step(
        "board-recorded",
        "-m rankbench run --device cuda --dataset simulator --models din,dcnv2,hstu --set train.whole_step=graph"
        " --set train.assembly=device --set train.epochs=2 --seeds 1 --quiet --results {folder}/recorded",
        "-m rankbench run --device cpu --dataset {table} --models din,dcnv2,hstu --set train.whole_step=padded"
        " --set train.assembly=device --set train.epochs=1 --seeds 1 --jobs 1 --quiet --results {folder}/recorded", 70, part=3,
    ),
    Step(
        "board-ml-100k", "-m support.same_board cuda {folder}/same --precision bf16",
        "-m support.same_board cpu {folder}/same --precision bf16 --dataset {table} --beside {folder}/same", 110, part=3,
        decides=True,
    ),
    Step(  # with several cards; one alone has nothing to part
        "parted", f"-m torch.distributed.run --standalone --nproc-per-node gpu -m rankbench speed large --device cuda"
        f" --sizes base --sharding fsdp {LARGE} --results {{folder}}/parted",
        f"-m torch.distributed.run --standalone --nproc-per-node 2 -m rankbench speed large --device cpu --sharding fsdp {SMALL}"
        " --results {folder}/parted", 60, part=3,
    ),
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """0 if every step is ok."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return check(arguments, STEPS, card, "build/gpu-check", "small shapes, Triton's programs in its interpreter")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
