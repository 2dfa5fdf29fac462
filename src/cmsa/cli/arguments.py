"""What arguments of commands mean.

The help of a command must not wait for PyTorch: tables of the library are looked into when an argument is read.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from cmsa.guidance.suggestion import no_such

Size = tuple[int, int]
LARGEST_SIDE = 4096
LARGEST_COUNT = 1_000_000_000
LARGEST_PORT = 65535
LONGEST_WAIT = 10_000
LARGEST_THREADS = 1024
"""Where it is asked for more threads than the system gives it, PyTorch ends the process."""
A_FILE = re.compile(
    r"\.(csv|gif|html|jpe?g|jsonl?|md|mp4|onnx|parquet|pdf|png|pt2?|pth|safetensors|txt|webp|xml|ya?ml|zip)",
    re.IGNORECASE,
)
"""How names end that nobody gives to a folder."""


def parse_size(text: str) -> Size:
    """``32x24`` as (height, width)."""
    try:
        height, width = (int(side) for side in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, e.g. 32x24") from None
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise argparse.ArgumentTypeError(f"{text!r}: height and width must be 1 to {LARGEST_SIDE}")
    return height, width


def parse_count(text: str) -> int:
    """A whole number from 1."""
    return _whole_number(text, 1)


def parse_seed(text: str) -> int:
    """A whole number from 0."""
    return _whole_number(text, 0)


def parse_threads(text: str) -> int:
    """A whole number of threads or processes."""
    return _whole_number(text, 1, LARGEST_THREADS)


def parse_workers(text: str) -> int:
    """A whole number of threads or processes, 0 for none besides the caller's."""
    return _whole_number(text, 0, LARGEST_THREADS)


def parse_port(text: str) -> int:
    """A port to listen on; 0 takes any that is free."""
    if not text.isdecimal() or int(text) > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port of 0 to {LARGEST_PORT}")
    return int(text)


def parse_positive(text: str) -> float:
    """A finite number above 0."""
    return _number(text, lambda number: 0 < number < math.inf, "a number above 0")


def parse_from_zero(text: str) -> float:
    """A finite number from 0."""
    return _number(text, lambda number: 0 <= number < math.inf, "a number from 0")


def parse_share(text: str) -> float:
    """A number of 0 to 1."""
    return _number(text, lambda number: 0 <= number <= 1, "a number of 0 to 1")


def parse_wait(text: str) -> float:
    """Milliseconds that a batch is waited for."""
    return _number(text, lambda number: 0 <= number <= LONGEST_WAIT, f"milliseconds of 0 to {LONGEST_WAIT:,}")


def parse_box(text: str) -> tuple[float, ...]:
    """``x,y,width,height`` as four numbers."""
    try:
        numbers = tuple(float(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"{text!r} is not x,y,width,height in pixels")
    return numbers


def parse_folder(text: str) -> Path:
    """A folder to write into: where a file was meant, it would be named like one, and the file lie in it."""
    folder = Path(text)
    if A_FILE.fullmatch(folder.suffix) and not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is called like a file, and a folder is to be named")
    return folder


def parse_json_file(text: str) -> Path:
    """A JSON file to write."""
    return _file(text, ".json")


def parse_page_file(text: str) -> Path:
    """An HTML file to write."""
    return _file(text, ".html")


def parse_weights_file(text: str) -> Path:
    """A weights file to write."""
    return _file(text, ".safetensors")


def parse_task(text: str) -> str:
    """A task's name, of ours or of an installed package."""
    from cmsa.tasks import TASKS, commands

    commands()  # loads those of installed packages
    return _one_of(text, "task", TASKS)


def parse_task_command(text: str) -> str:
    """What the command line calls a task."""
    from cmsa.tasks import commands

    return _one_of(text, "task", commands())


def parse_data_set(text: str) -> str:
    """A data set's name, of ours or of an installed package."""
    from cmsa.data.datasets import data_set_names

    return _one_of(text, "data set", data_set_names())


def _number(text: str, fits: Callable[[float], bool], what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan  # which is in no range
    if not fits(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return number


def _whole_number(text: str, least: int, most: int = LARGEST_COUNT) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} to {most:,}")
    return number


def _file(text: str, ending: str) -> Path:
    if not text.lower().endswith(ending):
        raise argparse.ArgumentTypeError(f"{text!r} must end in {ending}")
    return Path(text)


def _one_of(text: str, what: str, names: Iterable[str]) -> str:
    if text not in (names := list(names)):
        raise argparse.ArgumentTypeError(no_such(what, text, names))
    return text
