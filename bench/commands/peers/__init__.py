"""`rankbench peers`: beside other projects, by speed of training or by quality."""

from __future__ import annotations

from ..parser import Parser

HELP = """\
Measure our models beside those of other projects, on the same rows. Each verb has options of its own, which
`rankbench peers VERB --help` shows."""

EXAMPLES = (
    "rankbench peers speed",
    "rankbench peers quality --models-from FuxiCTR/model_zoo --python fuxictr-env/bin/python",
)

VERBS = {
    "speed": "training speed of DIN and HSTU beside the DIN of deepctr-torch and of FuxiCTR",
    "quality": "AUC, GAUC and logloss of DIN, DIEN and BST beside FuxiCTR's",
}


def add(parser: Parser) -> None:
    parser.add_modules("verb", __name__, VERBS)
