"""A simulated exposure log with planted effects and a known best AUC.

Users arrive over time, act in sessions, and are shown items of categories that come up several times within a short while.
The logit of a click is the intercept plus, each times its strength:

    popularity        N(0, 1) of the item
    long_term_taste   affinity of the user to the category: a product of latent factors, N(0, 1)
    recent_interest   share of the category among the items clicked in the last `history_window` events, weighted by recency
    time_of_day       cosine over the hour (UTC); its peak differs between categories
    target_match      vote (+1 up, -1 down) of the user at the latest event of the same category, 0 if there is none among
                      the last `history_window` events
    told_quality      N(0, 1) of the item, a sum of what the values of its `traits` features are worth

`told_quality` is known of an item that nobody has met, as `popularity` is not: features say as much of new items as of others.
With `told_quality` 0 the traits are there and say nothing.

Popularity and taste may drift: both then turn from one draw towards another while time goes on.

`target_match` needs the candidate to be compared with single past events and what the user did there. The vote is part of
every event's action and a fair coin, independent of all else. Hence, without the history, this term has the same symmetric
distribution for every user, item and hour, and no click tells anything about another: ids can't stand in for the history, as
they could if clicks led to clicks. Separate averages over the history can't either: the mean vote and the mean category do
not say which vote was given where.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...errors import UserError
from ...typed import from_dict
from .schema import DataRoots, Feature, RawLog, Schema

_START = 1_704_067_200
"""2024-01-01 00:00 UTC, in seconds since 1970."""
_DAY = 86_400
_FACTORS = 8
"""Latent factors of the users' taste."""
_SEGMENTS, _REGIONS = 5, 8
_LATEST_ARRIVAL = 0.9
"""Users arrive evenly over this share of the time span, so that the end of the log has new users too, but few."""
_EFFECTS = ("popularity", "long_term_taste", "recent_interest", "time_of_day", "target_match", "told_quality")
_TRAIT_VALUES = 8
"""Of a trait, each as frequent among items."""
_LOWEST = {
    **dict.fromkeys(("users", "items", "categories", "history_window", "block", "repeats", "exposure_skew", "session_length"), 1),
    **dict.fromkeys(("seed", "activity_spread", "pause_seconds", "drift", "traits"), 0),
    "events": 2,
}


