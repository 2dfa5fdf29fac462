"""Where OpenVINO spends its time in a network, by kind of layer, before and after the layout for inference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from torch import Tensor

from cmsa.benchmark.engines import combinations, example_images, export_models, openvino_request
from cmsa.benchmark.measure import machine
from cmsa.benchmark.networks import cmsa_candidate, unfused_candidate
from cmsa.benchmark.written import write_rows

KINDS = {
    "FullyConnected": "products with weights",
    "FullyConnectedQuantizedLegacy": "products with weights",
    "Convolution": "1x1 and full convolutions",
    "GroupConvolution": "depth-wise convolutions",
    "GroupConvolutionBackpropData": "transposed convolutions",
    "MatMul": "products of attention",
    "Subgraph": "fused element-wise work, attention",
    "Transpose": "moving data",
    "Reorder": "moving data",
    "VariadicSplit": "moving data",
    "Split": "moving data",
    "Concat": "moving data",
    "StridedSlice": "moving data",
    "AvgPool": "pooling",
}
"""OpenVINO's kinds of layer in plain words; others are "the rest"."""


@dataclass(frozen=True)
class ProfileRow:
    """One network in one precision.

    Attributes:
        name, height, width: the network and its input.
        precision: it was run in.
        milliseconds: for one image, by kind of layer.
    """

    name: str
    height: int
    width: int
    precision: str
    milliseconds: dict[str, float]


def benchmark_profile(
    variants: Sequence[str] = ("cmsa_s",),
    sizes: Sequence[tuple[int, int]] = ((32, 24),),
    precisions: Sequence[str] = ("float32", "bf16", "int8", "int8+bf16"),
    *,
    batch: int = 32,
    threads: int = 2,
    rounds: int = 5,
    out: Path | None = None,
) -> list[ProfileRow]:
    """Profile variants for human pose, unfused as they are trained and deployed, and show a table for each precision.

    Args:
        variants: of CMSA.
        sizes: (H, W) of their inputs.
        precisions: ``float32``, ``bf16`` (where the machine computes in it), ``int8`` and ``int8+bf16``.
        batch: images that are run together.
        threads: of OpenVINO.
        rounds: of which means are taken.
        out: folder for ``profile.json``.
    """
    rows = []
    conditions = {"machine": machine(), "threads": threads, "batch": batch, "rounds": rounds}
    for variant, size in product(variants, sizes):
        pair = unfused_candidate(variant, size), cmsa_candidate(variant, size)
        # Both have inputs of one size.
        images = example_images(pair[0], batch)
        models = [export_models(candidate.prepare(candidate.build()), images, precisions) for candidate in pair]
        for _, precision in combinations(["openvino"], precisions):
            spent = [_profile(of[precision], images, precision, threads, rounds) for of in models]
            profiles = [
                ProfileRow(candidate.name, *size, precision, milliseconds)
                for candidate, milliseconds in zip(pair, spent, strict=True)
            ]
            _show(profiles, conditions)
            rows += profiles
    if out is not None:
        write_rows(out / "profile.json", rows, conditions)
    return rows


def _profile(model: Any, images: Tensor, precision: str, threads: int, rounds: int) -> dict[str, float]:
    request = openvino_request(model, images, precision, threads, {"PERF_COUNT": True})
    feed = [images.numpy()]
    request.infer(feed)
    total: Counter[str] = Counter()
    for _ in range(rounds):
        request.infer(feed)
        for layer in request.get_profiling_info():
            kind = KINDS.get(layer.node_type, "the rest")
            total[kind] += layer.real_time.total_seconds() * 1e3 / rounds / len(images)
    return dict(total.most_common())


def _show(pair: Sequence[ProfileRow], conditions: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    first = pair[0]
    title = (
        f"OpenVINO {first.precision} at {first.height}x{first.width}, ms for one image; {conditions['machine']}, "
        f"{conditions['threads']} threads, batch {conditions['batch']}"
    )
    table = Table("", title=title, title_justify="left")
    for row in pair:
        table.add_column(row.name, justify="right", overflow="fold")
        table.add_column("", justify="right")
    sums = [sum(row.milliseconds.values()) for row in pair]
    for kind in dict.fromkeys(kind for row in pair for kind in row.milliseconds):
        cells = []
        for row, total in zip(pair, sums, strict=True):
            spent = row.milliseconds.get(kind, 0.0)
            cells += [f"{spent:.3f}", f"{spent / total:.0%}"]
        table.add_row(kind, *cells)
    table.add_row("all", *(cell for total in sums for cell in (f"{total:.3f}", "")))
    Console().print(table)
