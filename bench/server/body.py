"""Bodies are read whole before anything else, up to a size and within a time: who sends without end holds nothing up."""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """ASGI middleware: 413 above `most` bytes, 408 where the body is not there after `seconds`."""

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        self.app, self.most, self.seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.most:
            await self._refuse(413, f"a body has at most {self.most:,} bytes", scope, receive, send)
            return
        body = bytearray()
        try:
            async with asyncio.timeout(self.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    body += message.get("body", b"")
                    if len(body) > self.most:
                        await self._refuse(413, f"a body has at most {self.most:,} bytes", scope, receive, send)
                        return
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            await self._refuse(408, f"the body was not there after {self.seconds:g} s", scope, receive, send)
            return
        await self.app(scope, _replayed(bytes(body), receive), send)

    async def _refuse(self, status: int, error: str, scope: Scope, receive: Receive, send: Send) -> None:
        # What is left of the body is not read: the connection ends.
        await JSONResponse({"error": error}, status, {"connection": "close"})(scope, receive, send)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body in one message, then whatever the connection says."""
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
