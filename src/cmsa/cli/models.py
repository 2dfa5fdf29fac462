"""``cmsa models``."""

from __future__ import annotations

import argparse

TEXT = "The weights that came with the package."
EXAMPLES = """
examples:
  cmsa models
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command; returns the exit code."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from cmsa.models.pretrained import shipped_names, shipped_weights
    from cmsa.models.weights import read_description

    names = shipped_names()
    console = Console()
    # A name is there to be copied: it stays whole, and in a narrow terminal it is folded, but never cut.
    roomy = console.width > 2 * max(map(len, names), default=0)
    named = (Column(title, overflow="fold", no_wrap=roomy) for title in ("weights", "task"))
    table = Table(*named, *(Column(title, overflow="fold") for title in ("input (HxW)", "MB", "trained on")))
    for name in names:
        path = shipped_weights(name)
        description = read_description(path)
        size = "x".join(map(str, description.input_size))
        data = str(description.training.get("data", ""))
        table.add_row(escape(name), description.task, size, f"{path.stat().st_size / 1e6:.1f}", escape(data))
    console.print(table)
    return 0
