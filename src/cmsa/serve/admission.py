"""How much is taken in at a time: bytes that are held, and requests that wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from cmsa.serve.limits import Limits
from cmsa.serve.metrics import Metrics
from cmsa.serve.refusal import RETRY, Refusal

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

FORM_BYTES = 100_000
"""That a form may have besides its picture."""


class ClientGone(Exception):
    """Whoever asked does not listen any more."""


class Admission:
    """Reads bodies and lets requests in, both within limits. It is used from one event loop.

    Args:
        limits: what is taken at most.
        metrics: told how much there is.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits, self.metrics = limits, metrics
        self.held = 0
        self.waiting = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among those that wait.

        Raises:
            Refusal: there is none.
        """
        self.check_place()
        self.waiting += 1
        self.metrics.waiting.set(self.waiting)
        try:
            yield
        finally:
            self.waiting -= 1
            self.metrics.waiting.set(self.waiting)

    def check_place(self) -> None:
        """Whether there is a place.

        Raises:
            Refusal: there is none.
        """
        if self.waiting >= self.limits.waiting:
            raise Refusal(429, f"{self.waiting} requests wait already: ask again later", headers=RETRY)

    @contextmanager
    def holding(self) -> Iterator[Held]:
        """A body, whose bytes count until this is left."""
        held = Held(self)
        try:
            yield held
        finally:
            self.hold(-held.count)

    def hold(self, more: int) -> None:
        """So many bytes more, or fewer.

        Raises:
            Refusal: too many are held.
        """
        if more > 0 and self.held + more > self.limits.held_bytes:
            raise Refusal(
                429, f"all requests together hold {self.limits.held_megabytes:g} MB: ask again later", headers=RETRY
            )
        self.held += more
        self.metrics.held.set(self.held)


class Held:
    """A request's body as it comes in."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.count = 0

    async def read(self, receive: Receive, headers: Mapping[str, str], more: int = 0) -> bytes:
        """All of the body.

        Args:
            receive: ASGI's.
            headers: of the request.
            more: bytes that it may have besides a picture.

        Raises:
            Refusal: it is too large, or comes too slowly.
            ClientGone: it does not come at all.
        """
        limits = self.admission.limits
        most = limits.bytes + more
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            raise self._too_large(int(length))
        try:
            async with asyncio.timeout(limits.body_seconds):
                parts = [part async for part in self._parts(receive, most)]
        except TimeoutError as error:
            raise Refusal(
                408,
                f"{self.count} bytes in {limits.body_seconds:g} s: the rest did not come",
                "body",
                {"Connection": "close"},
            ) from error
        return b"".join(parts)

    async def _parts(self, receive: Receive, most: int) -> AsyncIterator[bytes]:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message.get("body", b"")
            if self.count + len(part) > most:
                raise self._too_large(self.count + len(part))
            self.admission.hold(len(part))
            self.count += len(part)
            yield part
            if not message.get("more_body", False):
                return

    def _too_large(self, count: int) -> Refusal:
        return Refusal(
            413,
            f"{count / 1e6:.4g} MB or more are more than the {self.admission.limits.megabytes:g} MB taken here",
            "body",
        )


async def while_listening(answer: Awaitable[Any], receive: Receive, seconds: float) -> Any:
    """An answer, unless the client goes away or the time is over; it is then cancelled.

    Args:
        answer: what is waited for.
        receive: ASGI's; the body was read.
        seconds: of waiting.

    Raises:
        ClientGone: nobody waits for it.
        Refusal: it took too long.
    """

    async def until_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    answering, gone = asyncio.ensure_future(answer), asyncio.ensure_future(until_gone())
    try:
        await asyncio.wait({answering, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        if gone.done():
            raise ClientGone
        raise Refusal(504, f"there was no answer within {seconds:g} s", headers=RETRY)
    finally:
        for task in (answering, gone):
            task.cancel()
        await asyncio.gather(answering, gone, return_exceptions=True)
