"""``cmsa label``."""

from __future__ import annotations

import argparse
from pathlib import Path

TEXT = (
    "Photos to COCO keypoint annotations, labelled by one pose network, or by two where they agree: training data for "
    "a small model of your own."
)
SHOWN = 10


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("photos", nargs="+", type=Path, help="photos or folders of photos")
    parser.add_argument("--boxes", type=Path, required=True, help="COCO detection results: where the people are")
    parser.add_argument(
        "--teacher",
        nargs="+",
        required=True,
        help="one or two pose networks, the better one first: ONNX or OpenVINO files, or weights by name",
    )
    parser.add_argument("--out", type=Path, required=True, help="annotations to write, e.g. labels.json")
    parser.add_argument("--thresholds", nargs="+", type=float, default=[0.35, 0.25], help="least score, each teacher's")
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


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command; the exit code is 1 where a photo could not be read or nobody was labelled."""
    from rich.console import Console
    from rich.progress import track

    from cmsa.data.boxes import DetectionFile
    from cmsa.inference.files.inputs import find_pictures
    from cmsa.inference.label import LabelRule, label_photos, write_labels
    from cmsa.tasks.pose.foreign import ForeignOptions
    from cmsa.tasks.pose.trained import open_pose

    rule = LabelRule(tuple(options.thresholds), options.agreement, options.least, not options.no_flip_test)
    teachers = [open_pose(name, ForeignOptions(anchor=options.anchor)) for name in options.teacher]
    boxes = DetectionFile.read(options.boxes, 1)
    found = find_pictures(options.photos, options.out.parent / "annotated")
    photos = [picture.path for picture in found.pictures]
    folders = [given for given in options.photos if given.is_dir()]
    # Several pictures may have one name in different folders.
    root = folders[0] if len(options.photos) == 1 and folders else None
    console = Console(stderr=True)
    labels = label_photos(track(photos, "labelling", console=console, transient=True), boxes, teachers, rule, root=root)
    write_labels(labels, options.out)
    left_out = found.missing + labels.left_out
    for what, why in left_out[:SHOWN]:
        console.print(f"{what}: {why}", highlight=False, markup=False, soft_wrap=True)
    if len(left_out) > SHOWN:
        console.print(f"and {len(left_out) - SHOWN} more")
    people = labels.content["annotations"]
    keypoints = sum(person["num_keypoints"] for person in people)
    print(
        f"{options.out}: {len(people):,} people in {len(labels.content['images']):,} photos, "
        f"{keypoints / max(1, len(people)):.1f} keypoints each"
    )
    return 0 if people and not found.missing else 1
