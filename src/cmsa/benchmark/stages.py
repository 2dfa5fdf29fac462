"""The stages of a job, each done alone for all pictures, on what the stage before it made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmsa.benchmark.measure import Work
from cmsa.inference.detectors import Detector
from cmsa.inference.files.lines import result_line
from cmsa.inference.files.results import RESULTS, write_results
from cmsa.inference.jsonl import ResultLines
from cmsa.inference.pipeline import FrameResult
from cmsa.inference.predictor import Predictor
from cmsa.inference.streams import Frame, Source, read_frames


class Stages:
    """What each stage takes from the one before it, kept in memory.

    Args:
        predictor: loaded.
        detector: where people are.
        sources: the pictures.
        batch: crops at a time.
        out: folder to write results into; made when it is used.

    Attributes:
        frames: the pictures that can be read.
        people: how many crops there are.
    """

    def __init__(
        self, predictor: Predictor, detector: Detector, sources: Sequence[Source], batch: int, out: Path
    ) -> None:
        self.predictor, self.detector, self.sources, self.batch, self.out = predictor, detector, sources, batch, out
        self.frames = self._decode()
        self.found = self._detect()
        self.cuts = self._crop()
        self.regions = [region for cut in self.cuts for region in cut.regions]
        self.people = len(self.regions)
        self.images = self._prepare()
        self.outputs = self._network() if self.people else []
        self.values = self._values()

    def works(self) -> dict[str, Work]:
        """By the stage's name, in the order of the job."""
        return {
            "decode": self._decode,
            "detect": self._detect,
            "crop": self._crop,
            "network": self._network,
            "prepare, decode output": lambda: (self._prepare(), self._values()),
            "write": self._write,
        }

    def _decode(self) -> list[Frame]:
        return [frame for frame in read_frames(self.sources) if isinstance(frame, Frame)]

    def _detect(self) -> list[Any]:
        return [self.detector(frame.picture, str(frame.path)) for frame in self.frames]

    def _crop(self) -> list[Any]:
        return [
            self.predictor.cut(frame.picture, found.boxes) for frame, found in zip(self.frames, self.found, strict=True)
        ]

    @torch.inference_mode()
    def _prepare(self) -> list[Tensor]:
        return [
            self.predictor.preprocess(
                torch.from_numpy(np.stack([region.crop for region in part])).to(self.predictor.device)
            )
            for part in self._parts()
        ]

    @torch.inference_mode()
    def _network(self) -> list[Tensor]:
        return [self.predictor.network(images) for images in self.images]

    @torch.inference_mode()
    def _values(self) -> list[Any]:
        task = self.predictor.task
        values: list[Any] = []
        for output, part in zip(self.outputs, self._parts(), strict=True):
            matrices, boxes = [region.matrix for region in part], [region.box for region in part]
            values += task.values(task.decode(output), matrices, boxes)
        return values

    def _write(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        waiting = iter(self.values)
        with ResultLines(self.out / RESULTS) as lines:
            for number, (frame, found, cut) in enumerate(zip(self.frames, self.found, self.cuts, strict=True)):
                values = [next(waiting) for _ in cut.regions]
                result = FrameResult(frame, values, [None] * len(values), found.take(cut.places), cut)
                lines.write(result_line(result, self.predictor.task, 5, number))
        write_results(self.out / RESULTS, self.predictor.task)

    def _parts(self) -> list[Any]:
        return [self.regions[start : start + self.batch] for start in range(0, self.people, self.batch)]
