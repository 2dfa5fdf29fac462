from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

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


def ask(address, content=None):
    request = urllib.request.Request(address, content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def address(viewers):
    pytest.importorskip("gradio")
    page = build(Settings({"pose": {"named": viewers["pose"]}}))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    yield launch(page, Limits(), port=port).rstrip("/")
    page.close()


def test_there_is_no_api_for_programs_and_what_is_not_there_is_no_failure(address):
    nobody = json.dumps({"data": [], "fn_index": 999, "session_hash": "x"}).encode()
    names = "call/nothing", "call/open_upload", "run/nothing", "api/nothing", "call/v2/nothing", "queue/join"
    for name in names:
        status, told = ask(f"{address}/gradio_api/{name}", nobody)
        assert (status, "cmsa serve has one" in told) == (404, True), name
    assert ask(f"{address}/gradio_api/call/nothing/123")[0] == 404
    assert ask(address)[0] == 200
