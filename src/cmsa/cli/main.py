"""The command line: one table of commands, each a thin call into the library."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

Size = tuple[int, int]
USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors the user can mend are told in one line, with exit code 2."""
    parser = build_parser()
    options, rest = parser.parse_known_args(arguments)
    run: Callable[[argparse.Namespace, list[str]], int] = options.run
    if rest and not options.takes_overrides:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return run(options, rest)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (OSError, ValueError, RuntimeError, FloatingPointError, ImportError) as error:
        if options.traceback:
            raise
        print(f"cmsa {options.command}: {error or type(error).__name__}", file=sys.stderr)
        return USAGE_ERROR


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="cmsa",
        description="Vision on low-resolution crops: human pose, head pose, classification.",
        allow_abbrev=False,
    )
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        _add_predict,
        _add_prepare,
        _add_train,
        _add_evaluate,
        _add_convert,
        _add_export,
        _add_benchmark,
        _add_models,
    ):
        add(commands)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    run: Callable[[argparse.Namespace, list[str]], int],
    takes_overrides: bool = False,
) -> argparse.ArgumentParser:
    # A recipe's entry must not be taken for the beginning of an option.
    parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(run=run, takes_overrides=takes_overrides)
    return parser


def parse_size(text: str) -> Size:
    """``32x24`` as (height, width)."""
    try:
        height, width = (int(side) for side in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, e.g. 32x24") from None
    return height, width


def parse_box(text: str) -> tuple[float, ...]:
    """``x,y,width,height`` as four numbers."""
    try:
        numbers = tuple(float(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not x,y,width,height in pixels")
    return numbers


def _add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "predict", "Pictures and boxes to keypoints, head pose or classes.", _predict)
    parser.add_argument("task", choices=["pose", "head-pose", "classify"])
    parser.add_argument("inputs", nargs="+", type=Path, help="pictures or folders of pictures")
    parser.add_argument("--weights", help="a shipped name, a weights file, a folder or a hub id")
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument("--boxes", type=Path, help="COCO detection results with file_name or image_id")
    boxes.add_argument("--box", type=parse_box, action="append", help="x,y,width,height in pixels; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for results and pictures")
    parser.add_argument("--flip-test", action="store_true", help="average with the mirrored crop")
    parser.add_argument("--top", type=int, default=5, help="classes to list")
    parser.add_argument("--cube", action="store_true", help="draw a cube instead of axes")


def _predict(options: argparse.Namespace, _: list[str]) -> int:
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


def _add_prepare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from cmsa.cli.prepare import add_options

    parser = _command(commands, "prepare", "Cut a data set into a packed store of low-resolution crops.", _prepare)
    add_options(parser, parse_size)


def _prepare(options: argparse.Namespace, _: list[str]) -> int:
    from cmsa.cli.prepare import run

    store = run(options)
    print(f"{store.folder}: {len(store):,} crops, boxes from {store.meta['box_source']}")
    return 0


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "Train a recipe; any of its entries can be overridden, e.g. --optimizer.epochs 10."
    parser = _command(commands, "train", text, _train, takes_overrides=True)
    parser.add_argument("recipe", help="a YAML file, or the name of a shipped recipe")
    parser.add_argument("--out", type=Path, help="folder of the run; by default runs/RECIPE")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--devices", default="1", help="number of GPUs, or auto")
    parser.add_argument("--accelerator", default="auto", choices=["auto", "cpu", "gpu"])
    parser.add_argument("--precision", default="32-true", help="e.g. bf16-mixed")
    parser.add_argument("--max-time", help="stop after DD:HH:MM:SS")
    parser.add_argument("--compile", action="store_true", help="run the network through torch.compile")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--limit-batches", type=int, help="train on so many batches an epoch only")
    parser.add_argument("--checkpoint-minutes", type=float, default=10, help="how often to write the last checkpoint")


def _train(options: argparse.Namespace, rest: list[str]) -> int:
    import torch

    from cmsa.cli.prepare import run_missing
    from cmsa.training.recipe import load_recipe
    from cmsa.training.train import train

    if options.threads:
        torch.set_num_threads(options.threads)
    if options.devices != "auto" and not options.devices.isdecimal():
        raise ValueError(f"--devices must be a number or auto, got {options.devices!r}")
    devices = options.devices if options.devices == "auto" else int(options.devices)
    recipe = load_recipe(options.recipe, rest)
    run_missing(recipe.data.prepare, recipe.data.train + recipe.data.validate, parse_size)
    train(
        recipe,
        options.out or Path("runs") / Path(options.recipe).stem,
        resume=options.resume,
        devices=devices,
        accelerator=options.accelerator,
        precision=options.precision,
        max_time=options.max_time,
        compile_network=options.compile,
        limit_batches=options.limit_batches,
        checkpoint_minutes=options.checkpoint_minutes,
    )
    return 0


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "Score weights on the recipe's validation stores: one table, and JSON."
    parser = _command(commands, "evaluate", text, _evaluate, takes_overrides=True)
    parser.add_argument("recipe", help="a YAML file, or the name of a shipped recipe")
    parser.add_argument("--weights", required=True, help="a shipped name, a weights file, a folder or a hub id")
    parser.add_argument("--json", type=Path, help="write the scores here")
    parser.add_argument("--flip-test", action="store_true", help="average with the mirrored crop")
    parser.add_argument("--device", default="cpu", help="where to run, e.g. cuda")
    parser.add_argument("--pictures", type=Path, help="folder for confusion matrices (classification)")
    parser.add_argument("--exported", type=Path, nargs="*", default=[], help="exported files to score beside them")


def _evaluate(options: argparse.Namespace, rest: list[str]) -> int:
    from cmsa.cli.prepare import run_missing
    from cmsa.evaluation.evaluate import evaluate_recipe
    from cmsa.training.recipe import load_recipe

    recipe = load_recipe(options.recipe, rest)
    run_missing(recipe.data.prepare, recipe.data.validate, parse_size)
    evaluate_recipe(
        recipe,
        options.weights,
        flip_test=options.flip_test,
        out=options.json,
        device=options.device,
        pictures=options.pictures,
        exported=options.exported,
    )
    return 0


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "convert", "A checkpoint of the authors' release to a weights file.", _convert)
    parser.add_argument("released", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=parse_size, help="HEIGHTxWIDTH to resize the bias tables to")


def _convert(options: argparse.Namespace, _: list[str]) -> int:
    from cmsa.models.released import convert_released

    convert_released(options.released, options.out, input_size=options.size)
    print(f"wrote {options.out}")
    return 0


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from cmsa.cli.export import add_options

    text = "Weights to files for other runtimes, each run and compared with PyTorch before it is kept."
    add_options(_command(commands, "export", text, _export), parse_size)


def _export(options: argparse.Namespace, _: list[str]) -> int:
    from cmsa.cli.export import run

    run(options)
    return 0


def _add_benchmark(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from cmsa.cli.benchmark import add_options

    text = (
        "Time and memory, measured side by side: inference beside HRNet, ViT and ResNet, training steps beside a "
        "straightforward implementation, the packed store beside decoding each sample."
    )
    add_options(_command(commands, "benchmark", text, _benchmark), parse_size)


def _benchmark(options: argparse.Namespace, _: list[str]) -> int:
    from cmsa.cli.benchmark import run

    run(options)
    return 0


def _add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _command(commands, "models", "The weights that came with the package.", _models)


def _models(_: argparse.Namespace, __: list[str]) -> int:
    from rich.console import Console
    from rich.table import Column, Table

    from cmsa.models.create import read_description, shipped_names, shipped_weights

    # A name is there to be copied: it must not be cut.
    table = Table(Column("weights", no_wrap=True), "task", "input (HxW)", "MB", "trained on")
    for name in shipped_names():
        path = shipped_weights(name)
        description = read_description(path)
        size = "x".join(map(str, description.input_size))
        data = str(description.training.get("data", ""))
        table.add_row(name, description.task, size, f"{path.stat().st_size / 1e6:.1f}", data)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
