"""`rankbench bench`: beside other projects, by speed (peers) or quality; by ourselves, attention (kernels), layers (stack)
or models (train)."""

from __future__ import annotations

from ..parser import Parser

HELP = """\
Measure speed, or quality beside other projects on the same rows. Each verb has options of its own, which
`rankbench bench VERB --help` shows."""

EXAMPLES = (
    "rankbench bench peers",
    "rankbench bench quality --models-from FuxiCTR/model_zoo --python fuxictr-env/bin/python",
    "rankbench bench kernels --rounds 5",
    "rankbench bench stack --rounds 5 --threads 2",
    "rankbench bench train --models din,hstu,llama --dataset ml-1m",
)

VERBS = {
    "peers": "training speed of DIN and HSTU beside the DIN of deepctr-torch and of FuxiCTR",
    "quality": "AUC, GAUC and logloss of DIN, DIEN and BST beside FuxiCTR's",
    "kernels": "speed and errors of the implementations of attention, beside torch's own",
    "stack": "speed of HSTU's layers beside the same mathematics as padded tensors",
    "train": "training speed of our models with and without the kernels of this machine",
}


def add(parser: Parser) -> None:
    parser.add_modules("verb", __name__, VERBS)
