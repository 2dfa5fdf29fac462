"""Predictions -> the files that other programs read: COCO results, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmsa.structures import Value
from cmsa.tasks import Task

Record = dict[str, Any]


@dataclass
class ResultFiles:
    """Collects predictions and writes them, whole or not at all: a JSON file, and a CSV file if the task has columns.

    ``keypoints.json`` is a COCO result file with the picture's name and the box added to each entry;
    ``head_pose.json`` and ``classes.json`` hold one entry for each box, and beside them is a CSV of the same numbers,
    for classes one row for each of the most likely ones.

    Attributes:
        folder: where the files go.
        task: decides which files, and what is in them.
        top: how many classes to keep for each box.
        records: entries of the JSON file so far.
    """

    folder: Path
    task: Task
    top: int = 5
    records: list[Record] = field(default_factory=list)

    def add(self, file_name: str, image_id: int, values: Sequence[Value], box_scores: Sequence[float]) -> None:
        """Add the predictions of one picture.

        Args:
            file_name: of the picture.
            image_id: of the picture.
            values: its predictions.
            box_scores: a score for each of their boxes; a person's score is multiplied by it (HRNet's rescoring).
        """
        for value, score in zip(values, box_scores, strict=True):
            record = {"image_id": image_id, "file_name": file_name, "bbox": _rounded(value.box.xywh)}
            self.records.append(record | self.task.record(value, score, self.top))

    def write(self) -> list[Path]:
        """Write everything so far, and return the files' paths.

        Raises:
            OSError: the folder cannot be written to.
        """
        base = self.folder / self.task.result_name
        lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in self.records)
        written = [_write(base.with_suffix(".json"), f"[\n{lines}\n]\n" if lines else "[]\n")]
        if self.task.columns:
            written.append(_write(base.with_suffix(".csv"), _table(self._rows())))
        return written

    def _rows(self) -> list[list[Any]]:
        rows: list[list[Any]] = [["image_id", "file_name", "x", "y", "width", "height", *self.task.columns]]
        for record in self.records:
            start = [record["image_id"], record["file_name"], *record["bbox"]]
            rows += [[*start, *row] for row in self.task.rows(record)]
        return rows


def _table(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str) -> Path:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(float(number), 4) for number in numbers]
