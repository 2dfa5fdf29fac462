from __future__ import annotations

import socket

import pytest

from cmsa.app.page import Settings, build
from cmsa.app.serve import launch
from cmsa.app.uploads import Limits


def test_a_port_that_is_taken_is_told(viewers):
    pytest.importorskip("gradio")
    page = build(Settings({"pose": {"named": viewers["pose"]}}))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port} cannot be listened on"):
            launch(page, Limits(), port=port)
