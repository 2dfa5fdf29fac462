"""The benchmark of ``cmsa serve``: a server in a process of its own, asked well and badly from this one."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from cmsa.benchmark.measure import machine
from cmsa.benchmark.serve_client import Load, Question, ask_many, misuses
from cmsa.benchmark.written import write_rows
from cmsa.inference.predictor import Predictor
from cmsa.models.pretrained import DEFAULT_WEIGHTS

PATIENCE = 2.0
"""Seconds that the measured server gives a client to send its request; its own default is longer."""
SIZE = 640, 480
_WARM, _EACH, _SOAK, _PARTS = 200, 1000, 16, 4
_MEMORY = "process_resident_memory_bytes"
_CLOSE = 0.01
"""How far a number of an answer may be from ``Predictor``'s: they are rounded to 1e-4, and batches sum otherwise."""


@dataclass(frozen=True)
class ServeRow:
    """So many clients at a time, or one kind of misuse.

    Attributes:
        kind: ``load``, ``soak``, or what was misused.
        concurrency: clients at a time.
        requests: all together.
        statuses: how many had which.
        per_second: answers of 200; 0 of misuse.
        p50, p99: milliseconds to an answer of 200; of misuse, that another client waited meanwhile.
        farthest: of any number in an answer from ``Predictor``'s.
        memory: megabytes of the server, resident, afterwards.
        fine: whether all was as it has to be.
    """

    kind: str
    concurrency: int
    requests: int
    statuses: dict[str, int]
    per_second: float
    p50: float
    p99: float
    farthest: float
    memory: float
    fine: bool


