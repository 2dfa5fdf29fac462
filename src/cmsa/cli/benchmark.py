"""``cmsa benchmark``: what is measured, the options of each, and what they run.

An option that is not given is left to the default of the function that measures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cmsa.cli.arguments import parse_count, parse_folder, parse_size, parse_task, parse_threads

TEXT = (
    "Time, memory and accuracy, measured side by side: networks, training steps, data, the whole job from files to "
    "results, or a server under load."
)
EXAMPLES = """
examples:
  cmsa benchmark --variants cmsa_n cmsa_s --batch 1 --threads 1
  cmsa benchmark --variants cmsa_n --runtimes openvino --peer mine.onnx
  cmsa benchmark --recipes contest_pose_32x24 --variants --no-peers \\
      --runtimes openvino --precisions float32
  cmsa benchmark training --task head_pose --rounds 3
  cmsa benchmark data --images coco/val2017 \\
      --annotations coco/annotations/person_keypoints_val2017.json
  cmsa benchmark accuracy --annotations people.json --images photos \\
      --peer tinypose.onnx --flip-test
"""
VARIANTS = ("cmsa_n", "cmsa_s", "cmsa_b", "cmsa_l")
RUNTIMES = ("torch", "onnxruntime", "openvino")
PRECISIONS = ("float32", "bf16", "int8", "int8+bf16")
EVERY = {"batch", "threads", "rounds", "out"}
OPTIONS = {
    "inference": EVERY | {"variants", "sizes", "precisions", "runtimes", "with_peers", "peers", "recipes"},
    "training": EVERY | {"variants", "sizes", "precisions", "task", "compile_network"},
    "data": EVERY | {"annotations", "images", "size"},
    "profile": EVERY | {"variants", "sizes", "precisions"},
    "pipeline": EVERY | {"images", "boxes", "weights", "runtimes", "pictures"},
    "accuracy": {"annotations", "images", "sizes", "weights", "peers", "flip_test", "anchor", "threads", "out"},
    "serve": {"weights", "concurrencies", "requests", "threads", "out"},
}
"""What each benchmark can be told."""
FLAGS = {
    "with_peers": "--no-peers",
    "compile_network": "--compile",
    "peers": "--peer",
    "flip_test": "--flip-test",
    "concurrencies": "--concurrency",
}
"""How an option is spelled whose name is another."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.argument_default = argparse.SUPPRESS
    parser.add_argument(
        "kind",
        nargs="?",
        choices=list(OPTIONS),
        default="inference",
        help="what is timed, named before all options: inference (the default), training steps, the reading of data, "
        "inference by kind of layer, or the pipeline from files to results; or accuracy at low resolution beside other "
        "networks; or cmsa serve",
    )
    parser.add_argument("--batch", type=parse_count, help="images of a batch; 32, of data 64")
    parser.add_argument("--threads", type=parse_threads, help="of the CPU; 2")
    parser.add_argument("--rounds", type=parse_count, help="of which medians are taken; 7 of inference, or 5")
    pipeline = parser.add_argument_group("pipeline")
    pipeline.add_argument("--pictures", type=parse_count, help="how many to make where there is no --images; 256")
    pipeline.add_argument("--boxes", type=Path, help="COCO detection file for the pictures in --images")
    parser.add_argument("--out", type=parse_folder, default=Path("benchmark"), help="folder for JSON and plot")
    networks = parser.add_argument_group("inference, training and profile")
    networks.add_argument(
        "--variants", nargs="*", choices=VARIANTS, help="all; of training cmsa_n and cmsa_s, of a profile cmsa_s"
    )
    networks.add_argument(
        "--sizes",
        nargs="+",
        type=parse_size,
        help="HEIGHTxWIDTH; 32x24, or the task's; of accuracy four from 16x12 to 128x96",
    )
    networks.add_argument("--precisions", nargs="+", choices=PRECISIONS, help="all; int8 is not of training")
    inference = parser.add_argument_group("inference and pipeline")
    inference.add_argument("--runtimes", nargs="+", choices=RUNTIMES, help="all; of the pipeline the fastest")
    inference.add_argument(
        "--no-peers", dest="with_peers", action="store_false", help="CMSA, and files of --peer, only"
    )
    inference.add_argument("--recipes", nargs="+", help="whose networks are measured too; a table stands for its rows")
    peers = parser.add_argument_group("inference and accuracy")
    peers.add_argument("--peer", dest="peers", nargs="*", type=Path, help="ONNX or OpenVINO files of other networks")
    training = parser.add_argument_group("training")
    training.add_argument(
        "--task",
        type=parse_task,
        help="whose head, augmentation and loss; pose (the default), head_pose, classification",
    )
    training.add_argument("--compile", dest="compile_network", action="store_true", help="torch.compile too")
    data = parser.add_argument_group("data, pipeline and accuracy")
    data.add_argument("--annotations", type=Path, help="COCO keypoint annotations")
    data.add_argument("--images", type=Path, help="folder of the pictures")
    data.add_argument("--size", type=parse_size, help="HEIGHTxWIDTH of the crops; 32x24")
    accuracy = parser.add_argument_group("accuracy")
    accuracy.add_argument(
        "--weights",
        nargs="*",
        help="ours, by name or file; the shipped ones of human pose, of the pipeline the default one",
    )
    accuracy.add_argument("--flip-test", action="store_true", help="average with the mirrored crop, for all networks")
    accuracy.add_argument(
        "--anchor", choices=["corner", "center"], help="where a peer's heatmap pixel lies in its input; corner"
    )
    server = parser.add_argument_group("serve (with --weights, one)")
    server.add_argument(
        "--concurrency", dest="concurrencies", nargs="+", type=parse_count, help="clients at a time; 1 4 16 64"
    )
    server.add_argument("--requests", type=parse_count, help="of the long run; 20000")


def written(options: argparse.Namespace) -> list[Path]:
    """The files that it writes."""
    name = "benchmark" if options.kind == "inference" else options.kind
    return [options.out / f"{name}{suffix}" for suffix in (".json", ".png")]


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Measure, show the table, write JSON and, of inference, a plot.

    Raises:
        ValueError: an option means nothing to the benchmark, or is missing.
    """
    kind, known = options.kind, set.union(*OPTIONS.values())
    given = {name: value for name, value in vars(options).items() if name in known}
    for name in sorted(given.keys() - OPTIONS[kind]):
        raise ValueError(f"{FLAGS.get(name, f'--{name}')} is no option of the {kind} benchmark")
    if kind == "inference":
        from cmsa.benchmark import benchmark

        benchmark(**given)
    elif kind == "training":
        from cmsa.benchmark.training import benchmark_training

        benchmark_training(**given)
    elif kind == "profile":
        from cmsa.benchmark.profile import benchmark_profile

        benchmark_profile(**given)
    elif kind == "serve":
        from cmsa.benchmark.serve import benchmark_serve

        benchmark_serve(**given)
    elif kind == "pipeline":
        from cmsa.benchmark.pipeline import benchmark_pipeline

        benchmark_pipeline(**given)
    else:
        for name in ("annotations", "images"):
            if name not in given:
                raise ValueError(f"--{name} is required for the {kind} benchmark")
        annotations, images = given.pop("annotations"), given.pop("images")
        if kind == "accuracy":
            from cmsa.benchmark.accuracy import benchmark_accuracy

            benchmark_accuracy(annotations, images, **given)
        else:
            from cmsa.benchmark.data import benchmark_data

            benchmark_data(annotations, images, **given)
    return 0
