"""``cmsa prepare``: one command for every layout; each takes the options that mean something for it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from cmsa.cli.arguments import Size, parse_size
from cmsa.data.store import CropStore

TEXT = "Cut a data set into a packed store of low-resolution crops."
DEFAULT_SIZES: dict[str, Size] = {"coco": (32, 24), "digits": (16, 16)}
FACE_SETS = ("300w-lp", "aflw2000", "biwi")
CLASS_SETS = ("cifar10", "cifar100", "parquet", "folder", "digits")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    sets = ("coco", *FACE_SETS, *CLASS_SETS)
    parser.add_argument("--dataset", choices=sets, default="coco", help="layout of the data; coco by default")
    parser.add_argument("--images", type=Path, help="folder of the pictures, or the unpacked archive")
    parser.add_argument("--out", type=Path, required=True, help="store to write, e.g. stores/val-32x24.crops")
    parser.add_argument("--for", dest="purpose", choices=["train", "evaluate"], required=True)
    parser.add_argument("--size", type=parse_size, help="HEIGHTxWIDTH of the network's input; 32x24 for coco, or 32x32")
    parser.add_argument("--density", type=float, default=1.5, help="stored pixels per input pixel, for training")
    parser.add_argument("--no-antialias", action="store_true", help="the reference codes' bilinear warp")
    parser.add_argument("--workers", type=int, default=0, help="threads that decode pictures")
    people = parser.add_argument_group("coco")
    people.add_argument("--annotations", type=Path, help="COCO keypoint annotations")
    people.add_argument("--detections", type=Path, help="COCO detection results to use instead of annotated boxes")
    people.add_argument("--convention", choices=["pixel", "udp", "hrnet"], default="pixel", help="of the crop")
    faces = parser.add_argument_group(", ".join(FACE_SETS))
    faces.add_argument("--margin", help="how far a crop reaches beyond the face's box, by name; FSA-Net's by default")
    faces.add_argument("--no-flips", action="store_true", help="leave out 300W-LP's mirrored pictures")
    faces.add_argument("--boxes", type=Path, help="CSV of BIWI's face boxes: frame,x,y,width,height")


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command; returns the exit code. Errors are those of ``make_store``."""
    store = make_store(options)
    print(f"{store.folder}: {len(store):,} crops, boxes from {store.meta['box_source']}")
    return 0


def make_store(options: argparse.Namespace) -> CropStore:
    """Make the store.

    Raises:
        ValueError: an option is missing that the layout needs.
    """
    if options.dataset == "coco":
        return _people(options)
    return _faces(options) if options.dataset in FACE_SETS else _classes(options)


def make_missing(lines: Sequence[str], wanted: Sequence[str]) -> list[CropStore]:
    """Make the stores that a recipe wants, says how to make, and that are not there.

    Args:
        lines: arguments of the command, one line for each store.
        wanted: folders of the stores.
    """
    parser = argparse.ArgumentParser(prog="cmsa prepare", allow_abbrev=False)
    add_options(parser)
    parsed = [parser.parse_args(shlex.split(line)) for line in lines]
    missing = {Path(folder) for folder in wanted if not Path(folder).exists()}
    return [make_store(options) for options in parsed if options.out in missing]


def _required(options: argparse.Namespace, name: str) -> Path:
    value = getattr(options, name)
    if value is None:
        raise ValueError(f"--{name} is required for --dataset {options.dataset}")
    return Path(value)


def _size(options: argparse.Namespace) -> Size:
    return options.size or DEFAULT_SIZES.get(options.dataset, (32, 32))


def _people(options: argparse.Namespace) -> CropStore:
    from cmsa.data.prepare import prepare_people

    return prepare_people(
        _required(options, "annotations"),
        _required(options, "images"),
        options.out,
        size=_size(options),
        training=options.purpose == "train",
        detections=options.detections,
        density=options.density,
        convention=options.convention,
        antialias=not options.no_antialias,
        workers=options.workers,
    )


def _faces(options: argparse.Namespace) -> CropStore:
    from cmsa.data.prepare import prepare_faces

    return prepare_faces(
        options.dataset,
        _required(options, "images"),
        options.out,
        size=_size(options),
        training=options.purpose == "train",
        margin=options.margin,
        flips=not options.no_flips,
        boxes=options.boxes,
        density=options.density,
        antialias=not options.no_antialias,
        workers=options.workers,
    )


def _classes(options: argparse.Namespace) -> CropStore:
    from cmsa.data.prepare_classes import prepare_classes

    return prepare_classes(
        options.dataset,
        None if options.dataset == "digits" else _required(options, "images"),
        options.out,
        size=_size(options),
        training=options.purpose == "train",
        antialias=not options.no_antialias,
        workers=options.workers,
    )
