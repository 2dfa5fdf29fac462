"""``cmsa benchmark``: its options, and what it runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

Size = tuple[int, int]
VARIANTS = ("cmsa_n", "cmsa_s", "cmsa_b", "cmsa_l")
RUNTIMES = ("torch", "onnxruntime", "openvino")
PRECISIONS = ("float32", "bf16", "int8")


def add_options(parser: argparse.ArgumentParser, parse_size: Callable[[str], Size]) -> None:
    """The options of the command."""
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--sizes", nargs="+", type=parse_size, default=[(32, 24)], help="HEIGHTxWIDTH of the inputs")
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=list(RUNTIMES))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--batch", type=int, default=32, help="images of the throughput")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7, help="of which medians are taken")
    parser.add_argument("--no-peers", action="store_true", help="CMSA only")
    parser.add_argument("--out", type=Path, default=Path("benchmark"), help="folder for JSON and plot")


def run(options: argparse.Namespace) -> None:
    """Measure, show the table, write JSON and plot."""
    from cmsa.benchmark import benchmark

    benchmark(
        options.variants,
        options.sizes,
        options.runtimes,
        options.precisions,
        batch=options.batch,
        threads=options.threads,
        rounds=options.rounds,
        with_peers=not options.no_peers,
        out=options.out,
    )
