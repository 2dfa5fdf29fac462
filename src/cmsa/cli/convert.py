"""``cmsa convert``."""

from __future__ import annotations

import argparse
from pathlib import Path

from cmsa.cli.arguments import parse_size, parse_weights_file

TEXT = "A checkpoint of the authors' release to a weights file."
EXAMPLES = """
examples:
  cmsa convert CMSAFormer_S_32.pth cmsa_s_pose_32x24.safetensors
  cmsa convert CMSAFormer_S_32.pth cmsa_s_pose_64x48.safetensors --size 64x48
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("released", type=Path)
    parser.add_argument("out", type=parse_weights_file)
    parser.add_argument("--size", type=parse_size, help="HEIGHTxWIDTH to resize the bias tables to")


def written(options: argparse.Namespace) -> list[Path]:
    """The files that it writes."""
    return [options.out]


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command; returns the exit code."""
    from cmsa.models.released import convert_released

    convert_released(options.released, options.out, input_size=options.size)
    print(f"wrote {options.out}")
    return 0
