"""``cmsa prepare``: one command for every data set; each takes the options that mean something for it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from cmsa.cli.arguments import parse_data_set, parse_folder, parse_positive, parse_size, parse_workers
from cmsa.guidance.counts import count_of

if TYPE_CHECKING:
    from cmsa.data.store import CropStore

TEXT = "Cut a data set into a packed store of low-resolution crops."
EXAMPLES = """
examples:
  cmsa prepare --for train --annotations people.json --images photos \\
      --out stores/train-32x24.crops
  cmsa prepare --dataset biwi --for evaluate --images faces_0 --size 32x32 \\
      --out stores/biwi-32x32.crops
  cmsa prepare --dataset digits --for train --out stores/digits-train.crops
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--out", type=parse_folder, required=True, help="store to write, e.g. stores/val-32x24.crops")
    parser.add_argument("--for", dest="purpose", choices=["train", "evaluate"], required=True)
    parser.add_argument("--size", type=parse_size, help="HEIGHTxWIDTH of the network's input; 32x24 for coco, or 32x32")
    parser.add_argument(
        "--density",
        type=parse_positive,
        help="stored pixels per input pixel, for training; 1.5 by default, 3 with --no-antialias",
    )
    parser.add_argument("--convention", choices=["pixel", "udp", "hrnet"], default="pixel", help="of the crop")
    parser.add_argument("--no-antialias", action="store_true", help="the reference codes' bilinear warp")
    parser.add_argument("--workers", type=parse_workers, default=0, help="threads that decode pictures")
    add_reader_options(parser)


def add_reader_options(parser: argparse.ArgumentParser, parts: Literal["+"] | None = None) -> None:
    """What the readers of data sets take, for every command that reads one.

    Args:
        parser: of the command.
        parts: "+" where several annotation files and folders of pictures may be named.
    """
    parser.add_argument(
        "--dataset",
        type=parse_data_set,
        default="coco",
        help="layout of the data: coco (the default), 300w-lp, aflw2000, biwi, cifar10, cifar100, parquet, folder, "
        "digits, or one that an installed package brings",
    )
    parser.add_argument("--images", type=Path, nargs=parts, help="folder of the pictures, or the unpacked archive")
    people = parser.add_argument_group("coco")
    people.add_argument(
        "--annotations", type=Path, nargs=parts, help="COCO keypoint annotations, of people or anything else"
    )
    people.add_argument("--detections", type=Path, help="COCO detection results to use instead of annotated boxes")
    people.add_argument("--category", help="name of the category, where several have keypoints")
    people.add_argument(
        "--keypoints",
        type=Path,
        help="JSON of what the annotation file does not tell: flip_pairs, sigmas, skeleton, upper_body, torso",
    )
    faces = parser.add_argument_group("300w-lp, aflw2000, biwi")
    faces.add_argument("--margin", help="how far a crop reaches beyond the face's box, by name; FSA-Net's by default")
    faces.add_argument(
        "--no-flips", dest="flips", action="store_false", default=None, help="leave out 300W-LP's mirrored pictures"
    )
    faces.add_argument("--boxes", type=Path, help="CSV of BIWI's face boxes: frame,x,y,width,height")


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command; returns the exit code. Errors are those of ``make_store``."""
    store = make_store(options)
    print(f"{store.folder}: {count_of(len(store), 'crop')}, boxes from {store.meta['box_source']}")
    return 0


def make_store(options: argparse.Namespace) -> CropStore:
    """Make the store; errors are those of ``prepare``."""
    from cmsa.data.prepare import OPTIONS, prepare

    return prepare(
        options.dataset,
        options.out,
        training=options.purpose == "train",
        size=options.size,
        density=options.density,
        convention=options.convention,
        antialias=not options.no_antialias,
        workers=options.workers,
        **{name: getattr(options, name) for name in OPTIONS},
    )


class _LineParser(argparse.ArgumentParser):
    """Of a line in a file, whose errors are told with the line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def parse_line(line: str) -> argparse.Namespace:
    """The options that a line of a recipe's ``data.prepare`` gives.

    Raises:
        ValueError: it is no line of the command's; it is named.
    """
    parser = _LineParser(allow_abbrev=False, add_help=False)
    add_options(parser)
    try:
        return parser.parse_args(shlex.split(line))
    except ValueError as error:
        raise ValueError(f"data.prepare: {line}: {error}") from error


def make_missing(lines: Sequence[str], wanted: Sequence[str]) -> list[CropStore]:
    """Make the stores that a recipe wants, says how to make, and that are not there.

    Args:
        lines: arguments of the command, one line for each store.
        wanted: folders of the stores.

    Raises:
        StoreError: a store is not there, and no line makes it.
        ValueError: as ``parse_line``; other errors are those of ``make_store``.
    """
    from cmsa.data.store import CropStore

    parsed = [parse_line(line) for line in lines]
    missing = {Path(folder) for folder in wanted if not Path(folder).exists()}
    if unmade := sorted(missing - {options.out for options in parsed}):
        CropStore.open(unmade[0])  # which says why it cannot
    return [make_store(options) for options in parsed if options.out in missing]
