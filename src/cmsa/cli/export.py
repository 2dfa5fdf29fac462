"""``cmsa export``: its options, and what it does: load, export, tell how far the files are from PyTorch."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

from cmsa.cli.arguments import parse_folder, parse_positive, parse_size

TEXT = "Weights to files for other runtimes, each run and compared with PyTorch before it is kept."
EXAMPLES = """
examples:
  cmsa export cmsa_n_pose_32x24 --normalise --decode --out exported
  cmsa export cmsa_s_pose_32x24 --format onnx openvino --int8 \\
      --calibration stores/train-32x24.crops
"""
LARGEST_BATCH = 1024
FORMATS = ("onnx", "openvino", "torch")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("weights", help="a shipped name, a weights file, a folder or a hub id")
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=["onnx"])
    parser.add_argument("--out", type=parse_folder, default=Path(), help="folder for the files, called after the model")
    parser.add_argument("--size", type=parse_size, help="HEIGHTxWIDTH, other than that of the weights")
    parser.add_argument("--batch", default="dynamic", help="images that the graph takes: dynamic, or a number")
    parser.add_argument("--normalise", action="store_true", help="take RGB uint8 NHWC and normalise in the graph")
    parser.add_argument("--decode", action="store_true", help="put out keypoints, angles or probabilities")
    parser.add_argument("--int8", action="store_true", help="compute in int8; needs --calibration")
    parser.add_argument("--calibration", type=Path, help="packed store of training crops; files are compared on some")
    parser.add_argument("--keep", nargs="*", default=[], help="with --int8: patterns of nodes that stay in float32")
    parser.add_argument(
        "--tolerance", type=parse_positive, default=1.0, help="factor on how far a file may be from PyTorch"
    )


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Export weights, and print the differences.

    Raises:
        ValueError: the batch is no number, or int8 lacks calibration crops.
        ExportError: a file computes something else than the model.
    """
    from cmsa.data.store import CropStore
    from cmsa.export.formats import SUFFIXES
    from cmsa.export.quantize import calibration_pixels, comparison_pixels
    from cmsa.export.run import ExportOptions, export_formats
    from cmsa.files.whole import refuse_unwritable
    from cmsa.models.create import load_weights
    from cmsa.models.pretrained import find_weights, weights_name

    if options.int8 and options.calibration is None:
        raise ValueError("--int8 needs --calibration: a packed store of training crops (cmsa prepare)")
    for pattern in options.keep:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"--keep {pattern!r} is no pattern ({error})") from error
    model = load_weights(find_weights(options.weights), options.size)
    wanted = ExportOptions(
        batch=_batch(options.batch),
        normalise=options.normalise,
        decode=options.decode,
        keep=tuple(options.keep),
        tolerance=options.tolerance,
    )
    if options.calibration is not None:
        store = CropStore.open(options.calibration)
        wanted = replace(wanted, pixels=comparison_pixels(store, model.input_size))
        if options.int8:
            wanted = replace(wanted, calibration=calibration_pixels(store, model.input_size))
    # Files that take or put out something else have other names: none replaces another by accident.
    kinds = {"int8": options.int8, "normalised": options.normalise, "decoded": options.decode}
    name = weights_name(model.description.name, model.description.task, model.input_size)
    stem = "_".join([name, *(kind for kind, asked in kinds.items() if asked)])
    paths = {format: options.out / f"{stem}{SUFFIXES[format]}" for format in options.format}
    for path in paths.values():
        refuse_unwritable(path)
    there = {path for path in paths.values() if path.exists()}
    for exported in export_formats(model, paths, wanted):
        replaced = "; it replaces the file that was there" if exported.path in there else ""
        print(f"{exported.path}: differs from PyTorch by {exported.difference}{replaced}")
    return 0


def _batch(text: str) -> int | None:
    if text == "dynamic":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST_BATCH:
        raise ValueError(f"--batch must be dynamic or a number of 1 to {LARGEST_BATCH}, got {text!r}")
    return int(text)
