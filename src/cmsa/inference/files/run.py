"""Pictures, one after the other: read, predict, draw, keep. A bad one costs the others nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from cmsa.data.boxes import DetectionFile, usable_boxes
from cmsa.data.image import read_image
from cmsa.inference.files.inputs import PictureFile, annotated_paths
from cmsa.inference.files.results import ResultFiles
from cmsa.inference.predictor import Predictor
from cmsa.structures import Box, Value
from cmsa.visualization.panel import Picture

ANNOTATED = "annotated"
"""The sub-folder of annotated pictures."""

_SHOWN = 20


@dataclass
class Summary:
    """What became of the inputs.

    Attributes:
        done: pictures predicted.
        values: predictions made.
        without_box: names of pictures that the boxes file has no box for; they count as done.
        skipped: what was left out, a file or one of its boxes, and why.
        files: result files written.
        shown: names and predictions of the first few pictures, for a table.
    """

    done: int = 0
    values: int = 0
    without_box: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    shown: list[tuple[str, Sequence[Value]]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0: all done; 1: something was left out; 2: nothing was done."""
        if not self.done:
            return 2
        return 1 if self.skipped else 0


@dataclass(frozen=True, eq=False)
class PictureBoxes:
    """Which boxes a picture has: those of a file, the same for every picture, or none: the whole picture."""

    file: DetectionFile | None = None
    same: Sequence[object] | None = None

    def of(self, path: Path) -> tuple[int | None, list[object] | None, list[float]]:
        """Image id, boxes (None: the whole picture) and their scores."""
        if self.file is None:
            boxes = None if self.same is None else list(self.same)
            return None, boxes, [1.0] * (1 if boxes is None else len(boxes))
        found = self.file.find(path)
        return (None, [], []) if found is None else (found.image_id, found.boxes, found.scores)


@dataclass
class ImageIds:
    """Image ids: the boxes file's, and for other pictures running ones that differ from these."""

    reserved: set[int] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    last: int = 0

    def take(self, wanted: int | None) -> int:
        """The wanted id if no picture has it yet, else the next running one."""
        if wanted is None or wanted in self.used:
            self.last += 1
            while self.last in self.reserved or self.last in self.used:
                self.last += 1
            wanted = self.last
        self.used.add(wanted)
        return wanted


@dataclass
class FileRun:
    """Predicts pictures and writes results and annotated pictures.

    Attributes:
        predictor: what predicts.
        boxes: whose boxes.
        results: where predictions are kept; its folder must exist.
        cube: draw heads as cubes.
        flip_test: average with the mirrored crops.
        batch_size: crops at a time.
        summary: what became of the pictures so far.
    """

    predictor: Predictor
    boxes: PictureBoxes
    results: ResultFiles
    cube: bool = False
    flip_test: bool = False
    batch_size: int = 32
    summary: Summary = field(default_factory=Summary)

    def run(
        self, pictures: Sequence[PictureFile], advance: Callable[[int, str], None] = lambda count, name: None
    ) -> None:
        """Predict pictures. Results are written at the end, also where an error or Ctrl-C brings it early.

        Args:
            pictures: what to predict.
            advance: told before each picture how many are done, and its name; for a progress bar.

        Raises:
            OSError: results cannot be written.
        """
        ids = ImageIds(self.boxes.file.image_ids if self.boxes.file else set())
        paths = annotated_paths(pictures, self.results.folder / ANNOTATED)
        try:
            for place, (picture, path) in enumerate(zip(pictures, paths, strict=True)):
                advance(place, picture.name)
                self._predict(picture, path, ids)
            advance(len(pictures), "")
        finally:
            if self.summary.done:
                self.summary.files = self.results.write()

    def _predict(self, picture: PictureFile, path: Path, ids: ImageIds) -> None:
        image_id, given, scores = self.boxes.of(picture.path)
        summary = self.summary
        try:
            image = read_image(picture.path)
            height, width = image.shape[:2]
            usable, reasons = usable_boxes([Box(0, 0, width, height)] if given is None else given, height, width)
            # The whole picture is not a box: no margin is added to it.
            boxes = None if given is None else list(usable.values())
            values = self.predictor(image, boxes, flip_test=self.flip_test, batch_size=self.batch_size)
            crops = self.predictor.crops(image, boxes)
            drawing = self.results.task.draw(image, values, crops, top=self.results.top, cube=self.cube)
        except Exception as error:  # whatever is wrong with this picture, the others are not to suffer
            summary.skipped.append((picture.name, str(error).removeprefix(f"{picture.path}: ")))
            return
        _save(drawing, path)
        self.results.add(picture.name, ids.take(image_id), values, [scores[place] for place in usable])
        summary.skipped += [(f"{picture.name}, box {place}", reason) for place, reason in reasons.items()]
        summary.done += 1
        summary.values += len(values)
        if given == []:
            summary.without_box.append(picture.name)
        if len(summary.shown) < _SHOWN:
            summary.shown.append((picture.name, values))


def _save(picture: Picture, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    Image.fromarray(picture).save(partial, format="PNG")
    partial.replace(path)
