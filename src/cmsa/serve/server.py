"""A server from start to end: its socket, its signals, and that what was accepted is finished."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from types import FrameType

import uvicorn

from cmsa.serve.protocol import bounded
from cmsa.serve.service import Service
from cmsa.serve.web import build

LOOPBACK = "127.0.0.1"
PORT = 8000
_LAST_PORT = 65_535
_LONGEST_HEAD = 65_536
_IDLE_SECONDS = 5


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: a name or an address.
        port: 0 takes one that is free.

    Raises:
        OSError: the address is none of this machine's, or the port is taken.
        ValueError: there is no such port.
    """
    if not 0 <= port <= _LAST_PORT:
        raise ValueError(f"a port is 0 to {_LAST_PORT}, got {port}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            told = f"{host}:{port} cannot be listened on, another program does so: choose another port (--port)"
            raise OSError(told) from error
        raise OSError(f"{host}:{port} cannot be listened on ({getattr(error, 'strerror', None) or error})") from error


def address_of(listening: socket.socket) -> str:
    """The URL of a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(
    service: Service, token: str | None = None, tell: Callable[[str], None] = lambda text: None
) -> uvicorn.Server:
    """A server that is not running yet.

    Args:
        service: what predicts; the server closes it when it ends.
        token: see ``cmsa.serve.web.build``.
        tell: called when the network is ready.
    """

    def warmed() -> None:
        if service.failed is None:
            tell("The network is ready.")
        else:
            server.should_exit = True

    class _Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if not service.ready and service.failed is None:
                # Nothing was accepted yet, and the thread that exports and tries the network cannot be told to stop.
                os._exit(0)
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        build(service, token, warmed),
        http=bounded(service.limits),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
    )
    server = _Server(config)
    return server


def serve(
    service: Service,
    host: str = LOOPBACK,
    port: int = PORT,
    token: str | None = None,
    tell: Callable[[str], None] = print,
) -> None:
    """Answer until SIGTERM or Ctrl-C; then take nothing more, finish what was accepted, and return.

    Before the network is ready nothing is accepted, and either ends the process at once, with code 0.

    Args:
        service: what predicts.
        host: to listen on.
        port: to listen on; 0 takes one that is free.
        token: that requests must bear.
        tell: called with the address, with a warning where it is open to all, and when the network is ready.

    Raises:
        OSError: it cannot listen there.
        ValueError: there is no such port.
        RuntimeError: the network cannot run.
    """
    listening = listen(host, port)
    server = make_server(service, token, tell)
    tell(f"{address_of(listening)}  (Ctrl-C ends it)")
    if token is None and not ip_address(listening.getsockname()[0]).is_loopback:
        tell("Everybody who reaches this machine can ask: no token is set.")
    with _signals_end_it(), _silent_readers():
        server.run(sockets=[listening])
    if service.failed is not None:
        raise RuntimeError(f"the network cannot run: {service.failed}") from service.failed


@contextlib.contextmanager
def _signals_end_it() -> Iterator[None]:
    """uvicorn raises the signal that ended it once more, when all is done; that is to be a good end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _silent_readers() -> Iterator[None]:
    """What strangers send must not fill the log, nor Python's memory of warnings: they are told what is wrong."""
    loggers = [logging.getLogger(name) for name in ("PIL", "python_multipart")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
