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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from cmsa.benchmark.measure import machine
from cmsa.benchmark.serve_client import Load, Question, ask_many, misuses
from cmsa.benchmark.written import write_rows
from cmsa.guidance.shipped import DEFAULT_WEIGHTS
from cmsa.inference.predictor import Predictor

PATIENCE = 2.0
"""Seconds that the measured server gives a client to send its request; its own default is longer."""
SIZE, SMALL = (640, 480), (320, 240)
_WARM, _EACH, _SOAK, _PARTS = 200, 400, 16, 4
_QUESTIONS = 12
_MEMORY = "process_resident_memory_bytes"
_CLOSE = 0.01
"""How far a number of an answer may be from ``Predictor``'s: they are rounded to 1e-4, and batches sum otherwise."""


@dataclass(frozen=True)
class ServeRow:
    """So many clients at a time, or one kind of misuse.

    Attributes:
        kind: ``Predictor`` and ``Predictor.stream``, asked in one thread without a server; ``load``; ``soak``, one of
            the parts of the long run; or what was misused.
        concurrency: clients at a time.
        requests: all together.
        statuses: how many had which.
        per_second: answers of 200; 0 of misuse.
        p50, p99: milliseconds to an answer of 200; of misuse, that another client waited meanwhile.
        farthest: of any number in an answer from ``Predictor``'s.
        memory: megabytes of the server, resident, afterwards; 0 without one.
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
        concurrencies: clients at a time, each row of up to 400 requests with 1 to 4 boxes.
        requests: of the long run, with one box each in smaller pictures, along which the memory is looked at.
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
    questions, small = make_questions(predictor), make_questions(predictor, 1, SMALL)
    rows = _alone(predictor, questions, min(_EACH, requests))
    with running(predictor.task.command, names[0], threads) as port:
        ask_many(port, questions, _WARM, _SOAK)
        for clients in concurrencies:
            rows.append(_row("load", clients, ask_many(port, questions, min(_EACH, requests), clients), port))
        ask_many(port, small, _WARM, _SOAK)
        for _ in range(_PARTS):
            rows.append(_row("soak", _SOAK, ask_many(port, small, -(-requests // _PARTS), _SOAK), port))
        rows += _misuse_rows(port, questions)
    _show(rows)
    if out is not None:
        conditions = {"machine": machine(), "weights": names[0], "pictures": [SIZE, SMALL], "patience": PATIENCE}
        write_rows(out / "serve.json", rows, conditions)
    return rows


def make_questions(predictor: Predictor, most: int = 4, size: tuple[int, int] = SIZE) -> list[Question]:
    """Made pictures with 1 to ``most`` boxes, and what ``Predictor`` says of them."""
    random = np.random.default_rng(13)
    questions = []
    for number in range(_QUESTIONS):
        coarse = Image.fromarray(random.integers(0, 255, (30, 40, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float64)
        pixels = (pixels + random.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8)
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "JPEG", quality=90)
        boxes = [
            [round(float(side), 1) for side in (*random.uniform(0, size[1] / 2, 2), *random.uniform(40, 160, 2))]
            for _ in range(1 + number % most)
        ]
        values = predictor(content.getvalue(), boxes=boxes)
        records = [predictor.task.record(value, 1.0, 5) for value in values]
        path = f"/predict?boxes={quote(json.dumps({'xywh': boxes}))}"
        questions.append(Question(path, content.getvalue(), records, boxes))
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
    # Windows has no SIGTERM: a process is ended there at once, with another code.
    if code != 0 and os.name != "nt":
        raise RuntimeError(f"the server ended with {code}: {''.join(logged[-20:])}")


def _alone(predictor: Predictor, questions: Sequence[Question], requests: int) -> list[ServeRow]:
    """What the same pictures take without a server: one after the other, and in batches."""
    asked = [questions[number % len(questions)] for number in range(requests)]
    one = Load()
    began = time.perf_counter()
    for question in asked:
        start = time.perf_counter()
        predictor(question.body, boxes=question.boxes)
        one.seconds.append(time.perf_counter() - start)
    one.wall = time.perf_counter() - began
    began = time.perf_counter()
    for _ in predictor.stream((question.body, question.boxes) for question in asked):
        pass
    together = time.perf_counter() - began
    alone = _row("Predictor", 1, one, None)
    stream = ServeRow("Predictor.stream", 1, requests, {}, requests / together, np.nan, np.nan, 0.0, 0.0, True)
    return [replace(alone, requests=requests), stream]


def _misuse_rows(port: int, questions: Sequence[Question]) -> Iterator[ServeRow]:
    for misuse in misuses(questions[0]):
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
            statuses = dict(misuse.run(port))
        finally:
            done.set()
            other.join()
        row = _row(misuse.name, misuse.together, others, port)
        fine = row.fine and set(statuses) <= misuse.fine
        yield replace(row, requests=misuse.count, statuses=statuses, per_second=0.0, fine=fine)


def _row(kind: str, clients: int, load: Load, port: int | None) -> ServeRow:
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
        0.0 if port is None else memory_of(port),
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
    from rich.table import Column, Table

    headings = ("clients", "requests", "statuses", "/s", "p50 ms", "p99 ms", "MB", "fine")
    # Numbers must not be cut; a name may be folded.
    table = Table(Column(overflow="fold"), *(Column(name, no_wrap=True) for name in headings), box=None, pad_edge=False)
    for row in rows:
        statuses = "\n".join(f"{name}: {number}" for name, number in sorted(row.statuses.items()))
        cells = [f"{row.per_second:.0f}" if row.per_second else ""]
        cells += ["" if np.isnan(time) else f"{time:.0f}" for time in (row.p50, row.p99)]
        cells += [f"{row.memory:.0f}" if row.memory else "", "yes" if row.fine else "[red]no[/]"]
        table.add_row(row.kind, str(row.concurrency), f"{row.requests:,}", statuses, *cells)
    Console().print(table)
