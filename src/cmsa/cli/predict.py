"""``cmsa predict``."""

from __future__ import annotations

import argparse
import io
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cmsa.cli.arguments import (
    parse_box,
    parse_count,
    parse_folder,
    parse_from_zero,
    parse_positive,
    parse_share,
    parse_task_command,
    parse_threads,
)
from cmsa.guidance.suggestion import as_option

if TYPE_CHECKING:
    from cmsa.inference.detectors import Selection
    from cmsa.inference.streams import Reading

TEXT = "Pictures, videos and cameras to keypoints, head pose or classes."
EXAMPLES = """
examples:
  cmsa predict pose photos --detector nanodet.onnx --save-pictures
  cmsa predict pose door.mp4 --detector motion --track --smooth --save-video
  cmsa predict pose rtsp://10.0.0.7/live --detector motion --fps 5 --out door
  find photos -name '*.jpg' | cmsa predict classify - --quiet

detectors: none, motion, torchvision:NAME (downloads its weights),
face:FILE.onnx (OpenCV's YuNet), head:DETECTOR (the head part of the keypoints
of whom it finds), FILE.onnx (torchvision, YOLO, NanoDet), FILE.json (COCO);
options as in yolo.onnx?layout=yolov8&classes=0&score=0.4

exit codes: 0 all done; 1 something was left out, and is named; 2 nothing was
done, an argument is wrong, or the disk is full; 130 stopped by Ctrl-C or
SIGTERM. What was done is kept, and --resume goes on
"""
# Of each group of options, an example.
WHERE = """
cmsa predict pose photos --boxes boxes.json --threshold 0.5 --min-size 16 \\
    --max-people 10 --expand 1.1
cmsa predict head-pose photos --detector head:nanodet.onnx
"""
WHAT = """
cmsa predict pose door.mp4 --start 60 --end 90 --every 5
cmsa predict pose rtsp://10.0.0.7/live --detector motion --fps 10 \\
    --drop --give-up 600
"""
MADE = """
cmsa predict pose door.mp4 --detector motion --smooth --save-video \\
    --out runs/door --resume
cmsa predict classify photos --top 3 --flip-test --save-pictures png
"""
HOW = """
cmsa predict pose photos --runtime openvino --precision bf16 \\
    --threads 1 --batch-size 64
cmsa predict pose photos --weights cmsa_n_pose_64x48 --device cuda --quiet
cmsa predict pose photos --engine ray --workers 8 --out runs/photos --resume
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "task",
        type=parse_task_command,
        help="pose, head-pose, classify, or one that an installed package brings",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        help="pictures, videos, folders, globs, .txt lists, - for paths on standard input, the number of a camera, "
        "rtsp:// or http:// addresses",
    )
    parser.add_argument("--weights", help="a shipped name, a weights file, a folder or a hub id")
    where = parser.add_argument_group("where to look", WHERE)
    boxes = where.add_mutually_exclusive_group()
    boxes.add_argument("--boxes", type=Path, help="COCO detection results with file_name or image_id")
    boxes.add_argument(
        "--box",
        type=parse_box,
        action="append",
        help="x,y,width,height in pixels; may be repeated; --box=-5,0,20,40 where x is negative",
    )
    boxes.add_argument("--detector", help="what finds the boxes, see below; without one each whole picture is one box")
    where.add_argument("--threshold", type=parse_share, default=0.0, help="least score of a box, e.g. 0.5")
    where.add_argument(
        "--min-size", type=parse_from_zero, default=0.0, help="least longer side of a box in pixels, e.g. 16"
    )
    where.add_argument("--max-people", type=int, help="boxes in a picture, the best first, e.g. 10")
    where.add_argument("--expand", type=parse_positive, default=1.0, help="factor by which boxes grow, e.g. 1.1")
    what = parser.add_argument_group("what to read", WHAT)
    what.add_argument(
        "--recursive", action=argparse.BooleanOptionalAction, default=True, help="look into sub-folders (the default)"
    )
    what.add_argument("--every", type=int, default=1, help="of videos and cameras every n-th frame, e.g. 5")
    what.add_argument("--fps", type=float, help="at most so many frames a second, e.g. 10")
    what.add_argument("--start", type=float, default=0.0, help="seconds of a video to leave out, e.g. 60")
    what.add_argument("--end", type=float, help="second of a video at which to stop, e.g. 90")
    what.add_argument("--drop", action="store_true", help="of cameras take the newest frame, drop what is missed")
    what.add_argument(
        "--give-up",
        type=parse_positive,
        help="seconds without an answer or a frame after which a camera is given up, e.g. 600; by default never",
    )
    made = parser.add_argument_group("what to make of it", MADE)
    made.add_argument("--out", type=parse_folder, default=Path("out"), help="folder for results and pictures")
    made.add_argument(
        "--resume",
        action="store_true",
        help="go on after the last line of results.jsonl in --out, by the same weights and options; a video with "
        "skeletons goes on in another file",
    )
    made.add_argument(
        "--save-pictures",
        nargs="?",
        const="jpg",
        choices=["jpg", "png"],
        help="draw annotated pictures, beside them the crops that the network saw; jpg if no format is given",
    )
    made.add_argument("--save-video", action="store_true", help="write an annotated MP4 of each video and camera")
    made.add_argument("--track", action="store_true", help="give people in videos ids")
    made.add_argument("--smooth", action="store_true", help="smooth keypoints over time (One-Euro); tracks, too")
    made.add_argument("--flip-test", action="store_true", help="average with the mirrored crop")
    made.add_argument("--top", type=int, help="classes to list; 5")
    made.add_argument("--cube", action="store_true", help="draw a cube instead of axes")
    how = parser.add_argument_group("how to run it", HOW)
    how.add_argument(
        "--runtime",
        choices=["torch", "onnxruntime", "openvino"],
        help="by default the fastest that is installed; for a few pictures the fastest that needs no export first",
    )
    how.add_argument(
        "--precision",
        choices=["float32", "bf16"],
        default="float32",
        help="of products; bf16 with PyTorch, and with OpenVINO where the machine has it; for int8 see --exported",
    )
    how.add_argument(
        "--exported", type=Path, help="a file of cmsa export of these weights to run instead of them, e.g. in int8"
    )
    how.add_argument("--device", default="cpu", help="where PyTorch runs, e.g. cuda")
    how.add_argument("--threads", type=parse_threads, help="CPU threads of the network, e.g. 1")
    how.add_argument("--batch-size", type=parse_count, default=32, help="crops at a time, across pictures")
    how.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="ray: very many pictures by workers on this machine, or on the cluster of RAY_ADDRESS",
    )
    how.add_argument("--workers", type=parse_threads, help="of Ray, each with --threads CPUs (1) or one GPU; e.g. 8")
    how.add_argument("--shard-size", type=parse_count, help="pictures that a worker of Ray takes at a time; 1024")
    how.add_argument("--quiet", action="store_true", help="say nothing but errors")


def written(options: argparse.Namespace) -> list[Path]:
    """The files of results that it writes; pictures and videos never replace an input."""
    from cmsa.tasks import commands

    name = commands()[options.task].result_name
    return [options.out / f"{name}{suffix}" for suffix in (".json", ".csv")]


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command; returns the exit code."""
    # Pillow's, of photos of more than 90 megapixels.
    warnings.filterwarnings("ignore", "Image size .* exceeds limit")
    for output in (sys.stdout, sys.stderr):
        # A terminal that lacks a degree sign is no reason to fail when all is done.
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")
    with _stopped_like_interrupted():
        return _on_ray(options) if options.engine == "ray" else _here(options)


