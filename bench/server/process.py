"""The process of a server: its socket, its signals, its end.

SIGTERM and Ctrl-C let requests that are under way be answered and take no new ones; the exit code is 0. SIGHUP reads the file of
weights again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn

from ..errors import UserError
from ..signals import handled
from .app import Server, make_app

_SPARE = 1.0
"""Seconds that the end may take beyond the time that a request may."""


class _Uvicorn(uvicorn.Server):
    """Says where it answers once it does, and ends by itself after a signal, which is then done with; uvicorn's own raises it
    again."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"rankbench serve: {self._ready}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with handled(self.handle_exit, signal.SIGTERM, signal.SIGINT):
            yield


def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound; port 0 is a free one.

    Raises:
        UserError: it cannot be bound.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise UserError(f"cannot listen at {host}:{port} ({error.strerror or error}); give another --host or --port") from None
    return bound


def serve(server: Server, bound: socket.socket) -> None:
    """Answer until a signal ends it."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="rankbench serve: %(message)s")
    config = uvicorn.Config(
        make_app(server),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(server.limits.timeout + _SPARE + 1),
        server_header=False,
    )
    host, port = bound.getsockname()[:2]
    scorer = server.served.current.scorer
    where = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    ready = f"{scorer.info.name} on {scorer.data.log.meta.name}, {where}"
    asyncio.run(_serve(server, _Uvicorn(config, ready), bound))


async def _serve(server: Server, running: _Uvicorn, bound: socket.socket) -> None:
    changes: set[asyncio.Task[None]] = set()

    def read_again() -> None:
        task = asyncio.ensure_future(_read_again(server))
        changes.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(changes.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, read_again)
    await running.serve([bound])


async def _read_again(server: Server) -> None:
    with contextlib.suppress(UserError):  # it is in the log
        await server.change(None)