@dataclass(frozen=True)
class SimulatorConfig:
    """Size, strength of each effect (on the logit scale; 0 turns it off), and how exposures come about."""

    events: int = 200_000
    users: int = 2_000
    """Users who may occur; some have no events where events are few."""
    items: int = 2_000
    categories: int = 40
    """Item i is of category i modulo `categories`."""
    seed: int = 0
    intercept: float = -1.0
    popularity: float = 0.5
    long_term_taste: float = 0.8
    recent_interest: float = 3.0
    time_of_day: float = 0.5
    target_match: float = 1.0
    told_quality: float = 0.0
    traits: int = 0
    """Item features beside the category, which say nothing but told_quality."""
    history_window: int = 20
    """Events that recent_interest and target_match look back; with less visible history the best AUC is out of reach."""
    recency_half_life: float = 5.0
    """Events after which a click counts half in recent_interest."""
    block: int = 12
    """A user's events are cut into blocks of so many, in which every category that is shown comes `repeats` times."""
    repeats: int = 3
    exposure_skew: float = 1.5
    """1: the items of a category are shown equally often; above: the r-th item's share falls as r ** (1 / exposure_skew - 1)."""
    activity_spread: float = 0.5
    """Standard deviation of the logarithm of the users' activity."""
    session_length: float = 8.0
    """Mean number of events in a session."""
    pause_seconds: float = 40.0
    """Mean time between two events of a session."""
    days: float = 30.0
    """Time span of the log, apart from the length of sessions."""
    drift: float = 0.0
    """Quarter turns that the popularity of items and the tastes of users make within `days`, each towards another draw of its
    own; 0: a steady world. After one quarter turn, what was true at the beginning says nothing any more."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not np.isfinite(value):
                raise UserError(f"simulator.{field.name} must be a finite number, not {value}")
        for name, low in _LOWEST.items():
            if getattr(self, name) < low:
                raise UserError(f"simulator.{name} must be at least {low}, not {getattr(self, name)}")
        for name in ("recency_half_life", "days"):
            if getattr(self, name) <= 0:
                raise UserError(f"simulator.{name} must be above 0, not {getattr(self, name)}")
        if self.told_quality != 0 and self.traits == 0:
            raise UserError("simulator.told_quality is told by traits: simulator.traits must be at least 1")
        for small, large in (("categories", "items"), ("repeats", "block")):
            if getattr(self, small) > getattr(self, large):
                raise UserError(
                    f"simulator.{small} ({getattr(self, small)}) must not exceed simulator.{large} ({getattr(self, large)})"
                )


TARGET = SimulatorConfig(
    events=100_000,
    users=1_000,
    items=300,
    categories=30,
    intercept=0.0,
    popularity=0.2,
    long_term_taste=0.0,
    recent_interest=0.0,
    time_of_day=0.0,
    target_match=4.0,
    history_window=10,
    block=6,
    repeats=2,
)
"""The data set `simulator-target`: half of the events follow one of the same category within the last five. A category
comes back after more than 50 events, so that among 50 visible ones there is one to find or none."""


def load(name: str, roots: DataRoots) -> RawLog:
    """simulator: all effects at moderate strength; simulator-target: a strong target_match and a weak popularity alone.

    Nothing is read from `roots`.
    """
    return simulate(TARGET if name == "simulator-target" else SimulatorConfig(), name)


def load_yaml(mapping: dict[str, Any], name: str) -> RawLog:
    """The log of this name that the keys of a YAML file describe, those of SimulatorConfig.

    Raises:
        UserError: an unknown key, or a value of the wrong type or size.
    """
    try:
        return simulate(from_dict(SimulatorConfig, mapping, "simulator"), name)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def simulate(config: SimulatorConfig, name: str) -> RawLog:
    """Draw a log; the same config gives the same log, and users, items and exposures do not depend on effect strengths.

    The event table has one column more than the schema names, `true_probability`: the click probability given everything
    that was drawn before the click, latent quantities included. `bayes_auc` is `expected_auc` of it over all events; a
    subset (the test events) has its own best AUC, which follows from the same column.
    """
    # One stream for each table, so that a change in one leaves the others as they were.
    user_rng, item_rng, time_rng, exposure_rng, outcome_rng, drift_rng, trait_rng = map(
        np.random.default_rng, np.random.SeedSequence(config.seed).spawn(7)
    )
    factors = user_rng.standard_normal((config.users, _FACTORS))
    users = pd.DataFrame(
        {
            "segment": _noisy_rank(factors[:, 0], _SEGMENTS, "s", user_rng),
            "region": _noisy_rank(factors[:, 1], _REGIONS, "r", user_rng),
        },
        index=_names("u", config.users),
    )
    category_of_item = np.arange(config.items) % config.categories
    items = pd.DataFrame({"category": _names("c", config.categories)[category_of_item]}, index=_names("i", config.items))
    trait = trait_rng.integers(0, _TRAIT_VALUES, (config.items, config.traits))
    names = [f"trait{number}" for number in range(config.traits)]
    items[names] = _names("v", _TRAIT_VALUES)[trait]

    user, time = _visits(config, time_rng)
    category = _categories(config, user, exposure_rng)
    item = _items(config, category, exposure_rng)
    vote = outcome_rng.integers(0, 2, config.events)
    uniform = outcome_rng.random(config.events)

    category_factors = item_rng.standard_normal((config.categories, _FACTORS))
    popularity = item_rng.standard_normal(config.items)
    peak = item_rng.permutation(config.categories) * 24 / config.categories
    hour = time // 3600 % 24
    logit = np.full(config.events, config.intercept)
    turn = config.drift * (np.pi / 2) * (time - _START) / (config.days * _DAY)
    drawn = drift_rng.standard_normal(config.items), drift_rng.standard_normal((config.categories, _FACTORS))
    logit += config.popularity * _turned(popularity[item], drawn[0][item], turn)
    taste, other = (np.einsum("ij,ij->i", factors[user], _unit(one)[category]) for one in (category_factors, drawn[1]))
    logit += config.long_term_taste * _turned(taste, other, turn)
    logit += config.time_of_day * np.cos((hour - peak[category]) * (2 * np.pi / 24))
    logit += config.target_match * _last_vote(config, user, category, vote)
    worth = trait_rng.standard_normal((config.traits, _TRAIT_VALUES)) / max(config.traits, 1) ** 0.5
    logit += config.told_quality * worth[np.arange(config.traits), trait].sum(1)[item]
    probability, click = _draw_clicks(config, logit, user, category, uniform)

    events = pd.DataFrame(
        {
            "user": users.index.to_numpy()[user],
            "item": items.index.to_numpy()[item],
            "time": time,
            "click": click.astype(np.int64),
            "vote": np.array(["down", "up"], dtype=object)[vote],
            "true_probability": probability,
        }
    )
    planted = [f"{effect} {getattr(config, effect):g}" for effect in (*_EFFECTS, "drift") if getattr(config, effect) != 0]
    return RawLog(
        name=name,
        events=events.iloc[np.argsort(time, kind="stable")].reset_index(drop=True),
        users=users,
        items=items,
        schema=Schema(
            label="click",
            action=("click", "vote"),
            user_features=(Feature("segment"), Feature("region")),
            item_features=(Feature("category"), *map(Feature, names)),
            calendar=True,
        ),
        files=(),
        licence="none needed: generated",
        citation="none: simulated by Rankbench",
        bayes_auc=expected_auc(probability),
        notes=(
            f"planted effects (logit scale): {', '.join(planted) or 'none'}",
            f"the best AUC needs the last {config.history_window} events to be visible at once (history_length, feedback_delay)",
            # The settings are the identity of a log that has no files.
            f"settings: {json.dumps(dataclasses.asdict(config))}",
        ),
    )


def expected_auc(probability: np.ndarray) -> float:
    """Best reachable AUC on events with these click probabilities: the AUC of the probabilities themselves.

    Expected number of pairs (clicked i, unclicked j) that are ranked correctly, ties half, over the expected number of such
    pairs: sum over i != j of p_i (1 - p_j) ([p_i > p_j] + [p_i = p_j] / 2), divided by the same sum without the bracket.
    The mean AUC over draws of clicks differs from this ratio by O(1 / n).

    Args:
        probability: float [n], each within [0, 1].

    Raises:
        UserError: a value outside [0, 1], or no pair of a click and a non-click is possible.
    """
    p = np.asarray(probability, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise UserError("expected_auc needs probabilities within [0, 1]")
    value, group = np.unique(p, return_inverse=True)
    count = np.bincount(group, minlength=len(value)).astype(np.float64)
    clicked, unclicked = count * value, count * (1 - value)
    with_itself = count * value * (1 - value)
    below = np.cumsum(unclicked) - unclicked
    pairs = clicked.sum() * unclicked.sum() - with_itself.sum()
    if not pairs > 0:
        raise UserError("no AUC: every event, or none, is certain to be clicked, or there is only one")
    return float((clicked * below + (clicked * unclicked - with_itself) / 2).sum() / pairs)


def _names(prefix: str, count: int) -> np.ndarray:
    return np.array([f"{prefix}{number}" for number in range(count)], dtype=object)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _turned(first: np.ndarray, second: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """From the first draw towards the second, with the variance of each all the way; `turn` in radians, 0: the first itself."""
    return np.cos(turn) * first + np.sin(turn) * second


def _noisy_rank(factor: np.ndarray, bins: int, prefix: str, rng: np.random.Generator) -> np.ndarray:
    """An observed feature that tells a little about a latent factor: the bin of its rank after adding as much noise."""
    rank = np.argsort(np.argsort(factor + rng.standard_normal(len(factor))))
    return _names(prefix, bins)[rank * bins // len(factor)]


def _visits(config: SimulatorConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """User and time (s) of every event, ordered by user and then time, which strictly increases within a user."""
    arrival = rng.random(config.users) * _LATEST_ARRIVAL
    activity = np.exp(config.activity_spread * rng.standard_normal(config.users)) * (1 - arrival)
    length = rng.multinomial(config.events, activity / activity.sum())
    user = np.repeat(np.arange(config.users), length)
    first = np.diff(user, prepend=-1) != 0

    starts_session = rng.random(config.events) < 1 / config.session_length
    share = rng.exponential(size=config.events) * (starts_session & ~first)
    # One more draw a user is the time after the last session.
    total = np.bincount(user, share, minlength=config.users) + rng.exponential(size=config.users)
    away = share / total[user] * ((1 - arrival) * config.days * _DAY)[user]
    pause = rng.exponential(config.pause_seconds, config.events) * ~starts_session
    gap = 1 + np.floor(np.where(first, 0, away + pause)).astype(np.int64)
    elapsed = np.cumsum(gap)
    since_arrival = elapsed - np.repeat(elapsed[first], length[length > 0])
    return user, _START + (arrival * config.days * _DAY).astype(np.int64)[user] + since_arrival


def _categories(config: SimulatorConfig, user: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Category shown at every event; users walk through all categories in a cycle of their own, block by block."""
    position = np.arange(config.events) - np.searchsorted(user, user)
    block, place = np.divmod(position, config.block)
    number = np.cumsum(place == 0) - 1
    # Whole blocks are shuffled even where the log ends within one: its end must not show in what comes before.
    slot = rng.permuted(np.tile(np.arange(config.block), (number[-1] + 1, 1)), axis=1)[number, place]
    turn = block * -(-config.block // config.repeats) + slot // config.repeats
    strides = np.flatnonzero(np.gcd(np.arange(config.categories + 1), config.categories) == 1)
    stride, begin = rng.choice(strides, config.users), rng.integers(0, config.categories, config.users)
    return (begin[user] + stride[user] * (turn % config.categories)) % config.categories


def _items(config: SimulatorConfig, category: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Item shown at every event: category c holds the items c, c + categories, c + 2 * categories ..."""
    size = (config.items - 1 - category) // config.categories + 1
    rank = np.floor(size * rng.random(config.events) ** config.exposure_skew).astype(np.int64)
    return category + config.categories * rank


def _last_vote(config: SimulatorConfig, user: np.ndarray, category: np.ndarray, vote: np.ndarray) -> np.ndarray:
    """+1 or -1: vote at the user's latest earlier event of the same category; 0 if that lies outside the window."""
    order = np.argsort(user * config.categories + category, kind="stable")
    earlier, later = order[:-1], order[1:]
    same = (user[earlier] == user[later]) & (category[earlier] == category[later]) & (later - earlier <= config.history_window)
    result = np.zeros(config.events)
    result[later] = np.where(same, 2 * vote[earlier] - 1, 0)
    return result


def _draw_clicks(
    config: SimulatorConfig, logit: np.ndarray, user: np.ndarray, category: np.ndarray, uniform: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probability and outcome of every event; `logit` lacks recent_interest, for which clicks are drawn in order."""
    if config.recent_interest == 0:
        probability = sigmoid(logit)
        return probability, uniform < probability
    length = np.bincount(user, minlength=config.users)
    start = np.cumsum(length) - length
    by_length = np.argsort(-length, kind="stable")
    start, longest_first = start[by_length], -length[by_length]
    probability, click = np.empty(config.events), np.zeros(config.events, dtype=bool)
    for step in range(length.max()):
        row = start[: np.searchsorted(longest_first, -step)] + step
        lag = np.arange(1, min(step, config.history_window) + 1)
        past = row[:, None] - lag
        weight = click[past] * 0.5 ** (lag / config.recency_half_life)
        total = weight.sum(axis=1)
        share = (weight * (category[past] == category[row, None])).sum(axis=1) / np.where(total > 0, total, 1)
        probability[row] = sigmoid(logit[row] + config.recent_interest * share)
        click[row] = uniform[row] < probability[row]
    return probability, click


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logit)) without overflow."""
    return np.exp(-np.logaddexp(0, -logit))
