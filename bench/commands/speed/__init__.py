"""`rankbench speed`: our own attention (kernels), layers or models (train), each beside torch's own operations; large models;
and serving."""

from __future__ import annotations

from ..parser import Parser

HELP = """\
Measure speed. Each verb has options of its own, which `rankbench speed VERB --help` shows."""

EXAMPLES = (
    "rankbench speed kernels --rounds 5",
    "rankbench speed layers --rounds 5 --threads 2",
    "rankbench speed train --models din,hstu,llama --dataset ml-1m",
    "rankbench speed large --sizes tiny --set train.recompute=true",
    "rankbench speed exchange --models din,hstu --cards 8,64",
    "rankbench speed serve --models din,hstu --history 50",
)

VERBS = {
    "kernels": "the implementations of attention, speed and errors, beside torch's own",
    "layers": "HSTU's layers beside the same mathematics as padded tensors",
    "train": "training of our models with and without the kernels of this machine",
    "large": "steps of large models with long histories: memory and the share of what a device can compute",
    "exchange": "what processes that train together send each other",
    "serve": "requests of a serving model, under closed and open load",
}


def add(parser: Parser) -> None:
    parser.add_modules("verb", __name__, VERBS)
