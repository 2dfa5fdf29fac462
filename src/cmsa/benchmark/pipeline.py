"""The benchmark of the whole job: files in, results out, beside the network alone and beside the obvious loop."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from cmsa.benchmark.measure import Work, interleaved, machine, peak_memory
from cmsa.benchmark.pictures import make_pictures
from cmsa.benchmark.stages import Stages
from cmsa.benchmark.written import write_rows
from cmsa.data.boxes import BoxesError
from cmsa.data.image import read_image
from cmsa.inference.detectors.looked_up import DetectionFileDetector
from cmsa.inference.files.drawing import Drawing, PictureFormat
from cmsa.inference.files.run import FileRun
from cmsa.inference.jsonl import ResultLines
from cmsa.inference.pipeline import Pipeline
from cmsa.inference.predictor import Predictor
from cmsa.inference.streams import Source, SourceFinder, read_frames
from cmsa.models.pretrained import default_weights
from cmsa.runtime.sessions import Runtime, available_runtimes
from cmsa.visualization.picture_file import save_picture

NETWORK = "network alone"
JOB, DRAWN = "pipeline", "pipeline, annotated JPEGs"
LOOP, LOOP_DRAWN = "one at a time", "one at a time, annotated JPEGs"
_OF_LOOP = 4
"""The loops do only every fourth picture, for they take long."""


@dataclass(frozen=True)
class PipelineRow:
    """One way to do the job, or one stage of it.

    Attributes:
        weights, runtime: what computes.
        name: the way, or the stage.
        stage: whether it is a stage, done alone in one thread.
        pictures, people: a second.
        people_cpu: for each second of processor time, which other processes disturb less.
        share: people a second over those of the network alone; of a stage, its part of the time of all.
        memory: megabytes that it takes beyond what is loaded, None of a stage.
    """

    weights: str
    runtime: str
    name: str
    stage: bool
    pictures: float
    people: float
    people_cpu: float
    share: float
    memory: float | None


def benchmark_pipeline(
    images: Path | None = None,
    boxes: Path | None = None,
    *,
    weights: Sequence[str | Path] | None = None,
    runtimes: Sequence[Runtime] | None = None,
    pictures: int = 256,
    batch: int = 32,
    threads: int = 2,
    rounds: int = 5,
    out: Path | None = None,
) -> list[PipelineRow]:
    """Measure ``cmsa predict`` from files to results, side by side with less and with more work, and show the table.

    All has been read once before, so files come from the system's cache, and networks are loaded and warm.

    Args:
        images: a folder of pictures; None makes small ones of one person each.
        boxes: a COCO detection file for them; required with ``images``.
        weights: what ``Predictor.from_pretrained`` takes; None takes the default for human pose.
        runtimes: to compute in; None takes the fastest that is installed.
        pictures: how many to make.
        batch: crops at a time.
        threads: of the network.
        rounds: of which medians are taken.
        out: folder for ``pipeline.json``.

    Raises:
        BoxesError: only one of ``images`` and ``boxes`` is given, or the file has no box for any picture.
    """
    if (images is None) != (boxes is None):
        raise BoxesError("--images and --boxes go together: a folder of pictures, and where the people in them are")
    rows: list[PipelineRow] = []
    with TemporaryDirectory() as folder:
        if images is None or boxes is None:
            images, boxes = make_pictures(Path(folder), pictures)
        for name in weights or [default_weights("pose")]:
            for runtime in runtimes or available_runtimes()[:1]:
                # As ``cmsa predict`` does: beside another runtime one thread of PyTorch's is enough.
                torch.set_num_threads(threads if runtime == "torch" else 1)
                predictor = Predictor.from_pretrained(name, runtime=runtime, threads=threads)
                job = _Job(predictor, images, boxes, batch, Path(folder) / "out")
                rows += _measure(job, str(name), runtime, rounds)
        conditions = {
            "machine": machine(),
            "threads": threads,
            "batch": batch,
            "rounds": rounds,
            "pictures": job.pictures,
            "people": job.people,
        }
    show_pipeline(rows, conditions)
    if out is not None:
        write_rows(out / "pipeline.json", rows, conditions)
    return rows


class _Job:
    """Pictures, their boxes and a predictor, and the ways to bring them together.

    Args:
        predictor: loaded.
        images: folder of the pictures.
        boxes: file of the boxes.
        batch: crops at a time.
        out: folder for results; removed before each run.
    """

    def __init__(self, predictor: Predictor, images: Path, boxes: Path, batch: int, out: Path) -> None:
        self.predictor, self.batch, self.out = predictor, batch, out
        self.images = images
        self.detector = DetectionFileDetector(boxes, predictor.task.category)
        self.stages = Stages(predictor, self.detector, self.sources(), batch, out)
        self.pictures, self.people = len(self.stages.frames), self.stages.people
        if not self.people:
            raise BoxesError(f"{boxes}: has no box for a picture in {images}")

    def sources(self) -> list[Source]:
        """The pictures of the folder."""
        return [found for found in SourceFinder().find([self.images]) if isinstance(found, Source)]

    def run(self, pictures: PictureFormat | None = None) -> None:
        """What ``cmsa predict`` does."""
        shutil.rmtree(self.out, ignore_errors=True)
        task = self.predictor.task
        drawing = Drawing(self.out / "annotated", task, pictures) if pictures else None
        pipeline = Pipeline(self.predictor, self.detector, batch_size=self.batch)
        with closing(pipeline.run(read_frames(self.sources()))) as results:
            FileRun(self.out, task, self.detector.file, drawing).run(results)

    def loop(self, drawn: bool) -> None:
        """Read, crop, predict, draw, write: one picture after the other."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        task = self.predictor.task
        with ResultLines(self.out / "results.jsonl") as lines:
            for number, source in enumerate(self.sources()[::_OF_LOOP]):
                picture = read_image(source.target)
                boxes = self.detector(picture, source.target).boxes
                values = self.predictor(picture, list(boxes))
                lines.write({"file": source.name, "predictions": [task.record(value, 1.0, 5) for value in values]})
                if drawn:
                    crops = self.predictor.crops(picture, list(boxes))
                    save_picture(task.draw(picture, values, crops), self.out / f"{number}.jpg")