def _here(options: argparse.Namespace) -> int:
    from cmsa.inference.files import predict_files

    for name in ("workers", "shard_size"):
        if getattr(options, name) is not None:
            raise ValueError(f"{as_option(name)} is for --engine ray")
    return predict_files(
        options.task,
        options.inputs,
        weights=options.weights,
        boxes=options.boxes,
        box=options.box,
        detector=options.detector,
        selection=_selection(options),
        reading=_reading(options),
        recursive=options.recursive,
        out=options.out,
        save_pictures=options.save_pictures,
        save_video=options.save_video,
        resume=options.resume,
        track=options.track,
        smooth=options.smooth,
        flip_test=options.flip_test,
        top=options.top,
        cube=options.cube,
        runtime=options.runtime,
        device=options.device,
        threads=options.threads,
        precision=options.precision,
        exported=options.exported,
        batch_size=options.batch_size,
        quiet=options.quiet,
    )


def _on_ray(options: argparse.Namespace) -> int:
    from cmsa.inference.bulk import SHARD_SIZE, Plan, predict_on_ray

    drawn = {name: bool(getattr(options, name)) for name in ("save_pictures", "save_video", "track", "smooth", "cube")}
    idle = [name for name, asked in (drawn | _reading(options).asked()).items() if asked]
    if idle:
        raise ValueError(f"{as_option(idle[0])}: --engine ray predicts pictures, and draws none")
    plan = Plan(
        options.task,
        weights=options.weights,
        boxes=None if options.boxes is None else str(options.boxes),
        box=None if options.box is None else tuple(options.box),
        detector=options.detector,
        selection=_selection(options),
        flip_test=options.flip_test,
        top=options.top,
        batch_size=options.batch_size,
        runtime=options.runtime,
        device=options.device,
        threads=options.threads or 1,
        precision=options.precision,
        exported=None if options.exported is None else str(options.exported),
    )
    return predict_on_ray(
        plan,
        options.inputs,
        out=options.out,
        recursive=options.recursive,
        resume=options.resume,
        workers=options.workers,
        shard_size=options.shard_size or SHARD_SIZE,
        quiet=options.quiet,
    )


def _selection(options: argparse.Namespace) -> Selection:
    from cmsa.inference.detectors import Selection

    return Selection(options.threshold, options.min_size, options.max_people, options.expand)


def _reading(options: argparse.Namespace) -> Reading:
    from cmsa.inference.streams import Reading, Retry

    retry = Retry(give_up=options.give_up)
    return Reading(options.every, options.fps, options.start, options.end, options.drop, retry)


@contextmanager
def _stopped_like_interrupted() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does: files are closed, and results written."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
