"""Protocols of others that one word follows: a data set, the settings that make it theirs, and the score that they report.

A protocol is no setting of its own: it stands in records by what it sets, so that runs with and without its name are the same
cells. Its score is computed from stored scores, beside the board. One that is followed by other settings is not followed; what it
sets can therefore not be set besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .errors import UserError, unknown_name

Score = Literal["gauc-ndcg5"]
"""Of evaluation/protocol_score.py."""


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

    def section(self, name: str) -> dict[str, Any]:
        """Its settings of `data` or `train`."""
        return {key.partition(".")[2]: value for key, value in self.settings.items() if key.startswith(f"{name}.")}

    def followed(self, config: Mapping[str, Any]) -> bool:
        """Whether the resolved config of a record asks as the protocol does; how a model is trained is its own affair."""
        data, asked = config["data"], self.section("data")
        return data["dataset"] in self.datasets and all(data[key] == value for key, value in asked.items())


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
