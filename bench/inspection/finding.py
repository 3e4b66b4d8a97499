"""What an inspection says of a log: a fault with its evidence and what to do, or that none of its kind was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["time", "ties", "repeats", "leak", "future", "both sides", "drift", "one label"]
Severity = Literal["serious", "look"]


@dataclass(frozen=True)
class Fault:
    """One fault of a log."""

    kind: Kind
    severity: Severity
    """serious: results on this log would mislead. look: right for some logs; whoever knows this one can tell."""
    what: str
    """A sentence with the numbers."""
    todo: str
    """What to do about it."""


LOOKED_FOR: dict[Kind, str] = {
    "time": "Times of a wrong unit or of a missing date: rows before 1990 or after 2050, a log of minutes or of centuries.",
    "ties": "Events of one user at one moment, whose order is unknown.",
    "repeats": "Rows that stand twice, that contradict each other, or that were logged again within seconds.",
    "leak": "Features, items and users that tell the label of later rows, alone or by their changes, at an AUC of .95 or more.",
    "future": "Features that know the future: counts and shares of rows that come later, and values filled in later.",
    "both sides": "Rows of one request, or of one moment of a user, in training as well as in the test.",
    "drift": "Training and test that differ in base rate, in features, or in whom they are about.",
    "one label": "Users with a single label, about whom nothing can be ranked.",
}
"""Kind -> what is looked for, in the order in which findings stand."""

LIMITS = (
    "A feature that was taken after the events and follows no count of them: ask whoever made it when it was taken.",
    "An outcome that tells less than an AUC of .95 alone, or only together with another one: look at each context feature, and "
    "ask whether it is known when an item is shown.",
    "Rows that were never logged, and how what was shown was chosen.",
    "Whether the label is what is wanted.",
)
"""What no inspection can find."""
