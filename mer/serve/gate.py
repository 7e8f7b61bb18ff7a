"""Who may ask: the holder of the token, or, without one, this machine's own user and no web page that he visits."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass

from starlette.requests import Request

from mer.serve.refusals import ForeignError, UnauthorisedError

LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")


def is_local(host: str) -> bool:
    """Whether a host to listen on can be reached from this machine only."""
    try:
        return host in LOCAL or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Gate:
    """`token` None lets everybody in who reaches the server under a local name."""

    token: str | None

    def check(self, request: Request) -> None:
        """Refuse strangers.

        Raises:
            ForeignError: another site's page asks, or one that pretends to be this server's name.
            UnauthorisedError: the token is lacking or another.
        """
        host = request.headers.get("host", "")
        if self.token is None and not is_local(_without_port(host)):
            raise ForeignError("this server answers to localhost only; start it with another --host to ask for a token")
        origin = request.headers.get("origin")
        if origin is not None and origin.rpartition("://")[2] != host:
            raise ForeignError("pages of other sites may not use this server")
        if self.token is not None and not hmac.compare_digest(_given(request).encode(), self.token.encode()):
            raise UnauthorisedError("a token is needed: Authorization: Bearer TOKEN")


def _given(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