def _measure(job: _Job, weights: str, runtime: str, rounds: int) -> list[PipelineRow]:
    stages = job.stages.works()
    ways: dict[str, Work] = {
        NETWORK: stages["network"],
        JOB: job.run,
        DRAWN: lambda: job.run("jpg"),
        LOOP: lambda: job.loop(drawn=False),
        LOOP_DRAWN: lambda: job.loop(drawn=True),
    }
    timings = interleaved(ways | {f"stage {name}": work for name, work in stages.items()}, rounds)
    memory = {name: peak_memory(work) for name, work in ways.items()}
    parts = {name: 1 / _OF_LOOP if name in (LOOP, LOOP_DRAWN) else 1.0 for name in ways}
    alone = timings[NETWORK].wall
    together = sum(timings[f"stage {name}"].wall for name in stages)

    def row(name: str, stage: bool, key: str, part: float, share: float) -> PipelineRow:
        timing = timings[key]
        return PipelineRow(
            weights,
            runtime,
            name,
            stage,
            pictures=job.pictures * part / timing.wall,
            people=job.people * part / timing.wall,
            people_cpu=job.people * part / timing.cpu,
            share=share,
            memory=None if stage else memory[name],
        )

    return [
        *(row(name, False, name, parts[name], alone * parts[name] / timings[name].wall) for name in ways),
        *(row(name, True, f"stage {name}", 1.0, timings[f"stage {name}"].wall / together) for name in stages),
    ]


def show_pipeline(rows: Sequence[PipelineRow], conditions: Mapping[str, Any]) -> None:
    """Print rows, and what they were measured on."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    console.print(
        f"{conditions['machine']}; {conditions['threads']} threads; {conditions['people']:,} people in "
        f"{conditions['pictures']:,} pictures, batches of {conditions['batch']}; medians of {conditions['rounds']} "
        "interleaved rounds",
        highlight=False,
    )
    for ways in _by_engine(rows):
        first = ways[0]
        table = Table(title=f"{first.weights}, {first.runtime}", title_justify="left")
        table.add_column("")
        for name in ("pictures/s", "people/s", "people/CPU s", "of the network", "MB"):
            table.add_column(name, justify="right")
        for row in ways:
            if row.stage:
                continue
            memory = "" if row.memory is None else f"{row.memory:,.0f}"
            table.add_row(
                row.name,
                f"{row.pictures:,.1f}",
                f"{row.people:,.1f}",
                f"{row.people_cpu:,.1f}",
                f"{row.share:.0%}",
                memory,
            )
        console.print(table)
        stages = Table(title="each stage alone, in one thread", title_justify="left")
        stages.add_column("stage")
        for name in ("ms/picture", "share"):
            stages.add_column(name, justify="right")
        for row in ways:
            if row.stage:
                stages.add_row(row.name, f"{1e3 / row.pictures:.3f}", f"{row.share:.1%}")
        console.print(stages)


def _by_engine(rows: Sequence[PipelineRow]) -> Iterator[list[PipelineRow]]:
    for key in dict.fromkeys((row.weights, row.runtime) for row in rows):
        yield [row for row in rows if (row.weights, row.runtime) == key]
