from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cmsa.cli import serve
from cmsa.cli.main import main

PARK = Path(__file__).parents[2] / "examples" / "people" / "park.jpg"
TOKEN = "a-token-of-twenty-letters"


def test_a_missing_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr("cmsa.guidance.extras.find_spec", lambda name: None if name in ("fastapi", "uvicorn") else name)
    assert main(["serve", "pose"]) == 2
    assert capsys.readouterr().err == (
        "cmsa serve: the server needs fastapi, uvicorn, not installed here: pip install 'cmsa[serve]'\n"
    )


def test_a_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(serve.TOKEN, raising=False)
    assert serve.read_token(None) is None
    monkeypatch.setenv(serve.TOKEN, TOKEN)
    assert serve.read_token(None) == TOKEN
    (tmp_path / "token").write_text("another-token-of-letters\n")
    assert serve.read_token(tmp_path / "token") == "another-token-of-letters"
    with pytest.raises(OSError, match="missing"):
        serve.read_token(tmp_path / "missing")
    (tmp_path / "binary").write_bytes(b"\xff\xfe" * 20)
    with pytest.raises(ValueError, match=r"binary: a token is text"):
        serve.read_token(tmp_path / "binary")


@pytest.mark.parametrize("token", ["", "short", "with spaces between", "ünlesbar-ünlesbar", "x" * 20 + "\n" + "y" * 20])
def test_a_token_that_is_none_is_refused(tmp_path, token):
    (tmp_path / "token").write_text(token, encoding="utf-8")
    with pytest.raises(ValueError, match=r"token: a token is 16 or more printable ASCII letters"):
        serve.read_token(tmp_path / "token")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-megabytes", "300"], "a request of 300 MB is more than all may hold together"),
        (["--weights", "cmsa_n_head_pose_32x32"], "they are for head_pose, not for pose"),
        (["--detector", "motion"], "motion compares the pictures of one camera"),
        (["--detector", "nothing"], "no detector 'nothing'"),
        (["--token-file", "/nowhere"], "/nowhere"),
    ],
)
def test_options_that_are_wrong_are_told(options, words, capsys):
    pytest.importorskip("fastapi")
    assert main(["serve", "pose", "--runtime", "torch", *options]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--batch-wait", "-1", "is not milliseconds of 0 to 10,000"),
        ("--batch-wait", "10001", "is not milliseconds of 0 to 10,000"),
        ("--batch-wait", "nan", "is not milliseconds of 0 to 10,000"),
        ("--port", "70000", "is not a port of 0 to 65535"),
        ("--threshold", "50", "is not a number of 0 to 1"),
        ("--min-size", "-1", "is not a number from 0"),
        ("--expand", "0", "is not a number above 0"),
        ("--max-held", "-1", "is not a number above 0"),
    ],
)
def test_a_number_out_of_range_is_told_by_its_option(option, value, told, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["serve", "pose", option, value])
    assert capsys.readouterr().err.endswith(f"argument {option}: '{value}' {told}\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.exhaustive)])
def test_a_signal_ends_it_when_what_was_accepted_is_done(number):
    pytest.importorskip("fastapi")
    command = [sys.executable, "-m", "cmsa", "serve", "pose", "--runtime", "torch", "--port", "0", "--threads", "1"]
    command += ["--timeout", "300", "--body-timeout", "300"]  # a busy machine is not what is tried here
    environment = os.environ | {serve.TOKEN: TOKEN}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with (
        subprocess.Popen(command, text=True, env=environment, **pipes) as server,
        contextlib.ExitStack() as ending,
    ):
        ending.callback(server.kill)  # what fails here must not leave the test waiting for the server
        port = int(server.stdout.readline().split()[0].rsplit(":", 1)[1])
        while ask(port, "GET", "/ready")[0] != 200:
            time.sleep(0.1)
        assert ask(port, "POST", "/predict")[0] == 401
        boxes = json.dumps({"xywh": [[318, 92, 56, 151]] * 100}).replace(" ", "")
        replies = []
        clients = []
        # On a busy machine the first may be answered before the last has come: another one takes its place.
        while b"cmsa_waiting_requests 6.0" not in ask(port, "GET", "/metrics")[1]:
            if sum(client.is_alive() for client in clients) < 6:
                clients.append(
                    threading.Thread(target=lambda: replies.append(ask(port, "POST", f"/predict?boxes={boxes}")))
                )
                clients[-1].start()
            assert len(clients) < 100
        server.send_signal(number)
        for client in clients:
            client.join()
        assert server.wait(300) == 0
        assert [status for status, _ in replies] == [200] * len(clients)
        assert all(len(json.loads(content)["predictions"]) == 100 for _, content in replies)
        assert server.stderr.read() == ""


WARMING = """
import time
from cmsa.serve.server import serve
from cmsa.serve.service import Service, load_predictor
Service.warm_up = lambda self: time.sleep(600)
serve(Service(load_predictor("pose", runtime="torch")), port=0, tell=lambda text: print(text, flush=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.exhaustive)])
def test_a_signal_ends_it_at_once_while_the_network_is_not_ready(number):
    pytest.importorskip("fastapi")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with (
        subprocess.Popen([sys.executable, "-c", WARMING], text=True, **pipes) as server,
        contextlib.ExitStack() as ending,
    ):
        ending.callback(server.kill)
        port = int(server.stdout.readline().rsplit(":", 1)[1].split()[0])
        assert ask(port, "GET", "/health")[0] == 200
        assert ask(port, "GET", "/ready")[0] == 503
        server.send_signal(number)
        assert server.wait(60) == 0
        assert server.stderr.read() == ""


def ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    bearing = {} if method == "POST" and "?" not in path else {"Authorization": f"Bearer {TOKEN}"}
    body = PARK.read_bytes() if method == "POST" else None
    connection.request(method, path, body, {"Content-Type": "image/jpeg"} | bearing)
    response = connection.getresponse()
    try:
        return response.status, response.read()
    finally:
        connection.close()
