"""The benchmark: every candidate in every runtime and precision, timed in turn, as a table, JSON and a plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cmsa.benchmark.engines import Engine, Measured, open_engines
from cmsa.benchmark.files import open_file, read_network
from cmsa.benchmark.measure import Work, interleaved, machine, peak_memory
from cmsa.benchmark.networks import (
    MATRIX_SIDE,
    cmsa_candidate,
    known_peers,
    matrix_product,
    recipe_candidates,
    unfused_candidate,
)
from cmsa.benchmark.row import Row
from cmsa.benchmark.table import show_table
from cmsa.benchmark.written import write_rows
from cmsa.models.cost import Cost, cost_of
from cmsa.runtime.sessions import Runtime

_PEAK = "matrix product"


def benchmark(
    variants: Sequence[str] = ("cmsa_n", "cmsa_s", "cmsa_b", "cmsa_l"),
    sizes: Sequence[tuple[int, int]] = ((32, 24),),
    runtimes: Sequence[Runtime] = ("torch", "onnxruntime", "openvino"),
    precisions: Sequence[str] = ("float32", "bf16", "int8", "int8+bf16"),
    *,
    batch: int = 32,
    threads: int = 2,
    rounds: int = 7,
    with_peers: bool = True,
    peers: Sequence[Path] = (),
    recipes: Sequence[str] = (),
    out: Path | None = None,
) -> list[Row]:
    """Measure networks side by side in one run and show the table.

    Args:
        variants: of CMSA, for human pose; at the first size ``cmsa_n`` is also measured with the head that its shipped
            weights have, and ``cmsa_s`` unfused.
        sizes: (H, W) of their inputs.
        runtimes: to run all of them in.
        precisions: ``float32``, ``bf16`` (OpenVINO, where the machine computes in it), ``int8`` (calibrated on noise:
            its speed is that of a real calibration, its output is of no use) and ``int8+bf16``, the same network with
            bf16 instead of float32 between its int8 products (OpenVINO).
        batch: images of the throughput.
        threads: of every runtime.
        rounds: of which medians are taken.
        with_peers: measure the networks of ``benchmark.networks.known_peers`` too.
        peers: ONNX or OpenVINO files of other networks, measured in the runtimes that read them.
        recipes: whose networks are measured too, as they are deployed; a table of recipes stands for all of its rows.
        out: folder for ``benchmark.json`` and ``benchmark.png``.

    Raises:
        FileNotFoundError: there is no such file of a peer, or no such recipe.
        ValueError: a peer's file is of another kind or has other inputs, see ``benchmark.files.read_network``, or a
            recipe is wrong.
    """
    from rich.console import Console
    from rich.progress import track

    errors = Console(stderr=True)
    torch.set_num_threads(threads)
    candidates = [cmsa_candidate(variant, size) for variant in variants for size in sizes]
    if "cmsa_n" in variants:
        candidates.insert(1, cmsa_candidate("cmsa_n", sizes[0], "linear"))
    if "cmsa_s" in variants:
        candidates.append(unfused_candidate("cmsa_s", sizes[0]))
    candidates += known_peers() if with_peers else []
    candidates += [candidate for name in recipes for candidate in recipe_candidates(name)]
    files = [read_network(path) for path in peers]
    costs: dict[str, Cost] = {}
    engines: list[Engine] = []
    for candidate in track(candidates, "exporting", console=errors):
        trained = candidate.build()
        costs[_label(candidate)] = cost_of(trained, candidate.prepare(trained), candidate.size)
        engines += open_engines(candidate, trained, runtimes, precisions, batch, threads)
    for file in files:
        costs[_label(file)] = file.cost
        engines += open_file(file, runtimes, precisions, batch, threads)
    product = matrix_product()
    products = open_engines(product, product.build(), runtimes, precisions, 2, threads)
    works: dict[str, Work] = {f"{_PEAK} {index}": engine.one for index, engine in enumerate(products)}
    for index, engine in enumerate(engines):
        works |= {f"{index} one": engine.one, f"{index} many": engine.many}
    memory = [peak_memory(engine.many) for engine in engines]
    errors.print(f"timing {len(works)} works in {rounds} rounds")
    timings = interleaved(works, rounds, turns=lambda count: track(range(count), "timing", console=errors))
    peaks: dict[str, float] = {}
    for index, engine in enumerate(products):
        speed = 2 * MATRIX_SIDE**3 / timings[f"{_PEAK} {index}"].wall
        peaks[engine.precision] = max(speed, peaks.get(engine.precision, 0.0))
    rows = []
    for index, engine in enumerate(engines):
        cost, many = costs[_label(engine.network)], timings[f"{index} many"]
        height, width = engine.network.size
        rows.append(
            Row(
                engine.network.name,
                height,
                width,
                engine.runtime,
                engine.precision,
                **asdict(cost),
                latency=timings[f"{index} one"].wall * 1e3,
                throughput=batch / many.wall,
                throughput_cpu=batch / many.cpu,
                share_of_peak=2 * cost.with_attention * batch / many.wall / peaks.get(engine.precision, math.nan),
                memory=memory[index],
            )
        )
    conditions = {
        "machine": machine(),
        "threads": threads,
        "batch": batch,
        "rounds": rounds,
        "peak_gflops": {precision: speed / 1e9 for precision, speed in peaks.items()},
    }
    show_table(rows, conditions)
    if out is not None:
        _write(out, rows, conditions)
    return rows


def _write(out: Path, rows: Sequence[Row], conditions: dict[str, Any]) -> None:
    from cmsa.benchmark.plot import plot

    write_rows(out / "benchmark.json", rows, conditions)
    plot(rows, conditions, out / "benchmark.png")


def _label(network: Measured) -> str:
    return f"{network.name} {network.size}"
