import socket
from contextlib import closing

import pytest

from cmsa.inference.streams.unopened import why_unopened


@pytest.fixture
def port():
    """One on which somebody listens, and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_who_answers_and_who_does_not(port):
    address = f"rtsp://me:secret@127.0.0.1:{port}/live"
    assert why_unopened(address, 1) == (
        "does not open: the machine answers, but gives no video (wrong path, user or password?)"
    )
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        free = server.getsockname()[1]
    text = why_unopened(f"http://me:secret@127.0.0.1:{free}/live", 1)
    assert text == "does not open: nothing answers there (Connection refused)"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (7, "there is no such camera, or another program has it"),
        ("udp://239.0.0.1", "nothing answers there, or it is no video"),
        ("rtsp://me:se/cret@10.0.0.7/live", "is no valid address"),
        ("http://[::1", "is no valid address"),
    ],
)
def test_what_cannot_be_asked(target, expected):
    assert why_unopened(target, 0.1) == f"does not open: {expected}"
