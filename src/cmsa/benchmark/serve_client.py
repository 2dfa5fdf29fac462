"""Clients of a server: many at a time that ask as they should, and some of every kind that do not."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

TIMEOUT = 60.0
CLOSED = "closed"
"""What is noted where the server ends a connection without an answer, or the client does."""


@dataclass(frozen=True)
class Question:
    """A request and the answer that it is to have.

    Attributes:
        path: of the address.
        body: an encoded picture.
        expected: of ``predictions``, what the task keeps of each.
        boxes: x, y, width, height, as in the path.
    """

    path: str
    body: bytes
    expected: Sequence[Mapping[str, Any]] = ()
    boxes: Sequence[Sequence[float]] = ()


@dataclass
class Load:
    """What came of many requests.

    Attributes:
        statuses: how many had which.
        seconds: of each that was answered with 200.
        wall: from the first to the last.
        farthest: of any number in an answer from the expected one.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0
    farthest: float = 0.0


def ask_many(port: int, questions: Sequence[Question], requests: int, concurrency: int) -> Load:
    """Ask in turn, so many at a time, each client over one connection; every answer is compared.

    Args:
        port: of the server, on this machine.
        questions: asked one after the other, again and again.
        requests: all together.
        concurrency: clients.
    """
    load, lock, numbers = Load(), threading.Lock(), count()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        while (number := next(numbers)) < requests:
            question = questions[number % len(questions)]
            began = time.perf_counter()
            connection.request("POST", question.path, question.body, {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            content = response.read()
            took = time.perf_counter() - began
            apart = distance(json.loads(content)["predictions"], question.expected) if response.status == 200 else 0.0
            with lock:
                load.statuses[str(response.status)] += 1
                load.farthest = max(load.farthest, apart)
                if response.status == 200:
                    load.seconds.append(took)
        connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        for done in [pool.submit(client) for _ in range(concurrency)]:
            done.result()
    load.wall = time.perf_counter() - began
    return load


def distance(found: Any, expected: Any) -> float:
    """How far apart the numbers of two pieces of JSON are; infinite where they differ otherwise.

    Entries that only ``found`` has, such as the box, do not count.
    """
    if isinstance(expected, Mapping):
        return max((distance(found.get(name), value) for name, value in expected.items()), default=0.0)
    if isinstance(expected, Sequence) and not isinstance(expected, str):
        if not isinstance(found, list) or len(found) != len(expected):
            return float("inf")
        return max(map(distance, found, expected), default=0.0)
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return abs(found - expected)
    return 0.0 if found == expected else float("inf")


@dataclass(frozen=True)
class Misuse:
    """A kind of client that does what it should not.

    Attributes:
        name: for people.
        count: of such clients.
        together: so many at a time.
        fine: what may come of it.
        act: does it, and returns a status or ``CLOSED``.
    """

    name: str
    count: int
    together: int
    fine: frozenset[str]
    act: Callable[[int, int], str]

    def run(self, port: int) -> Counter[str]:
        """How many had which status."""
        with ThreadPoolExecutor(self.together) as pool:
            return Counter(pool.map(lambda number: self.act(port, number), range(self.count)))


def misuses(question: Question) -> Iterator[Misuse]:
    """Every kind.

    Args:
        question: a good one, which they spoil.
    """
    body = question.body
    whole = _request(question.path, body)

    def bytes_of(make: Callable[[int], bytes], patient: bool = True) -> Callable[[int, int], str]:
        return lambda port, number: _send(port, make(number), patient)

    def noise(number: int) -> bytes:
        return np.random.default_rng(number).bytes(2000)

    yield Misuse("head never ends", 100, 100, frozenset({CLOSED}), bytes_of(lambda _: whole[:40]))
    yield Misuse("body never ends", 100, 100, frozenset({"408"}), bytes_of(lambda _: whole[: len(whole) // 2]))
    yield Misuse("noise for HTTP", 200, 16, frozenset({"400", CLOSED}), bytes_of(noise))
    yield Misuse("noise for a picture", 200, 16, frozenset({"415"}), bytes_of(lambda n: _request("/predict", noise(n))))
    yield Misuse(
        "half a picture", 200, 16, frozenset({"422"}), bytes_of(lambda _: _request("/predict", body[: len(body) // 2]))
    )
    yield Misuse("no boxes", 200, 16, frozenset({"422"}), bytes_of(lambda _: _request("/predict?boxes=[[1]]", body)))
    yield Misuse("bomb", 200, 16, frozenset({"413"}), bytes_of(lambda _: _request("/predict", _bomb())))
    yield Misuse(
        "too many bytes", 200, 16, frozenset({"413"}), bytes_of(lambda _: _request("/predict", bytes(11_000_000)))
    )
    yield Misuse("leaves amid the body", 500, 16, frozenset({CLOSED}), bytes_of(lambda n: whole[: 300 + n], False))
    yield Misuse("leaves before the answer", 500, 16, frozenset({CLOSED}), bytes_of(lambda _: whole, False))


def _request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _send(port: int, sent: bytes, patient: bool) -> str:
    """The status of what comes back, if it is waited for."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        try:
            connection.sendall(sent)
            answer = connection.recv(4096) if patient else b""
        except ConnectionError:
            return CLOSED
    return answer[9:12].decode("ascii", "replace") if answer.startswith(b"HTTP/1.1 ") else CLOSED


def _bomb() -> bytes:
    """A small PNG that says that it has 400 million pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(2_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
