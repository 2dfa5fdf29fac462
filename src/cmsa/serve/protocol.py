"""HTTP by uvicorn and h11, with bounds on what a client may leave undone."""

from __future__ import annotations

import asyncio
import json
import socket

from uvicorn.protocols.http.h11_impl import H11Protocol

from cmsa.serve.limits import Limits
from cmsa.serve.refusal import RETRY, Refusal

_PHRASES = {400: "Bad Request", 503: "Service Unavailable"}


class BoundedProtocol(H11Protocol):
    """A connection that ends where the client keeps it waiting, and that is one of so many at most.

    uvicorn closes what is idle. A head that comes letter by letter, a body that is sent on after it was refused, and an
    answer that is never read are not idle.
    """

    limits = Limits()
    _patience: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """One more, if there is room."""
        super().connection_made(transport)
        # Head and body of an answer are written apart: the body would wait up to 40 ms for the head to be acknowledged.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > self.limits.connections:
            self._refuse(Refusal(503, f"{self.limits.connections} connections are open already", headers=RETRY))
        else:
            self._lose_patience_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended."""
        for timer in (self._patience, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads slower than it is answered; it may for a while."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.limits.body_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read on."""
        if self._unread is not None:
            self._unread.cancel()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """An answer was given; the next request has as much time as the first."""
        self._lose_patience_later()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so in the same form as all that is wrong."""
        self._refuse(Refusal(400, msg))

    def _lose_patience_later(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(self.limits.body_seconds, self._end_if_waiting)

    def _end_if_waiting(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    def _refuse(self, refusal: Refusal) -> None:
        body = json.dumps(refusal.content).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
        lines = [f"HTTP/1.1 {refusal.status} {_PHRASES[refusal.status]}"]
        lines += [f"{name}: {value}" for name, value in (headers | refusal.headers).items()]
        self.transport.write("\r\n".join([*lines, "", ""]).encode("ascii") + body)
        self.transport.close()


def bounded(limits: Limits) -> type[BoundedProtocol]:
    """The protocol with these limits, for ``uvicorn.Config(http=...)``."""
    return type("BoundedProtocol", (BoundedProtocol,), {"limits": limits})
