"""Protocols of others that one word follows: a data set, the settings that make it theirs, and the score that they report.

A protocol is no setting of its own: it stands in records by what it sets, so that runs with and without its name are the same
cells. Its score is computed from stored scores, beside the board. One that is followed by other settings is not followed; what it
sets can therefore not be set besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import UserError, unknown_name

Score = Literal["gauc-ndcg5", "to-target"]
"""gauc-ndcg5: of evaluation/protocol_score.py. to-target: of analysis/stream.py, what it takes to reach an AUC."""


@dataclass(frozen=True)
class Target:
    """A quality that is to be reached, chosen before the runs that are judged by it."""

    auc: float
    why: str


@dataclass(frozen=True)
class Protocol:
    """How somebody else splits, asks and scores."""

    name: str
    summary: str
    followed_by: str
    """Whose it is, and where it is stated."""
    datasets: tuple[str, ...]
    """That it may be followed on; the first where none is named."""
    settings: Mapping[str, Any]
    """Section and key, such as `data.test_history`, and the value."""
    why: Mapping[str, str]
    """The same keys, and why each is as it is."""
    score: Score | None
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Data set -> what it sets there besides."""
    free: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Which of its settings may be set to something else, between these ends."""
    targets: Mapping[str, Target] = field(default_factory=dict)
    """Data set -> the AUC that is to be reached, where it asks for the work until then."""
    differs: tuple[str, ...] = ()
    """Where it is not theirs to the letter."""

    def dataset(self, named: str | None) -> str:
        """The data set to follow it on.

        Raises:
            UserError: it is not for the one that was named.
        """
        if named is None or named in self.datasets:
            return named or self.datasets[0]
        raise UserError(f"protocol {self.name} is for {', '.join(self.datasets)}, not for {named}; name such a data set, or none")

    def on(self, dataset: str) -> dict[str, Any]:
        """What it sets on a data set."""
        return {**self.settings, **self.own.get(dataset, {})}

    def section(self, name: str, dataset: str) -> dict[str, Any]:
        """Its settings of `data` or `train`."""
        return {key.partition(".")[2]: value for key, value in self.on(dataset).items() if key.startswith(f"{name}.")}

    def allows(self, key: str, value: Any, dataset: str) -> bool:
        """Whether a setting of it may have a value."""
        if key in self.free:
            low, high = self.free[key]
            return isinstance(value, int | float) and low <= value <= high
        wanted = self.on(dataset)[key]
        return list(value) == list(wanted) if isinstance(wanted, tuple) and isinstance(value, list | tuple) else value == wanted

    def followed(self, config: Mapping[str, Any]) -> bool:
        """Whether the resolved config of a record asks as the protocol does; how a model is trained is its own affair, unless it
        is the order of what it learns from."""
        dataset = config["data"]["dataset"]
        asked = [key for key in self.on(dataset) if key.startswith("data.") or key == "train.order"]
        found = {key: config[key.partition(".")[0]].get(key.partition(".")[2]) for key in asked}
        return dataset in self.datasets and all(self.allows(key, value, dataset) for key, value in found.items())

    def followed_by_some(self, configs: Iterable[Mapping[str, Any]]) -> bool:
        """Of runs that share a data set and how it is asked, yet not the order of what they learn from."""
        return any(map(self.followed, configs))


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="kuairand-long-view",
            summary="KuaiRand-Pure, label long_view, test from 29 April; score: mean of GAUC and NDCG@5 by user",
            followed_by=(
                "the KuaiRand task of ByteDance's TechJam 2026 and about fifteen public repositories that took part, such as "
                "https://github.com/albertusashali/RankAgent"
            ),
            datasets=("kuairand-pure-long-view",),
            settings={"data.split": "declared", "data.test_history": "frozen", "train.monitor": "request_gauc"},
            why={
                "data.split": "training up to 21 April, validation 22 to 28 April, test 29 April to 8 May, by dates in China",
                "data.test_history": "labels of the test are hidden there: nobody sees what a user did within it",
                "train.monitor": "ranking within a user and day is what comes nearest to the score",
            },
            score="gauc-ndcg5",
            differs=(
                "GAUC and NDCG@5 give tied examples their expected value, where the organisers' script ranks them in some order",
                "all inputs of the data set are read, where their baseline reads some",
                "rows that repeat a user, video and time are counted once",
            ),
        ),
        Protocol(
            name="dlrmv4-mini",
            summary="once through time, each window scored before it is learned from; score: samples, seconds, FLOPs to an AUC",
            followed_by=(
                "MLPerf Training v6.1, benchmark DLRMv4 (https://github.com/mlcommons/training, recommendation_v4), in small"
            ),
            datasets=("yambda-50m", "yambda-500m", "ml-1m", "kuairand-pure"),
            settings={
                "train.order": "time",
                "data.history_length": 128,
                "data.supervision": "impression",
                "data.split": "stream-days",
                "data.pools": ("label", "like", "no-label"),
            },
            own={
                "ml-1m": {"data.split": "stream-20", "data.pools": ("label", "five-stars", "no-label")},
            },
            free={"data.history_length": (128, 512)},
            why={
                "train.order": "every day is scored by what was learned up to the evening before, and then learned from, once",
                "data.history_length": (
                    "theirs has 4,086 events; 128 to 512 may be set. A third of it belongs to each pool, as with them"
                ),
                "data.supervision": "an example is one listen with a history of its own, as with them",
                "data.split": (
                    "windows of a day, as with them; on ml-1m 20 windows of about as many ratings each: half of its 1,040 days "
                    "have 116 ratings or fewer, one has 63,654, and 94% of all lie within the first year"
                ),
                "data.pools": (
                    "listen_plus, like and skip there: what was played for half of its length or more, liked, or played for "
                    "less; on kuairand-pure clicks, likes and what was not clicked, on ml-1m ratings of 4 or 5, of 5, of 1 to 3"
                ),
            },
            score="to-target",
            targets={
                "yambda-50m": Target(0.75, "theirs on Yambda-5b; nobody has published what the smaller sets reach"),
                "yambda-500m": Target(0.75, "theirs on Yambda-5b; nobody has published what the smaller sets reach"),
                "ml-1m": Target(
                    0.77,
                    "above the floor ctr in every window (.7618 at most), set when a first run of DIN had been seen up to .7662",
                ),
                "kuairand-pure": Target(
                    0.73, "what the first run of DIN, seed 0, had in the last validated window (.7350), less .005"
                ),
            },
            differs=(
                "every listen is an example, whereas theirs have 4,086 earlier events of their user or more",
                "an example sees what is earlier than its request, which is half an hour of its user on Yambda, ten minutes on "
                "ml-1m and the day on kuairand-pure, where nothing of a window is seen in it; theirs sees all earlier events",
                "ids are known once a window had them, and new ones are unknown; theirs are hashed into tables of a fixed size",
                "no hashes of crossed features (user and artist, item and hour); hour and weekday mean nothing on Yambda, whose "
                "times count from a start of their own",
                "the model is each model of this project with its own settings: no rate that rises over 24,000 steps",
                "examples of a window are shuffled; theirs come in the order of the data set",
                "the work so far is asked after each window, theirs after each thousandth of the data",
            ),
        ),
        Protocol(
            name="dlrm-v3-last-10",
            summary="the last ten events of each user, with the history before all of them; users are split, not time",
            followed_by=(
                "the released ranking code of HSTU, DLRM-v3 (https://github.com/meta-recsys/generative-recommenders, dlrm_v3)"
            ),
            datasets=("ml-1m", "kuairand-pure"),
            settings={"data.split": "last-10", "data.test_history": "frozen"},
            why={
                "data.split": "the last ten events of a user alone are learned from and asked about; other users are the test",
                "data.test_history": "all ten see what was before the first of them, in training as in the test",
            },
            score=None,
            differs=(
                "80% of the users train, 10% are validation and 10% the test, by a hash of their names; theirs has 75% or 80% "
                "for training, and no validation",
                "ten events or more, up to whole requests; a user whose events are all of one request is not asked about",
                "an example is asked for at its own time, theirs at that of the last event before all ten",
                "the latest history_length events are seen; theirs keeps the oldest of a longer history",
                "ids that no training user has are unknown; theirs are hashed into tables of a fixed size",
                "labels are the data set's; theirs are ratings from 3.5 on, and eight outcomes at once on KuaiRand-1K",
            ),
        ),
    )
}
"""Name -> protocol."""


def find(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        UserError: there is none.
    """
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
