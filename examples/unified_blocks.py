"""Speed of the blocks of the unified models on a CPU, forward and backward, one thread, beside public code where it is given.

python examples/unified_blocks.py
python examples/unified_blocks.py --rankmixer rankmixer --contest TAAC_2026 --unirank UniRank

The folders are clones of lswhim/rankmixer, Puiching-Memory/TAAC_2026 (the organisers' baseline of KDD Cup 2026 lies in its
docs/archive) and UniRank, whose own requirements must be installed. Nobody of them wrote the papers of these blocks except the
organisers, who wrote that baseline. Widths, tokens, batches and hidden sizes are the same on both sides, dropout is off; a pair
takes turns, round by round. Printed are examples a CPU second, and ours over theirs, as such and times the parameters of each
side: median [smallest, largest] of the rounds.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from rankbench.kernels.hstu_attention import plan_attention
from rankbench.kernels.segments import Segments
from rankbench.unified import hyformer, interformer, longer, onetrans, rankmixer
from rankbench.unified._inputs import latest, latest_first

LAYERS, EXPANSION, HEADS = 2, 2, 2


@dataclass(frozen=True)
class Sizes:
    """Of one comparison."""

    batch: int
    events: int
    tokens: int
    width: int


@dataclass(frozen=True)
class Contender:
    """Modules whose parameters count, and one pass forward: what it gives is pushed back from."""

    modules: nn.Module
    forward: Callable[[], list[Tensor]]

    def parameters(self) -> int:
        return sum(one.numel() for one in self.modules.parameters())

    def step(self) -> None:
        self.modules.zero_grad(set_to_none=True)
        outputs = self.forward()
        torch.autograd.backward(outputs, [one.detach() for one in outputs])


@dataclass(frozen=True)
class Public:
    """Code of others; None where no folder was given."""

    rankmixer: ModuleType | None
    contest: ModuleType | None
    unirank: Callable[[str], ModuleType] | None


def leaf(*shape: int) -> Tensor:
    return torch.randn(*shape, requires_grad=True)


def one_by_one(blocks: list[nn.Module], x: Tensor) -> Contender:
    """Blocks in a row; of what one returns, the first counts as its output and all others as losses."""

    def forward() -> list[Tensor]:
        y, losses = x, []
        for block in blocks:
            y = block(y)
            if isinstance(y, tuple):
                y, *more = y
                losses += more
        return [y, *losses]

    return Contender(nn.ModuleList(blocks), forward)


def mixers(sizes: Sizes, public: Public, kind: str) -> Iterator[tuple[str, Contender]]:
    """RankMixer, dense and with four experts, and TokenMixer-Large."""
    tokens, width = sizes.tokens, sizes.width
    experts = 4 if kind == "experts" else 1
    block = "large" if kind == "large" else "rankmixer"
    config = rankmixer.Config(tokens=tokens, width=width, expansion=float(EXPANSION), dropout=0.0, experts=experts, block=block)
    x = leaf(sizes.batch, tokens, width)
    own = rankmixer.TokenMixerLargeBlock if kind == "large" else rankmixer.RankMixerBlock
    yield "ours", one_by_one([own(config, tokens) for _ in range(LAYERS)], x)
    if (theirs := public.rankmixer) is not None:
        made: dict[str, Callable[[], nn.Module]] = {
            "dense": lambda: theirs.RankMixerBlock(tokens, width, EXPANSION),
            "experts": lambda: theirs.RankMixerMoEBlock(tokens, width, experts, EXPANSION),
            "large": lambda: theirs.TokenMixerLargeBlock(tokens, width, EXPANSION),
        }
        yield "lswhim", one_by_one([made[kind]() for _ in range(LAYERS)], x)
    if public.unirank is not None and kind == "dense":
        yield "UniRank", one_by_one([public.unirank("RankMixer").RankMixerBlock(width, tokens, LAYERS, expand=EXPANSION)], x)
    if public.contest is not None and kind == "dense":
        blocks: list[nn.Module] = [public.contest.RankMixerBlock(width, tokens, EXPANSION) for _ in range(LAYERS)]
        yield "contest, one FFN for all tokens", one_by_one(blocks, x)


def onetrans_blocks(sizes: Sizes, public: Public, examples: int) -> Iterator[tuple[str, Contender]]:
    """Each past is read by `examples` examples: ours computes its S-tokens once, the others once an example."""
    n, events, tokens, width = sizes.batch, sizes.events, sizes.tokens, sizes.width
    past, ns = leaf(n // examples, events, width), leaf(n, tokens, width)
    config = onetrans.Config(width=width, layers=LAYERS, heads=HEADS, tokens=tokens, expansion=float(EXPANSION), dropout=0.0)
    spec: Any = SimpleNamespace(history_length=events, gap_buckets=1, time="none")
    biases = [onetrans.TokenBias(spec) for _ in range(LAYERS)]
    of_events = [onetrans.EventLayer(config, at == LAYERS - 1) for at in range(LAYERS)]
    of_requests = [onetrans.RequestLayer(config) for _ in range(LAYERS)]

    def ours() -> list[Tensor]:
        offsets = torch.arange(len(past) + 1) * events
        at = torch.arange(len(past) * events)
        lo = offsets[:-1].repeat_interleave(events)
        end = offsets[1:].repeat_interleave(examples)
        padding = latest_first(end, torch.full((n,), events), events)
        distance = torch.arange(events).expand(n, -1)
        x, y = past.flatten(0, 1), ns
        for layer, (event, request, bias) in enumerate(zip(of_events, of_requests, biases, strict=True)):
            window = config.seen(layer, events)
            plan = plan_attention(offsets, torch.maximum(lo, at + 1 - window), at + 1, at - lo + 1)
            x, k, v = event(x, plan, bias)
            latest = type(padding)(padding.place[:, :window], padding.visible[:, :window])
            y = request(y, latest.rows(k), latest.rows(v), latest.visible, bias(distance[:, :window], None))
        return [y]

    yield "ours", Contender(nn.ModuleList([*biases, *of_events, *of_requests]), ours)
    there = torch.ones(n, events, dtype=torch.bool)
    for pyramid in (False, True):
        name = "pyramid" if pyramid else "no pyramid"
        if public.rankmixer is not None:
            stack = public.rankmixer.OneTransStack(width, LAYERS, HEADS, tokens, EXPANSION, use_pyramid=pyramid)

            def lswhim(stack: nn.Module = stack) -> list[Tensor]:
                rows = past.repeat_interleave(examples, 0)
                return [stack(torch.cat([rows, ns], 1), events, there)[:, -tokens:]]

            yield f"lswhim, {name}", Contender(stack, lswhim)
        if public.unirank is not None:
            share = 0.5 if pyramid else 0.0
            block = public.unirank("OneTrans").OneTransBlock(
                width, HEADS, LAYERS, tokens, expansion_factor=EXPANSION, reduction_ratio=share
            )

            def unirank(block: nn.Module = block) -> list[Tensor]:
                return [block(past.repeat_interleave(examples, 0), ns, there)]

            yield f"UniRank, {name}", Contender(block, unirank)


def hyformer_layers(sizes: Sizes, public: Public, sequence: Any) -> Iterator[tuple[str, Contender]]:
    """One sequence of events, two queries; `longer` keeps two fifths of the events."""
    n, events, tokens, width, queries = sizes.batch, sizes.events, sizes.tokens, sizes.width, 2
    recent = events * 2 // 5
    keep: dict[str, Any] = {"recent": recent} if sequence == "longer" else {}
    config = hyformer.Config(
        tokens=tokens,
        width=width,
        expansion=float(EXPANSION),
        dropout=0.0,
        queries=queries,
        heads=HEADS,
        sequence=sequence,
        **keep,
    )
    s, q, f = leaf(n, events, width), leaf(n, queries, width), leaf(n, tokens - queries, width)
    layers = nn.ModuleList(hyformer.HyFormerLayer(config) for _ in range(LAYERS))
    there = torch.ones(n, events, dtype=torch.bool)

    def ours() -> list[Tensor]:
        offsets = torch.arange(n + 1) * events
        past, plan = Segments(offsets, events), None
        if sequence == "full":
            lo = offsets[:-1].repeat_interleave(events)
            plan = plan_attention(offsets, lo, lo + events, torch.zeros_like(lo))
        kept = latest(past, recent) if sequence == "longer" else None
        one = hyformer.EventSequence(s.flatten(0, 1), past, kept, plan)
        x, encoded = torch.cat([q, f], 1), [one.x if kept is None else kept.rows(one.x)]
        for layer in layers:
            x, encoded = layer(x, encoded, [one])
        return [x]

    yield "ours", Contender(layers, ours)
    if (contest := public.contest) is not None:
        kind = {"swiglu": "swiglu", "full": "transformer", "longer": "longer"}[sequence]
        theirs = nn.ModuleList(
            contest.MultiSeqHyFormerBlock(width, HEADS, queries, tokens - queries, 1, kind, EXPANSION, 0.0, recent)
            for _ in range(LAYERS)
        )

        def baseline() -> list[Tensor]:
            own, fields, past, absent = [q], f, [s], [~there]
            for block in theirs:
                own, fields, past, absent = block(own, fields, past, absent)
            return [own[0], fields]

        yield "contest, one FFN for all tokens", Contender(theirs, baseline)
    if public.rankmixer is not None and sequence != "longer":
        kind = {"swiglu": "ffn", "full": "attention"}[sequence]
        others = nn.ModuleList(
            public.rankmixer.HyFormerBlock(queries, tokens - queries, width, HEADS, EXPANSION, EXPANSION, 0.0, kind)
            for _ in range(LAYERS)
        )

        def lswhim() -> list[Tensor]:
            own, fields, past = q, f, s
            for block in others:
                own, fields, past = block(own, fields, past, there)
            return [own, fields]

        yield "lswhim", Contender(others, lswhim)
    if public.unirank is not None and sequence == "full":
        block = public.unirank("HyFormer").HyFormerBlock(width, HEADS, LAYERS, tokens - queries, queries)
        yield "UniRank, two matrices an event's FFN", Contender(block, lambda: list(block(s, q, f, there)[1:]))


def interformer_layers(sizes: Sizes, public: Public) -> Iterator[tuple[str, Contender]]:
    """Four summaries, two pooled ones, two recent events. lswhim: low-rank crosses, and a network for each event besides."""
    n, events, fields, width = sizes.batch, sizes.events, sizes.tokens, sizes.width
    config = interformer.Config(width=width, heads=HEADS, dropout=0.0)
    s, x = leaf(n, events, width), leaf(n, fields, width)
    summaries = nn.ModuleList(interformer.FieldSummary(config, fields) for _ in range(LAYERS))
    layers = [interformer.InterFormerLayer(config, fields) for _ in range(LAYERS)]
    visible = torch.ones(n, config.summaries + events, dtype=torch.bool)

    def ours() -> list[Tensor]:
        segments = Segments(torch.arange(n + 1) * events, events)
        of = interformer.sequences_of(config, segments, torch.arange(n).repeat_interleave(events))
        y, past = x, torch.cat([summaries[0](x), s], 1).flatten(0, 1)
        for layer, summary in zip(layers, summaries, strict=True):
            of_fields, of_events = summary(y), layer.event_summary(past, of)
            y, past = layer.interaction(y, of_events), layer.attention(past, of, of_fields)
        return [y, past]

    yield "ours", Contender(nn.ModuleList([summaries, *layers]), ours)
    if public.rankmixer is not None:
        sizes_of_theirs = (fields, config.summaries, width, HEADS, config.pooled, config.recent, EXPANSION, 3, 32, 0.0)
        blocks = [public.rankmixer.InterFormerBlock(*sizes_of_theirs, events, config.summaries) for _ in range(LAYERS)]

        def lswhim() -> list[Tensor]:
            y, past = x, torch.cat([blocks[0].nonseq_summary(x), s], 1)
            for block in blocks:
                y, past = block(y, past, visible)
            return [y, past]

        yield "lswhim", Contender(nn.ModuleList(blocks), lswhim)


def longer_layers(sizes: Sizes, public: Public) -> Iterator[tuple[str, Contender]]:
    """Four events are merged to a token of the width; a fifth of the tokens asks. UniRank's events have the width before they are
    merged too, the contest's encoder merges none."""
    n, width, merge, asks = sizes.batch, sizes.width, 4, longer.GLOBAL
    events = sizes.events // merge * merge
    recent = max(events // merge // 5, 1)
    config = longer.Config(width=width, heads=HEADS, merge=merge, recent=recent, expansion=float(EXPANSION), dropout=0.0)
    s, others = leaf(n, events, width // merge), leaf(n, asks, width)
    inner = longer.ReadingLayer(width // merge, 1, config)
    layers = [longer.ReadingLayer(width, HEADS, config) for _ in range(1 + config.layers)]

    def ours() -> list[Tensor]:
        past = Segments(torch.arange(n + 1) * events, events)
        of = longer.merging_of(merge, past, torch.arange(n).repeat_interleave(events))
        rows = s.flatten(0, 1).index_select(0, of.source)
        merged = of.merged(inner(rows, rows, of.groups, behind=False))
        keys = torch.cat([others.flatten(0, 1), merged]).index_select(0, of.key_source)
        first = of.keys.earliest(asks + recent)
        behind = first.visible.unsqueeze(1) & torch.ones(asks + recent, asks + recent, dtype=torch.bool).triu()
        x = layers[0](first.rows(keys), keys, of.keys)
        for layer in layers[1:]:
            x = layer.among(x, behind)
        return [x]

    yield "ours", Contender(nn.ModuleList([inner, *layers]), ours)
    there, wide = torch.ones(n, events, dtype=torch.bool), leaf(n, events, width)
    if public.unirank is not None:
        block = public.unirank("LONGER").LONGERBlock(width, HEADS, merge, config.layers, recent, expansion_factor=EXPANSION)
        yield "UniRank", Contender(block, lambda: [block(wide, others, there)])
    if (contest := public.contest) is not None:
        encoders = [contest.LongerEncoder(width, HEADS, recent + asks, EXPANSION) for _ in range(1 + config.layers)]

        def encoder() -> list[Tensor]:
            x, absent = wide, ~there
            for one in encoders:
                x, absent = one(x, absent)
            return [x]

        yield "contest, nothing merged", Contender(nn.ModuleList(encoders), encoder)


def comparisons(events: int, public: Public) -> Iterator[tuple[str, int, Iterator[tuple[str, Contender]]]]:
    """Title, examples a step, contenders."""
    many, few = 512, 6400 // events
    for kind, title in (("dense", "RankMixer"), ("experts", "RankMixer, 4 experts a token"), ("large", "TokenMixer-Large")):
        yield title, many, mixers(Sizes(many, events, 16, 128), public, kind)
    for examples in (1, 8):
        yield f"OneTrans, examples a past: {examples}", few, onetrans_blocks(Sizes(few, events, 8, 64), public, examples)
    for sequence in ("swiglu", "full", "longer"):
        yield f"HyFormer, sequence={sequence}", few, hyformer_layers(Sizes(few, events, 16, 128), public, sequence)
    yield "InterFormer", few, interformer_layers(Sizes(few, events, 16, 64), public)
    yield "LONGER", few, longer_layers(Sizes(few, events, 16, 128), public)


def measure(examples: int, contenders: dict[str, Contender], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Examples a CPU second of every round."""
    steps = {}
    for name, one in contenders.items():
        one.step()
        begin = time.process_time()
        one.step()
        steps[name] = max(1, round(seconds / (time.process_time() - begin)))
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, one in contenders.items():
            begin = time.process_time()
            for _ in range(steps[name]):
                one.step()
            speeds[name].append(examples * steps[name] / (time.process_time() - begin))
    return speeds


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def found(folder: Path | None, load: Callable[[Path], Any]) -> Any:
    return None if folder is None else load(folder.resolve())


def package_of(folder: Path, name: str) -> ModuleType:
    sys.path.insert(0, str(folder))
    return importlib.import_module(name)


def contest_model(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("contest_model", folder / "docs/archive/files/official_train_baseline/model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unirank_files(folder: Path) -> Callable[[str], ModuleType]:
    package_of(folder, "model_zoo")
    return lambda name: sys.modules[f"model_zoo.{name}"]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("rankmixer", "contest", "unirank"):
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER")
    parser.add_argument("--events", type=int, default=50, help="past events of an example (default: 50)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of CPU time, about, for a contender's part of a round")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    public = Public(
        found(options.rankmixer, lambda folder: package_of(folder, "models")),
        found(options.contest, contest_model),
        found(options.unirank, unirank_files),
    )
    print("| block | whose | parameters | examples a CPU second | ours over it | the same, times parameters |")
    print("|---|---|---|---|---|---|")
    for title, examples, listed in comparisons(options.events, public):
        contenders = dict(listed)
        speeds = measure(examples, contenders, options.rounds, options.seconds)
        for name, speed in speeds.items():
            ratios = [one / other for one, other in zip(speeds["ours"], speed, strict=True)]
            more = contenders["ours"].parameters() / contenders[name].parameters()
            beside = "| |" if name == "ours" else f"| {spread(ratios)} | {spread([one * more for one in ratios])} |"
            print(
                f"| {title} | {name} | {contenders[name].parameters():,} | {statistics.median(speed):,.0f} {beside}", flush=True
            )


if __name__ == "__main__":
    main()
