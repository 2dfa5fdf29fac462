"""Why a camera or an address does not open, as far as that can be found out: OpenCV only says that it does not."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935}


def why_unopened(target: str | int, timeout: float) -> str:
    """What to tell of a source that did not open; holds nothing of the address, for that may hold a password.

    Args:
        target: the number of a camera, or an address.
        timeout: seconds to wait for the address's machine.
    """
    if isinstance(target, int):
        return "does not open: there is no such camera, or another program has it"
    try:
        parts = urlsplit(target)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme.lower())
    except ValueError:
        return "does not open: is no valid address"
    if host is None or port is None:
        return "does not open: nothing answers there, or it is no video"
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        return f"does not open: nothing answers there ({error.strerror or error})"
    return "does not open: the machine answers, but gives no video (wrong path, user or password?)"
