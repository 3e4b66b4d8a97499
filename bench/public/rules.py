"""What a row must be: of its division, of its version, and true to itself. All of it shows in the row alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..analysis.comparison import HeadlineMetric
from ..evaluation.stats import verdict
from ..identity import config_hash, earlier
from .row import Entrant, PublicRow, Retraining, day
from .versions import Allowance, Track, Versions

OWN = ("dataset", "split", "negatives", "negative_rate", "supervision", "unknown_rate")
"""Data settings that the closed division leaves to a model: how it learns from the examples, not what it is shown or asked. The
first two name the track."""

LEAST_SEEDS = 3
"""Of a row of the open division."""

SAME = 1e-9
"""Numbers that lie closer are one."""


def why_not(row: PublicRow, versions: Versions) -> Iterator[str]:
    """Everything that keeps a row from standing."""
    entrant, version = row.entrant, versions.find(row.version)
    if version is None:
        yield f"it is of version {row.version} of the board, which there is not"
        return
    if row.version_hash != versions.hash_of(row.version):
        yield f"version {row.version} of the board was changed since: its hash is {versions.hash_of(row.version)}"
    track = versions.track(row.version, row.place)
    if track is None:
        yield f"version {row.version} of the board has no track {entrant.dataset}@{entrant.split}"
        return
    if day(row.date) < max(day(version.date), day(row.submitted)):
        yield f"it is dated {row.date}, before its version or its own submission"
    yield from why_not_division(entrant, row.division, version.allowance, track)
    yield from _about_itself(row)


def why_not_division(entrant: Entrant, division: str, allowance: Allowance, track: Track) -> Iterator[str]:
    """What keeps an entrant out of a division."""
    if entrant.split_hash != track.split_hash:
        yield f"its split has the hash {entrant.split_hash[:12]}, that of the board {track.split_hash[:12]}"
    seeds = entrant.seeds
    if division == "open":
        if len(seeds) < LEAST_SEEDS or seeds != tuple(range(len(seeds))):
            yield f"it has the seeds {_listed(seeds)}; a row has {LEAST_SEEDS} at least, counted from 0"
        return
    if entrant.content_hash != track.content_hash:
        hashes = f"its data have the content hash {entrant.content_hash[:12]}, those of the board {track.content_hash[:12]}"
        yield f"{hashes}: other labels, fields or rows belong to the open division"
    if seeds != tuple(range(allowance.seeds)):
        yield f"it has the seeds {_listed(seeds)}; the closed division has 0 to {allowance.seeds - 1}"
    for key, value in earlier(entrant.config)["data"].items():
        if key not in OWN and value != track.data.get(key):
            yield f"it has data.{key} {value}; the closed division has {track.data.get(key)}"
    train = entrant.config["train"]
    if train["refit"]:
        yield "it learns from validation examples (train.refit); the closed division learns from training examples"
    if train["epochs"] > allowance.epochs:
        yield f"it may train {train['epochs']} epochs; the closed division has {allowance.epochs} at most"
    if entrant.changed and entrant.tuning is None:
        by_hand = ", ".join(sorted(entrant.changed))
        yield f"its settings {by_hand} were set by hand; the closed division has defaults, or what a search found"
    if entrant.tuning is not None and entrant.tuning.trials > allowance.trials:
        yield f"its search had {entrant.tuning.trials} trials; the closed division has {allowance.trials} at most"


def _about_itself(row: PublicRow) -> Iterator[str]:
    """What a row says twice must agree."""
    entrant = row.entrant
    if (computed := config_hash(entrant.config)) != entrant.config_hash:
        yield f"its config has the hash {computed}, not {entrant.config_hash}"
    if not entrant.quality:
        yield "it has no metric"
    for metric, quality in entrant.quality.items():
        mean = math.fsum(quality.by_seed) / max(1, len(quality.by_seed))
        if len(quality.by_seed) != len(entrant.runs) or not abs(mean - quality.value.value) <= SAME:
            yield f"{metric} is {quality.value.value}, the mean of its {len(quality.by_seed)} seeds {mean}"
    for metric, claim in entrant.claims.items():
        apart = claim.difference
        word = verdict(apart.low, apart.high, entrant.margin)
        if word != claim.verdict:
            yield f"it claims to be {claim.verdict!r} by {metric}; its interval says {word!r}"
    if entrant.claims and entrant.claims.keys() != entrant.quality.keys():
        yield "it has a claim by some of its metrics alone"
    verified = row.verification
    if (verified is None) != (row.tier == "self-reported"):
        yield f"it is {row.tier}, but says {'nothing' if verified is None else 'something'} of a verification"
    retraining = verified.retraining if verified is not None else None
    if (retraining is not None) != (row.tier == "retrained"):
        yield f"it is {row.tier}, but says {'nothing' if retraining is None else 'something'} of a seed that was trained again"
    if retraining is not None and (outside := strayed(retraining)):
        yield f"the seed that was trained again lies outside of what the others allow by {', '.join(outside)}"


def strayed(found: Retraining) -> list[HeadlineMetric]:
    """Metrics by which a seed that was trained again lies outside of the interval."""
    if found.same_scores:
        return []
    return [
        metric
        for metric, allowed in found.allowed.items()
        if not allowed.low - SAME <= found.values.get(metric, math.nan) <= allowed.high + SAME
    ]


def _listed(seeds: tuple[int, ...]) -> str:
    return ", ".join(map(str, seeds)) or "none"
