"""``cmsa models``."""

from __future__ import annotations

import argparse
from itertools import groupby

TEXT = "The weights that came with the package, or the model card of one: its data, its scores, its limits, its terms."
EXAMPLES = """
examples:
  cmsa models
  cmsa models cmsa_n_pose_32x24
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("name", nargs="?", help="of weights, to show their model card")


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command; returns the exit code.

    Raises:
        ValueError: there are no weights of this name.
    """
    from cmsa.guidance.shipped import list_shipped, shipped_card

    if options.name:
        print(shipped_card(options.name).rstrip())
        return 0
    # Lines instead of a table: names are copied, and must stay whole in a narrow terminal.
    for task, weights in groupby(list_shipped(), key=lambda weights: weights.task):
        print(task)
        for one in weights:
            print(f"  {one.name}{'  (default)' if one.is_default else ''}")
            print(f"    {one.input_size[0]}x{one.input_size[1]}, {one.megabytes:.1f} MB; {one.score}".rstrip("; "))
    print("\ninput height x width; scores without flip test. The whole card: cmsa models NAME")
    return 0
