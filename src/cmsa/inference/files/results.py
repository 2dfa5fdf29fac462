"""``results.jsonl`` -> the files that other programs read: COCO results, JSON and CSV. One line in memory at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TextIO

from cmsa.files.whole import whole_file
from cmsa.inference.files.origin import origin_path
from cmsa.inference.jsonl import Record, read_results
from cmsa.tasks import Task

RESULTS = "results.jsonl"
"""Name of the file that grows while a run goes on."""


def write_results(lines: Path, task: Task) -> list[Path]:
    """Write the files that a task has, each whole or not at all, beside the lines.

    ``keypoints.json`` is a COCO result file with the picture's name and the box added to each entry;
    ``head_pose.json`` and ``classes.json`` hold one entry for each box. Beside each is a CSV of the same numbers, for
    classes one row for each of the most likely ones. Entries of videos also have the frame and its time, and the id
    where people were tracked.

    Args:
        lines: of the ``results.jsonl``.
        task: decides which files, and what is in them: a CSV file if its rows have headings.

    Returns:
        The paths of the files.

    Raises:
        OSError: the folder cannot be written to.
    """
    base = lines.parent / task.result_name
    written = [base.with_suffix(".json")]
    with _whole_text(written[0]) as file:
        _write_entries(file, lines)
    if task.row_headings():
        written.append(base.with_suffix(".csv"))
        with _whole_text(written[1]) as file:
            _write_table(file, lines, task)
    return written


def set_aside(lines: Path, tell: Callable[[str], None]) -> None:
    """Give an earlier run's lines, and their origin, another name: a service that begins again must not lose a night's
    results.

    Args:
        lines: of the ``results.jsonl``; nothing is done where there are none.
        tell: called with what was done.
    """
    if not lines.exists() or not lines.stat().st_size:
        return
    number = next(n for n in count(2) if not lines.with_name(f"results-{n}.jsonl").exists())
    kept = lines.with_name(f"results-{number}.jsonl")
    lines.rename(kept)
    if origin_path(lines).exists():
        origin_path(lines).replace(origin_path(kept))
    tell(f"{lines} is of an earlier run and is now {kept.name}; --resume would have gone on with it")


def entries(lines: Path) -> Iterator[Record]:
    """The entries of the JSON file, one for each box."""
    for line in read_results(lines):
        start = {"image_id": line.get("image_id"), "file_name": line["file"]}
        start |= {key: line[key] for key in ("frame", "time") if key in line}
        for prediction in line.get("predictions", ()):
            yield start | {key: value for key, value in prediction.items() if key != "box_score"}


def _write_entries(file: TextIO, lines: Path) -> None:
    file.write("[")
    first = True
    for entry in entries(lines):
        file.write(("\n" if first else ",\n") + json.dumps(entry, ensure_ascii=False))
        first = False
    file.write("]\n" if first else "\n]\n")


def _write_table(file: TextIO, lines: Path, task: Task) -> None:
    of_video = any("frame" in line for line in read_results(lines))
    more = ("frame", "time", "id") if of_video else ()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["image_id", "file_name", *more, "x", "y", "width", "height", *task.row_headings()])
    for entry in entries(lines):
        start = [entry["image_id"], entry["file_name"], *(entry.get(name, "") for name in more), *entry["bbox"]]
        rows.writerows([*start, *row] for row in task.rows(entry))


@contextmanager
def _whole_text(path: Path) -> Iterator[TextIO]:
    with whole_file(path) as made, made.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        yield file
