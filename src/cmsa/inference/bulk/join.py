"""The rows of all shards -> the files that a run without shards writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from cmsa.data.boxes import DetectionFile
from cmsa.files.whole import whole_file
from cmsa.inference.bulk.shards import Shard, ShardFolder
from cmsa.inference.files.origin import Origin, write_origin
from cmsa.inference.files.results import set_aside
from cmsa.inference.files.run import ImageIds
from cmsa.inference.files.summary import Summary
from cmsa.inference.jsonl import ResultLines, read_results
from cmsa.inference.streams import Source


def join(
    folder: ShardFolder,
    shards: Iterable[Shard],
    lines: Path,
    *,
    boxes: DetectionFile | None,
    resume: bool,
    summary: Summary,
    tell: Callable[[str], None],
    origin: Origin,
) -> None:
    """Write ``results.jsonl`` whole, in the order of the inputs: until it is, what was there before stays.

    Args:
        folder: of the shards.
        shards: in order; all of them are done.
        lines: the ``results.jsonl``.
        boxes: a file of boxes, whose image ids count.
        resume: the lines that are there stay before the new ones; otherwise they get another name.
        summary: counts what is written.
        tell: called with what became of an earlier run's lines.
        origin: of the lines.

    Raises:
        ResultsError: a shard's file is not what it must be.
        OSError: it cannot be written.
    """
    ids = ImageIds(boxes.image_ids if boxes else set())
    with whole_file(lines) as partial:
        if resume and lines.exists():
            shutil.copyfile(lines, partial)
            for line in read_results(lines):
                if isinstance(line.get("image_id"), int):
                    ids.known(line["image_id"])
                    summary.before += 1
        with ResultLines(partial, resume=True) as written:
            for shard in shards:
                for item, row in folder.rows(shard):
                    if "error" in row:
                        summary.skipped.add(row["file"], row["error"])
                    else:
                        found = boxes.find(item.target) if boxes and isinstance(item, Source) else None
                        row["image_id"] = ids.take(found.image_id if found else None)
                        summary.count(row["file"], row)
                    written.write(row)
        if not resume:
            set_aside(lines, tell)
        write_origin(lines, origin)
