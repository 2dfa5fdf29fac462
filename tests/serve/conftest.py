"""Servers on a free port of this machine, in a thread of the test's process, and a client that asks them."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmsa.guidance.extras import EXTRAS
from cmsa.guidance.shipped import DEFAULT_WEIGHTS
from cmsa.inference.predictor import Predictor

if not all(map(find_spec, EXTRAS["serve"])):
    collect_ignore_glob = ["test_*.py"]

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    port: int
    service: Any
    server: Any

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, named, encode_chunked="transfer-encoding" in named)
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def predict(self, body: Any, query: str = "", content_type: str = "image/png", **headers: str) -> Reply:
        return self.ask("POST", f"/predict{query}", body, content_type=content_type, **headers)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@contextmanager
def _running(service: Any, token: str | None = None) -> Iterator[Running]:
    from cmsa.serve.server import listen, make_server

    listening = listen("127.0.0.1", 0)
    server = make_server(service, token)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        until(lambda: service.ready or service.failed)
        yield Running(listening.getsockname()[1], service, server)
    finally:
        server.should_exit = True
        thread.join()


def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def running() -> Callable[..., Any]:
    return _running


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    return until


@pytest.fixture(scope="session")
def predictors() -> dict[str, Predictor]:
    """The default weights of each task, by what the command line calls it."""
    names = {"pose": "pose", "head-pose": "head_pose", "classify": "classification"}
    return {command: Predictor.from_pretrained(DEFAULT_WEIGHTS[task]) for command, task in names.items()}


@pytest.fixture(scope="session")
def pose_server(predictors) -> Iterator[Running]:
    from cmsa.serve.service import Service

    with _running(Service(predictors["pose"])) as server:
        yield server


@pytest.fixture(scope="session")
def park() -> bytes:
    return (EXAMPLES / "people" / "park.jpg").read_bytes()


@pytest.fixture(scope="session")
def made() -> Callable[..., bytes]:
    """An encoded picture of noise: (kind, (width, height), seed)."""

    def build(kind: str = "PNG", size: tuple[int, int] = (60, 80), seed: int = 0) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, kind)
        return out.getvalue()

    return build


@pytest.fixture(scope="session")
def form() -> Callable[..., tuple[bytes, str]]:
    """A multipart form and its content type: names and contents; a pair of (filename, content) is a file."""

    def build(**parts: Any) -> tuple[bytes, str]:
        lines = []
        for name, part in parts.items():
            filename, content = part if isinstance(part, tuple) else (None, part)
            named = f'name="{name}"' + (f'; filename="{filename}"' if filename else "")
            content = content.encode() if isinstance(content, str) else content
            lines += [b"--XyZ", f"Content-Disposition: form-data; {named}".encode(), b"", content]
        return b"\r\n".join([*lines, b"--XyZ--", b""]), "multipart/form-data; boundary=XyZ"

    return build
