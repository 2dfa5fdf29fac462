"""The benchmark: every candidate in every runtime and precision, timed in turn, as a table, JSON and a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cmsa.benchmark.engines import Engine, open_engines
from cmsa.benchmark.measure import Work, interleaved, machine, matrix_product, peak_memory
from cmsa.benchmark.networks import Candidate, Cost, cmsa_candidate, cost_of, peers, unfused_candidate
from cmsa.benchmark.row import Row
from cmsa.benchmark.table import show_table
from cmsa.runtime import Runtime

_PEAK = "matrix product"


def benchmark(
    variants: Sequence[str] = ("cmsa_n", "cmsa_s", "cmsa_b", "cmsa_l"),
    sizes: Sequence[tuple[int, int]] = ((32, 24),),
    runtimes: Sequence[Runtime] = ("torch", "onnxruntime", "openvino"),
    precisions: Sequence[str] = ("float32", "bf16", "int8"),
    *,
    batch: int = 32,
    threads: int = 2,
    rounds: int = 7,
    with_peers: bool = True,
    out: Path | None = None,
) -> list[Row]:
    """Measure networks side by side in one run and show the table.

    Args:
        variants: of CMSA, for human pose; the first size of ``cmsa_s`` is also measured unfused.
        sizes: (H, W) of their inputs.
        runtimes: to run all of them in.
        precisions: ``float32``, ``bf16`` (OpenVINO, where the machine computes in it) and ``int8`` (calibrated on
            noise: its speed is that of a real calibration, its output is of no use).
        batch: images of the throughput.
        threads: of every runtime.
        rounds: of which medians are taken.
        with_peers: measure the networks of ``benchmark.networks.peers`` too.
        out: folder for ``benchmark.json`` and ``benchmark.png``.
    """
    torch.set_num_threads(threads)
    candidates = [cmsa_candidate(variant, size) for variant in variants for size in sizes]
    if "cmsa_s" in variants:
        candidates.append(unfused_candidate("cmsa_s", sizes[0]))
    candidates += peers() if with_peers else []
    costs: dict[str, Cost] = {}
    engines: list[Engine] = []
    for candidate in candidates:
        trained = candidate.build()
        costs[_label(candidate)] = cost_of(trained, candidate.prepare(trained), candidate.size)
        engines += open_engines(candidate, trained, runtimes, precisions, batch, threads)
    product, operations = matrix_product()
    works: dict[str, Work] = {_PEAK: product}
    for index, engine in enumerate(engines):
        works |= {f"{index} one": engine.one, f"{index} many": engine.many}
    memory = [peak_memory(engine.many) for engine in engines]
    timings = interleaved(works, rounds)
    peak = operations / timings[_PEAK].wall
    rows = []
    for index, engine in enumerate(engines):
        cost, many = costs[_label(engine.candidate)], timings[f"{index} many"]
        height, width = engine.candidate.size
        rows.append(
            Row(
                engine.candidate.name,
                height,
                width,
                engine.runtime,
                engine.precision,
                **asdict(cost),
                latency=timings[f"{index} one"].wall * 1e3,
                throughput=batch / many.wall,
                throughput_cpu=batch / many.cpu,
                share_of_peak=2 * cost.with_attention * batch / many.wall / peak,
                memory=memory[index],
            )
        )
    conditions = {"machine": machine(), "threads": threads, "batch": batch, "rounds": rounds, "peak_gflops": peak / 1e9}
    show_table(rows, conditions)
    if out is not None:
        _write(out, rows, conditions)
    return rows


def _write(out: Path, rows: Sequence[Row], conditions: dict[str, Any]) -> None:
    from cmsa.benchmark.plot import plot

    out.mkdir(parents=True, exist_ok=True)
    content = {"conditions": conditions, "rows": [asdict(row) for row in rows]}
    (out / "benchmark.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    plot(rows, conditions, out / "benchmark.png")


def _label(candidate: Candidate) -> str:
    return f"{candidate.name} {candidate.size}"
