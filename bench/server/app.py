"""The HTTP interface: POST /score, GET /health, GET /metrics, POST /model. Every refusal is JSON with one line, `error`."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from ..data.told import PastEvent
from ..errors import UserError, in_one_line
from ..serving import Scores
from .answers import AnswerLog
from .body import BodyLimit
from .limits import Limits
from .metrics import Metrics
from .served import Model, Served
from .wire import Health, ModelRequest, Refusal, Score, ScoreAnswer, ScoreRequest
from .worker import Busy, Late, Worker

LOG = logging.getLogger("rankbench.serve")


class Server:
    """What the endpoints share."""

    def __init__(self, served: Served, limits: Limits, answers: AnswerLog, prepare: Callable[[], object]) -> None:
        self.served, self.limits, self.answers = served, limits, answers
        self.worker = Worker(limits.queue, prepare)
        self.metrics = Metrics(lambda: self.worker.pending)
        self.metrics.model_is(served.current)

    async def score(self, asked: ScoreRequest, name: str) -> ScoreAnswer:
        """
        Raises:
            UserError: the request is wrong.
            Busy, Late: it is right, but is not answered.
        """
        for what, given, most in (
            ("candidates", len(asked.candidates), self.limits.candidates),
            ("history", len(asked.history or ()), self.limits.history),
        ):
            if given > most:
                raise UserError(f"{what}: at most {most:,} of them, not {given:,}")
        begin, model = time.perf_counter(), self.served.current
        scores = await self.worker.run(lambda: _scores(model, asked), self.limits.timeout)
        if not np.isfinite(scores.probability).all():
            raise ArithmeticError("the model gave no finite probability")
        answer = _answer(name, model, scores)
        seconds = time.perf_counter() - begin
        self.answers.write(
            id=name, at=time.time(), user=asked.user, candidates=len(scores.items), sha256=model.sha256, seconds=seconds
        )
        self.metrics.scored(seconds, len(scores.items))
        return answer

    async def change(self, weights: Path | None) -> Model:
        """Let another model answer; whatever fails leaves the present one.

        Raises:
            UserError: as `Served.change`.
        """
        try:
            model = await asyncio.to_thread(self.served.change, weights)
        except Exception as error:
            self.metrics.model_failed()
            reason = str(error) if isinstance(error, UserError) else in_one_line(error)
            LOG.error("the model stays as it is: %s", reason)
            raise UserError(f"the model stays as it is: {reason}") from None
        self.metrics.model_is(model)
        LOG.warning("generation %d answers: %s from %s", model.generation, model.scorer.info.name, model.weights)
        return model

    def health(self) -> Health:
        """Which model answers."""
        model = self.served.current
        return Health(
            model=model.scorer.info.name,
            dataset=model.scorer.data.log.meta.name,
            weights=str(model.weights),
            sha256=model.sha256,
            generation=model.generation,
            pending=self.worker.pending,
        )


def make_app(server: Server) -> FastAPI:
    """The ASGI application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(server.worker.close)
        server.answers.close()

    app = FastAPI(title="Rankbench", lifespan=lifespan)
    app.add_middleware(BodyLimit, most=server.limits.body_bytes, seconds=server.limits.timeout)
    refusals: dict[int | str, dict[str, Any]] = {code: {"model": Refusal} for code in (408, 413, 422, 500, 503, 504)}

    @app.middleware("http")
    async def counted(request: Request, ask: Callable[[Request], Awaitable[Response]]) -> Response:
        try:
            response = await ask(request)
        except Exception as error:  # of a model's code or a full disk; what a client can mend was answered further in
            LOG.error("a request failed: %s", in_one_line(error))
            response = _refusal(500, "the request could not be computed; the server's log says why")
        if request.url.path == "/score":
            server.metrics.answered(response.status_code)
        return response

    @app.post("/score", response_model=ScoreAnswer, responses=refusals)
    async def score(asked: ScoreRequest, request: Request) -> Response:
        """Probabilities of candidates for a user."""
        name = request.headers.get("x-request-id", "")[:200] or uuid.uuid4().hex
        answer = await server.score(asked, name)
        return Response(answer.model_dump_json(), media_type="application/json", headers={"x-request-id": name})

    @app.get("/health")
    async def health() -> Health:
        """That the server answers, and with which model."""
        return server.health()

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(server.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.post("/model", responses={422: {"model": Refusal}})
    async def model(asked: ModelRequest) -> Health:
        """Another model, or the present file read again; requests are answered meanwhile."""
        await server.change(None if asked.weights is None else Path(asked.weights))
        return server.health()

    _add_refusals(app)
    return app


def _add_refusals(app: FastAPI) -> None:
    """Errors as answers."""

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return _refusal(422, f"the body is no JSON, from character {first['loc'][-1]} on")
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return _refusal(422, f"{place or 'the body'}: {first['msg'].lower()}")

    async def wrong(_: Request, error: Exception) -> Response:
        return _refusal(422, str(error))

    async def busy(_: Request, error: Exception) -> Response:
        assert isinstance(error, Busy)
        return _refusal(503, str(error), {"retry-after": str(error.retry_after)})

    async def late(_: Request, error: Exception) -> Response:
        return _refusal(504, str(error))

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _refusal(error.status_code, str(error.detail))

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(UserError, wrong)
    app.add_exception_handler(Busy, busy)
    app.add_exception_handler(Late, late)
    app.add_exception_handler(HTTPException, http)


def _refusal(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(Refusal(error=error).model_dump(), status, headers)


def _scores(model: Model, asked: ScoreRequest) -> Scores:
    past = None
    if asked.history is not None:
        past = [PastEvent(one.item, one.time, one.label, one.action, one.context) for one in asked.history]
    return model.scorer.score(asked.user, asked.candidates, asked.time, asked.context, past)


def _answer(name: str, model: Model, scores: Scores) -> ScoreAnswer:
    return ScoreAnswer(
        id=name,
        model=model.scorer.info.name,
        generation=model.generation,
        user_known=scores.request.user >= 0,
        events=scores.request.hi - scores.request.lo,
        time=scores.request.time,
        labels=list(scores.labels),
        scores=[
            Score(item=item, known=known, probability=probability)
            for item, known, probability in zip(scores.items, scores.known.tolist(), scores.probability.tolist(), strict=True)
        ],
    )
