"""``cmsa label``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cmsa.cli.arguments import parse_json_file
from cmsa.guidance.bars import progress_bar
from cmsa.guidance.counts import count_of

if TYPE_CHECKING:
    from rich.console import Console

    from cmsa.inference.label import LabelRule, Teacher

TEXT = (
    "Photos to COCO keypoint annotations, labelled by one pose network, or by two where they agree: training data for "
    "a small model of your own."
)
EXAMPLES = """
examples:
  cmsa label photos --boxes boxes.json --out labels.json \\
      --teacher rtmpose.onnx cmsa_s_pose_64x48.safetensors
  cmsa label coco/train2017 --fill annotations.json \\
      --teacher cmsa_s_pose_32x24 --out filled.json
"""
SHOWN = 10


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("photos", nargs="+", type=Path, help="photos or folders of photos; one folder for --fill")
    people = parser.add_mutually_exclusive_group(required=True)
    people.add_argument("--boxes", type=Path, help="COCO detection results: where the people are")
    people.add_argument("--fill", type=Path, help="COCO keypoint annotations whose unlabelled keypoints get a place")
    parser.add_argument(
        "--teacher",
        nargs="+",
        required=True,
        help="one or two pose networks, the better one first: ONNX or OpenVINO files, or weights by name",
    )
    parser.add_argument("--out", type=parse_json_file, required=True, help="annotations to write, e.g. labels.json")
    parser.add_argument("--thresholds", nargs="+", type=float, help="least score, each teacher's")
    parser.add_argument(
        "--agreement", type=float, default=0.08, help="largest distance of two teachers, in square roots of the box"
    )
    parser.add_argument("--least", type=int, default=8, help="keypoints that a person must have to be kept")
    parser.add_argument("--no-flip-test", action="store_true", help="do not average with the mirrored crop")
    parser.add_argument(
        "--anchor",
        choices=["corner", "center"],
        default="corner",
        help="where heatmap pixels lie in a file's input",
    )


def written(options: argparse.Namespace) -> list[Path]:
    """The files that it writes."""
    return [options.out]


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command; the exit code is 1 where something was left out or nobody was labelled."""
    from rich.console import Console

    from cmsa.data.boxes import DetectionFile
    from cmsa.files.whole import refuse_unwritable
    from cmsa.inference.label import LabelRule, label_photos, write_labels
    from cmsa.inference.streams import Notice, SourceFinder
    from cmsa.structures import COCO
    from cmsa.tasks.pose.foreign import ForeignOptions
    from cmsa.tasks.pose.trained import open_pose

    thresholds = options.thresholds or LabelRule.thresholds
    if options.thresholds and len(thresholds) > len(options.teacher):
        raise ValueError(f"--thresholds: {len(thresholds)} are given, and --teacher names {len(options.teacher)}")
    refuse_unwritable(options.out)
    rule = LabelRule(tuple(thresholds), options.agreement, options.least, not options.no_flip_test)
    anchor = ForeignOptions(anchor=options.anchor)
    teachers = [open_pose(name, anchor, keypoints=len(COCO)) for name in options.teacher]
    console = Console(stderr=True)
    if options.fill:
        return _fill(options, teachers, rule, console)
    boxes = DetectionFile.read(options.boxes, 1)
    found = list(SourceFinder(exclude=(options.out.parent / "annotated",)).find(options.photos))
    photos = [Path(source.target) for source in found if not isinstance(source, Notice) and source.kind == "picture"]
    missing = [(notice.source, notice.text) for notice in found if isinstance(notice, Notice)]
    if not photos:
        raise ValueError("; ".join(f"{name}: {text}" for name, text in missing) or "no photo was given")
    folders = [given for given in options.photos if given.is_dir()]
    # Several pictures may have one name in different folders.
    root = folders[0] if len(options.photos) == 1 and folders else None
    with progress_bar(console) as progress:
        watched = progress.track(photos, description="labelling")
        labels = label_photos(watched, boxes, teachers, rule, root=root)
    _name(missing + labels.left_out, console)
    people = labels.content["annotations"]
    if not people:  # what an earlier run found stays
        print(f"0 people in {count_of(len(photos), 'photo')}; {options.out} is not written")
        return 1
    write_labels(labels, options.out)
    keypoints = sum(person["num_keypoints"] for person in people)
    print(
        f"{options.out}: {count_of(len(people), 'person', 'people')} in "
        f"{count_of(len(labels.content['images']), 'photo')}, {keypoints / len(people):.1f} keypoints each"
    )
    return 1 if missing else 0


def _fill(options: argparse.Namespace, teachers: Sequence[Teacher], rule: LabelRule, console: Console) -> int:
    from cmsa.files.read_json import read_json
    from cmsa.inference.label import fill_labels, write_labels

    if len(options.photos) != 1 or not options.photos[0].is_dir():
        raise ValueError("--fill takes one folder: that of the annotated pictures")
    annotations = read_json(options.fill)
    if not isinstance(annotations, dict):
        raise ValueError(f"{options.fill}: must hold an object with 'images' and 'annotations'")
    pictures = annotations.get("images")
    with progress_bar(console) as progress:
        bar = progress.add_task("labelling", total=len(pictures) if isinstance(pictures, list) else None)
        labels = fill_labels(annotations, options.photos[0], teachers, rule, advance=partial(progress.advance, bar))
    write_labels(labels, options.out)
    _name(labels.left_out, console)
    filled = [len(person.get("filled", ())) for person in labels.content["annotations"]]
    people = count_of(sum(map(bool, filled)), "person", "people")
    print(f"{options.out}: {count_of(sum(filled), 'keypoint')} of {people} filled in")
    return 1 if labels.left_out else 0


def _name(left_out: Sequence[tuple[str, str]], console: Console) -> None:
    for what, why in left_out[:SHOWN]:
        console.print(f"{what}: {why}", highlight=False, markup=False, soft_wrap=True)
    if len(left_out) > SHOWN:
        console.print(f"and {len(left_out) - SHOWN} more")
