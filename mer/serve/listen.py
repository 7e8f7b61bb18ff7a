"""Listen on an address until a signal ends it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from mer.errors import MerError
from mer.serve.app import make_app
from mer.serve.gate import is_local
from mer.serve.limits import Limits

if TYPE_CHECKING:
    from mer.prediction.predictor import Predictor

IDLE_SECONDS = 15
"""That a connection without a request is kept."""
HEAD_SECONDS = 15
"""That a client may take to say what it wants."""
GRACE_SECONDS = 10
"""For answers under way when the server ends."""
BACKLOG = 128


def listen(predictor: Predictor, limits: Limits, host: str, port: int, token: str | None) -> None:
    """Serve until SIGINT or SIGTERM; says where, and with which token.

    Raises:
        MerError: the address cannot be listened on, or the bundle's encoders cannot be loaded.
    """
    taken = bind(host, port)
    app = make_app(predictor, limits, token)
    server_of(app, limits, address(host, taken.getsockname()[1], token)).run(sockets=[taken])


class Impatient(H11Protocol):
    """HTTP that ends a connection whose request does not come.

    Uvicorn itself waits for ever: as many such connections as it takes at once would shut everybody else out.
    """

    late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self.late is None:
            self.late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self.late is not None:
            self.late.cancel()
            self.late = None


class Announcing(uvicorn.Server):
    """Says where it is once it listens."""

    said = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.said and self.started:
            print(self.said, flush=True)


def server_of(app: FastAPI, limits: Limits, said: str = "") -> uvicorn.Server:
    """An HTTP server of an app; `run` blocks until `should_exit`. `said` is printed once it listens."""
    config = uvicorn.Config(
        app,
        http=Impatient,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=limits.admitted + BACKLOG,
        backlog=BACKLOG,
    )
    server = Announcing(config)
    server.said = said
    return server


def address(host: str, port: int, token: str | None) -> str:
    """Where the page is; a token goes behind the '#', which browsers send to nobody."""
    shown = f"[{host}]" if ":" in host else host
    if token is not None:
        return f"http://{shown}:{port}/#token={quote(token, safe='')}"
    assert is_local(host)
    return f"http://{shown}:{port}/"


def bind(host: str, port: int) -> socket.socket:
    """A socket on an address: held before the encoders are loaded, listened on once they are, so that nobody waits."""
    try:
        [(family, _, _, _, place), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        taken = socket.socket(family, socket.SOCK_STREAM)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(place)
    except OSError as error:
        raise MerError(f"--host {host} --port {port}: {error.strerror or error}") from None
    return taken
