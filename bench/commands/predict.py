"""`rankbench predict`: candidates of one user, in the order that a trained model gives them."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError, unknown_name
from .options import add_device, add_precision, add_results, add_roots, refuse_beside
from .parser import Assign, Parser
from .roots import data_roots
from .values import positive

if TYPE_CHECKING:
    from ..serving import Scorer, Scores


HELP = """\
Score candidates for a user at a moment, with the weights of a finished run and the history in the data set. A generative ranker
computes the history once for all candidates."""

EXAMPLES = (
    "rankbench predict hstu --user 196 --top 5",
    "rankbench predict din --user 196 --items 242 302 377 --time 1998-04-23T10:00",
    "rankbench predict my/seed-0.safetensors --user u1 --items sku1 sku2 --context device=phone --dataset my.yaml",
)


def add(parser: Parser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a file of weights (.safetensors), a package (.pt2), or the name of a model with runs in --results",
    )
    parser.add_argument("--user", required=True, metavar="ID", help="the user, named as in the source data")
    parser.add_argument(
        "--items", nargs="+", metavar="ID", help="the candidates, named as in the source data (default: every item)"
    )
    parser.add_argument(
        "--time", metavar="WHEN", help="2022-05-01T12:30 or seconds since 1970 (default: after the user's last event)"
    )
    parser.add_argument(
        "--context", action=Assign, default=[], metavar="COLUMN=VALUE", help="the logged context of the request; may be repeated"
    )
    parser.add_argument(
        "--top", type=positive, default=10, metavar="N", help="how many candidates are shown, best first (default: 10)"
    )
    parser.add_argument(
        "--dataset", metavar="NAME", help="the data set that the model was trained on; for your own table its YAML file"
    )
    add_precision(parser)
    add_device(parser)
    add_roots(parser)
    add_results(parser)


def run(args: argparse.Namespace) -> int:
    context = dict(_assignment(text) for text in args.context)
    time = _milliseconds(args.time)
    from .. import device as devices
    from ..serving import Scorer

    path = _weights(args)
    scorer = Scorer.load(path, data_roots(args.data_root), devices.resolve(args.device), args.dataset, args.precision)
    items = args.items or _everything(scorer)
    scores = scorer.score(args.user, items, time, context)
    print("\n".join(_lines(scorer, scores, args.top, args.user)))
    return 0


def _lines(scorer: Scorer, scores: Scores, top: int, user: str) -> list[str]:
    request = scores.request
    when = datetime.fromtimestamp(request.time / 1000, UTC).isoformat(timespec="seconds")
    seen = f"{request.hi - request.lo} past events seen" if request.user >= 0 else "not in the data set: no history"
    lines = [f"# {scorer.info.name} on {scorer.data.log.meta.name}: user {user} at {when}, {seen}"]
    lines.append("\t".join(("rank", "item", *("probability" if name == "label" else name for name in scores.labels))))
    for rank, at in enumerate((-scores.probability[:, 0]).argsort(kind="stable")[:top], start=1):
        note = [] if scores.known[at] else ["not in the data set"]
        lines.append("\t".join([str(rank), scores.items[at], *(f"{p:.6f}" for p in scores.probability[at]), *note]))
    return lines


def _everything(scorer: Scorer) -> list[str]:
    return [str(name) for name in scorer.data.log.dictionary("item")]


def _weights(args: argparse.Namespace) -> Path:
    """A path as it is; or, of a model, the weights of its only configuration in the results, lowest seed."""
    if args.model.endswith((".safetensors", ".pt2")):
        refuse_beside(args, f"the file {args.model}", {"--results"})
        return Path(args.model)
    from ..data.sources import name_of
    from ..records.store import Store
    from ..records.view import View
    from ..registry import MODELS

    if args.model not in MODELS:
        raise unknown_name("model", args.model, MODELS)
    store = Store(args.results)
    groups = View.of(store, args.dataset and name_of(args.dataset)).groups()
    records = [record for group in groups if not group.superseded for record in group.records]
    identities = [record.identity for record in records if record.status == "ok"]
    paths = [store.weights_path(identity) for identity in identities if identity.model == args.model]
    paths = [path for path in paths if path.exists()]
    if not paths:
        raise UserError(f"{store.root} has no weights of {args.model}; make them with: rankbench run --models {args.model}")
    if len({path.parent for path in paths}) > 1:
        first = [next(path for path in paths if path.parent == folder) for folder in sorted({path.parent for path in paths})]
        raise UserError(f"{store.root} has several runs of {args.model}: name one of {', '.join(map(str, first))}")
    return paths[0]


def _assignment(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise UserError(f"--context {text}: write column=value, for example tab=1")
    return name, value


def _milliseconds(text: str | None) -> int | None:
    """Of a date and time (UTC if it names no zone) or of seconds since 1970."""
    if text is None:
        return None
    try:
        if text.replace(".", "", 1).isdecimal():
            return round(float(text) * 1000)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"--time {text}: write 2022-05-01T12:30 or seconds since 1970") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
