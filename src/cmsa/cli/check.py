"""``cmsa check``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cmsa.cli.arguments import parse_size, parse_workers
from cmsa.cli.prepare import add_reader_options
from cmsa.guidance.bars import progress_bar

TEXT = "Look over a data set before it is prepared: pictures, labels, and what training and validation share."
EXAMPLES = """
examples:
  cmsa check --annotations own-train.json own-val.json --images own
  cmsa check --dataset folder --images things
  cmsa check --dataset cifar10 --images data/cifar10
"""
TO_MEND = 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_reader_options(parser, parts="+")
    parser.add_argument("--for", dest="purpose", choices=["train", "evaluate"], help="look at this part only")
    parser.add_argument("--size", type=parse_size, help="HEIGHTxWIDTH of the network's input; 32x24 for coco, or 32x32")
    parser.add_argument("--workers", type=parse_workers, default=0, help="threads that decode pictures")


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command; the exit code is 1 where something must be mended.

    Raises:
        ValueError: folders and annotation files do not fit together, or what ``check`` refuses.
    """
    from rich.console import Console

    from cmsa.data.check import check

    console = Console(stderr=True)

    def watch(looked: Iterable[Any], part: str, total: int) -> Iterable[Any]:
        with progress_bar(console) as progress:
            yield from progress.track(looked, total, description=part)

    report = check(options.dataset, _parts(options), size=options.size, workers=options.workers, watch=watch)
    Console().print(report)
    return TO_MEND if len(report) else 0


def _parts(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The options of each part's reader: an annotation file each, or what the data set's layout calls parts."""
    from cmsa.data.prepare import OPTIONS
    from cmsa.data.store import names_of

    common = {name: getattr(options, name) for name in OPTIONS if name not in ("annotations", "images")}
    folders: list[Path] = options.images or []
    if options.annotations is None:
        if len(folders) > 1:
            raise ValueError(f"{len(folders)} folders were given: name the annotation file of each with --annotations")
        common["images"] = folders[0] if folders else None
        purposes = [options.purpose] if options.purpose else ["train", "evaluate"]
        return {purpose: common | {"training": purpose == "train"} for purpose in purposes}
    files: list[Path] = options.annotations
    if len(folders) not in (1, len(files)):
        raise ValueError(f"{len(files)} annotation files need one folder of pictures or one each, got {len(folders)}")
    if len(set(files)) < len(files):
        raise ValueError("an annotation file was named twice")
    folders = folders * len(files) if len(folders) == 1 else folders
    names = names_of([file.with_suffix("") for file in files])
    return {
        name: common | {"annotations": file, "images": folder, "training": place == 0}
        for place, (name, file, folder) in enumerate(zip(names, files, folders, strict=True))
    }
