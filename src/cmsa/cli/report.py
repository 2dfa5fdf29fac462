"""``cmsa report``."""

from __future__ import annotations

import argparse
from pathlib import Path

from cmsa.cli.arguments import parse_page_file

TEXT = "Runs and sweeps as one page: measured beside published, costs, learning curves, spreads, what is missing."
EXAMPLES = """
examples:
  cmsa report sweeps/digits --out report.html
  cmsa report runs/a runs/b sweeps/c --benchmark benchmark/benchmark.json \\
      --out report.html
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("runs", nargs="+", type=Path, help="folders of cmsa train or cmsa sweep")
    parser.add_argument(
        "--out", type=parse_page_file, default=Path("report.html"), help="HTML file; Markdown goes beside it"
    )
    parser.add_argument("--benchmark", type=Path, help="benchmark.json of cmsa benchmark, for latencies")
    parser.add_argument("--scores", nargs="+", default=[], help="of the first table; by default what the task goes by")
    parser.add_argument("--weights", choices=["last", "best"], default="last", help="whose scores")


def written(options: argparse.Namespace) -> list[Path]:
    """The files that it writes."""
    return [options.out, options.out.with_suffix(".md")]


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command; returns the exit code."""
    from cmsa.experiments.report import write_report
    from cmsa.files.whole import refuse_unwritable

    refuse_unwritable(options.out)
    write_report(options.runs, options.out, benchmark=options.benchmark, kept=options.weights, scores=options.scores)
    print(f"{options.out}, and {options.out.with_suffix('.md').name} beside it")
    return 0
