"""The folder of a run in shards: what is to be read, by what it is predicted, and the rows that are there.

shards/inputs.jsonl   what is to be read, a line each, in order; a shard is so many of its lines
shards/run.json       what the rows depend on: a run with other options does not go on with them
shards/00000012.jsonl the rows of a shard, as many as it has inputs; the file is there whole or not at all
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmsa.files.read_json import read_json
from cmsa.files.whole import whole_file
from cmsa.inference.files.origin import digest
from cmsa.inference.jsonl import Record, ResultLines, ResultsError, read_results
from cmsa.inference.streams import Notice, Source


@dataclass(frozen=True)
class Shard:
    """A part of the inputs.

    Attributes:
        number: from 0, in the order of the inputs.
        start: where its first line begins in ``inputs.jsonl``, in bytes.
        count: how many lines it has.
    """

    number: int
    start: int
    count: int


@dataclass(frozen=True)
class ShardFolder:
    """The folder; any number of processes and machines may write shards into it at the same time.

    Attributes:
        path: of the folder.
    """

    path: Path

    def begin(
        self, items: Iterable[Source | Notice], size: int, run: Mapping[str, Any], *, resume: bool = False
    ) -> list[Shard]:
        """Write down what is to be done, or find that it is what was begun.

        Args:
            items: pictures, and what is to be told in their place.
            size: how many of them are a shard; the last one may be smaller.
            run: what the rows depend on, for JSON.
            resume: go on with a run that is there.

        Raises:
            ValueError: a run is there that is not to be gone on with, or was another one; or an item is no picture.
            OSError: the folder cannot be written.
        """
        inputs, begun = self.path / "inputs.jsonl", self.path / "run.json"
        if begun.exists() and not resume:
            raise ValueError(
                f"{self.path}: holds shards of a run that did not end; --resume goes on with it, and to begin anew "
                "remove this folder or choose another --out"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        found = inputs.with_suffix(".found")
        try:
            shards = _write_inputs(found, items, size)
            run = json.loads(json.dumps({**run, "shard_size": size, "inputs": digest(found)}))
            if begun.exists() and not shards:
                self.finish()  # it was ended after all, and cut before this was noted
            elif begun.exists():
                self._refuse_another(read_json(begun), run)
            else:
                self.finish()
                found.replace(inputs)
                with whole_file(begun) as partial:
                    partial.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
        finally:
            found.unlink(missing_ok=True)
        return shards

    def finish(self) -> None:
        """Remove what this class writes; what else lies there stays."""
        (self.path / "run.json").unlink(missing_ok=True)  # first, so that nobody goes on with the rest
        (self.path / "inputs.jsonl").unlink(missing_ok=True)
        for path in self.path.glob("[0-9]" * 8 + ".jsonl*"):
            path.unlink(missing_ok=True)

    def _refuse_another(self, there: Any, run: Mapping[str, Any]) -> None:
        there = there if isinstance(there, dict) else {}
        differ = [name for name in sorted({*there, *run}) if there.get(name) != run.get(name)]
        if differ:
            told = ", ".join(f"{name} (there {there.get(name)!r}, now {run.get(name)!r})" for name in differ)
            raise ValueError(
                f"{self.path}: its shards are of another run, which differs in {told}: give --resume with the options "
                "and inputs of that run, or choose another --out"
            )

    def inputs(self, shard: Shard) -> list[Source | Notice]:
        """What a shard is to read."""
        with (self.path / "inputs.jsonl").open("rb") as file:
            file.seek(shard.start)
            return [_item(json.loads(file.readline())) for _ in range(shard.count)]

    def file(self, shard: Shard) -> Path:
        """Where the rows of a shard are once they are done."""
        return self.path / f"{shard.number:08}.jsonl"

    def write(self, shard: Shard, rows: Iterable[Record]) -> None:
        """Write the rows of a shard; the file appears when the last one is on the disk.

        Whoever writes the same shard at the same time (a worker that was thought dead) has another file until then,
        and the later one replaces the earlier.

        Raises:
            ValueError: there are not as many rows as inputs.
            OSError: they cannot be written.
        """
        partial = self.path / f"{self.file(shard).name}.{uuid.uuid4().hex}.partial"
        try:
            with ResultLines(partial) as lines:
                for row in rows:
                    lines.write(row)
            if lines.lines != shard.count:
                raise ValueError(f"shard {shard.number}: {lines.lines} rows of {shard.count} inputs")
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.replace(self.file(shard))
        finally:
            partial.unlink(missing_ok=True)

    def rows(self, shard: Shard) -> Iterator[tuple[Source | Notice, Record]]:
        """Each input of a shard and its row.

        Raises:
            ResultsError: the file has not a row for each input.
        """
        path, inputs = self.file(shard), self.inputs(shard)
        rows = list(read_results(path))
        names = [item.source if isinstance(item, Notice) else item.name for item in inputs]
        if [row["file"] for row in rows] != names:
            raise ResultsError(f"{path}: has not one row for each of its {shard.count} inputs; remove it and --resume")
        yield from zip(inputs, rows, strict=True)


def _write_inputs(path: Path, items: Iterable[Source | Notice], size: int) -> list[Shard]:
    """Write one line for each item; gives the shards."""
    shards: list[Shard] = []
    start = place = count = 0
    with path.open("wb") as file:
        for item in items:
            if count == size:
                shards.append(Shard(len(shards), start, count))
                start, count = place, 0
            place += file.write(_line(item))
            count += 1
    return [*shards, Shard(len(shards), start, count)] if count else shards


def _line(item: Source | Notice) -> bytes:
    # A path may hold bytes that are no UTF-8: JSON writes them as escapes, and reads them back.
    if isinstance(item, Notice):
        return json.dumps({"file": item.source, "error": item.text}).encode() + b"\n"
    if item.kind != "picture":
        kind = "network address" if item.kind == "address" else item.kind
        raise ValueError(f"{item.name}: is a {kind}, and this engine predicts pictures only")
    return json.dumps({"file": item.name, "path": item.target}).encode() + b"\n"


def _item(line: Mapping[str, str]) -> Source | Notice:
    if "error" in line:
        return Notice(line["file"], line["error"])
    return Source("picture", line["path"], line["file"], Path())
