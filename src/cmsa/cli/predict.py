"""``cmsa predict``."""

from __future__ import annotations

import argparse
from pathlib import Path

from cmsa.cli.arguments import parse_box

TEXT = "Pictures and boxes to keypoints, head pose or classes."


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    from cmsa.tasks import commands

    parser.add_argument("task", choices=list(commands()))
    parser.add_argument("inputs", nargs="+", type=Path, help="pictures or folders of pictures")
    parser.add_argument("--weights", help="a shipped name, a weights file, a folder or a hub id")
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument("--boxes", type=Path, help="COCO detection results with file_name or image_id")
    boxes.add_argument("--box", type=parse_box, action="append", help="x,y,width,height in pixels; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for results and pictures")
    parser.add_argument("--flip-test", action="store_true", help="average with the mirrored crop")
    parser.add_argument("--top", type=int, default=5, help="classes to list")
    parser.add_argument("--cube", action="store_true", help="draw a cube instead of axes")


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command; returns the exit code."""
    from cmsa.inference.files import predict_files

    return predict_files(
        options.task,
        options.inputs,
        weights=options.weights,
        boxes=options.boxes,
        box=options.box,
        out=options.out,
        flip_test=options.flip_test,
        top=options.top,
        cube=options.cube,
    )
