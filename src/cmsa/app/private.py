"""What the page's server answers to programs: nothing but the page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Server = Callable[[Message, Receive, Send], Awaitable[None]]

_API = tuple(f"/gradio_api/{name}/" for name in ("call", "run", "api"))
_TOLD = b"There is no such thing on this page, and it has no API: cmsa serve has one."


class PageOnly:
    """ASGI middleware: Gradio's API for programs is not there, and what is not there is 404 and not a failure.

    Gradio answers with 500, and a traceback in the log, to a name or number that none of its functions has.
    """

    def __init__(self, app: Server) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"].startswith(_API):
            await _refuse(send)
            return
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, sent)
        except KeyError:
            if started:
                raise
            await _refuse(send)


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(_TOLD)).encode())]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": _TOLD})
