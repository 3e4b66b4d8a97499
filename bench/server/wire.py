"""What goes over the wire: requests and answers of the server, as JSON. A key too many or a value of another type is refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_STRICT = ConfigDict(strict=True, extra="forbid")

Milliseconds = Annotated[int, Field(ge=-(10**15), le=10**15)]
"""Since 1970."""


class Event(BaseModel):
    """A past event; see `data.told.PastEvent`."""

    model_config = _STRICT

    item: str
    time: Milliseconds
    label: bool
    """The outcome that the model predicts: whether this event had it."""
    action: str = ""
    context: dict[str, str] = {}


class ScoreRequest(BaseModel):
    """A user, a moment and candidates, with names as in the source data; what the log does not know is unknown to the model."""

    model_config = _STRICT

    user: str
    candidates: Annotated[list[str], Field(min_length=1)]
    time: Milliseconds | None = None
    """Left out: just after the user's last event."""
    context: dict[str, str] = {}
    history: list[Event] | None = None
    """All that the user did, as far as the model looks back; left out: what the log knows of the user."""


class Score(BaseModel):
    """Of one candidate."""

    item: str
    known: bool
    """Whether the item has events in the log."""
    probability: list[float]
    """In the order of `labels`."""


class ScoreAnswer(BaseModel):
    """Scores in the order of the candidates."""

    id: str
    """Of the request: its header X-Request-ID, or a new one."""
    model: str
    generation: int
    """Of the model in this process: 1, and one more after each change."""
    user_known: bool
    events: int
    """Past events that the request sees."""
    time: int
    """The moment from which the request looks back, ms."""
    labels: list[str]
    scores: list[Score]


class Health(BaseModel):
    """Which model answers."""

    status: Literal["ready"] = "ready"
    model: str
    dataset: str
    weights: str
    """Path of the file."""
    sha256: str
    """Of the file, as it was read."""
    generation: int
    pending: int
    """Requests that are computed or wait."""


class ModelRequest(BaseModel):
    """Which weights shall answer from now on."""

    model_config = _STRICT

    weights: str | None = None
    """A file below the folder of models; left out: the present file as it is now."""


class Refusal(BaseModel):
    """Why there is no other answer, in one line."""

    error: str