def benchmark_serve(
    weights: Sequence[str] | None = None,
    *,
    concurrencies: Sequence[int] = (1, 4, 16, 64),
    requests: int = 20_000,
    threads: int | None = None,
    out: Path | None = None,
) -> list[ServeRow]:
    """Measure a server and show the table.

    Each answer is compared with ``Predictor``'s. The clients share the machine with the server.

    Args:
        weights: one name or file; by default those of human pose.
        concurrencies: clients at a time, each row of up to 1,000 requests.
        requests: of the long run, after which the memory is compared.
        threads: of the network on the CPU.
        out: folder for ``serve.json``; nothing is written where it is missing.

    Raises:
        ValueError: there are several weights, or a number is below 1.
        RuntimeError: the server does not start.
    """
    names = list(weights or [DEFAULT_WEIGHTS["pose"]])
    if len(names) != 1:
        raise ValueError(f"a server has one model, got {', '.join(names)}")
    if requests < 1 or not concurrencies or min(concurrencies) < 1:
        raise ValueError(f"requests and clients are at least 1, got {requests} and {list(concurrencies)}")
    predictor = Predictor.from_pretrained(names[0], threads=threads, runtime=None)
    questions = make_questions(predictor)
    with running(predictor.task.command, names[0], threads) as port:
        ask_many(port, questions, _WARM, _SOAK)
        rows = [
            _row("load", clients, ask_many(port, questions, min(_EACH, requests), clients), port)
            for clients in concurrencies
        ]
        for _ in range(_PARTS):
            rows.append(_row("soak", _SOAK, ask_many(port, questions, -(-requests // _PARTS), _SOAK), port))
        rows += _misuse_rows(port, questions)
    _show(rows)
    if out is not None:
        conditions = {"machine": machine(), "weights": names[0], "picture": SIZE, "patience": PATIENCE}
        write_rows(out / "serve.json", rows, conditions)
    return rows


def make_questions(predictor: Predictor, count: int = 12) -> list[Question]:
    """Made pictures with 1 to 4 boxes, and what ``Predictor`` says of them."""
    random = np.random.default_rng(13)
    questions = []
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 255, (30, 40, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC), dtype=np.float64)
        pixels = (pixels + random.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8)
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "JPEG", quality=90)
        boxes = [
            [round(float(number), 1) for number in (*random.uniform(0, 300, 2), *random.uniform(40, 160, 2))]
            for _ in range(1 + number % 4)
        ]
        values = predictor(content.getvalue(), boxes=boxes)
        records = [predictor.task.record(value, 1.0, 5) for value in values]
        path = f"/predict?boxes={quote(json.dumps({'xywh': boxes}))}"
        questions.append(Question(path, content.getvalue(), records))
    return questions


@contextmanager
def running(command: str, weights: str, threads: int | None = None) -> Iterator[int]:
    """A server in a process of its own; gives its port, and ends it with SIGTERM.

    Raises:
        RuntimeError: it does not start, or does not end well.
    """
    arguments = [sys.executable, "-m", "cmsa", "serve", command, "--weights", weights, "--port", "0"]
    arguments += ["--body-timeout", str(PATIENCE)] + (["--threads", str(threads)] if threads else [])
    environment = {name: value for name, value in os.environ.items() if name != "CMSA_TOKEN"}
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        first = server.stdout.readline()
        if not first:
            raise RuntimeError(f"the server did not start: {server.stderr.read().strip()}")
        # What it logs must not fill the pipe and stop it.
        logged: list[str] = []
        reading = threading.Thread(target=lambda: logged.extend(server.stderr or ()), daemon=True)
        reading.start()
        try:
            port = int(first.split()[0].rsplit(":", 1)[1])
            while _get(port, "/ready")[0] != 200:
                time.sleep(0.1)
            yield port
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(60)
    if code != 0:
        raise RuntimeError(f"the server ended with {code}: {''.join(logged[-20:])}")


def _misuse_rows(port: int, questions: Sequence[Question]) -> Iterator[ServeRow]:
    for misuse in misuses(questions[0]):
        statuses: Counter[str] = Counter()
        others, done = Load(), threading.Event()

        def ask_meanwhile(others: Load = others, done: threading.Event = done) -> None:
            while not done.is_set():
                load = ask_many(port, questions, 1, 1)
                others.seconds += load.seconds
                others.statuses += load.statuses
                others.farthest = max(others.farthest, load.farthest)

        other = threading.Thread(target=ask_meanwhile)
        other.start()
        try:
            statuses = misuse.run(port)
        finally:
            done.set()
            other.join()
        row = _row(misuse.name, misuse.together, others, port)
        fine = row.fine and set(statuses) <= misuse.fine
        yield ServeRow(
            row.kind,
            row.concurrency,
            misuse.count,
            dict(statuses),
            0.0,
            row.p50,
            row.p99,
            row.farthest,
            row.memory,
            fine,
        )


def _row(kind: str, clients: int, load: Load, port: int) -> ServeRow:
    median, slowest = np.percentile(load.seconds, [50, 99]) * 1000 if load.seconds else (np.nan, np.nan)
    return ServeRow(
        kind,
        clients,
        sum(load.statuses.values()),
        dict(load.statuses),
        len(load.seconds) / load.wall if load.wall else 0.0,
        float(median),
        float(slowest),
        load.farthest,
        memory_of(port),
        set(load.statuses) <= {"200"} and load.farthest < _CLOSE,
    )


def memory_of(port: int) -> float:
    """Resident megabytes of a server, as its metrics say."""
    lines = _get(port, "/metrics")[1].decode().splitlines()
    return float(next(line for line in lines if line.startswith(_MEMORY)).split()[1]) / 1e6


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _show(rows: Sequence[ServeRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "clients", "requests", "statuses", "a second", "p50 ms", "p99 ms", "apart", "MB", "fine")
    for row in rows:
        statuses = ", ".join(f"{name}: {number}" for name, number in sorted(row.statuses.items()))
        cells: list[Any] = [f"{row.per_second:.0f}" if row.per_second else "", f"{row.p50:.1f}", f"{row.p99:.1f}"]
        cells += [f"{row.farthest:.1g}", f"{row.memory:.0f}", "yes" if row.fine else "[red]no[/]"]
        table.add_row(row.kind, str(row.concurrency), f"{row.requests:,}", statuses, *cells)
    Console().print(table)
