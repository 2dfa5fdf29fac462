"""A detector in an ONNX file: prepared, run, read as its layout says, chosen from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmsa.guidance.extras import missing
from cmsa.guidance.suggestion import no_such
from cmsa.inference.detectors.detections import Detections, DetectorError, Picture, from_corners
from cmsa.inference.detectors.layouts import LAYOUTS, Layout
from cmsa.inference.detectors.layouts.candidates import Output
from cmsa.runtime.sessions import available_runtimes, onnxruntime_session

_TYPES: dict[str, type[np.floating]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_PROBE = 320
"""Side of the picture that an unknown network is tried on, where neither its file nor its layout names a size."""


class OnnxDetector:
    """A detector of a known layout in ONNX Runtime, on the CPU.

    Args:
        path: the file.
        layout: a name of ``LAYOUTS``; None recognises it from the outputs' shapes.
        classes: class numbers that count, as the network counts them; None takes the layout's people, an empty
            sequence all classes.
        score: the least score; None takes the layout's.
        iou: boxes of one class that overlap more are one; None takes the layout's.
        size: (height, width) of the input, where the file leaves it open.
        threads: for one picture; None leaves it to the runtime (all cores).

    Raises:
        DetectorError: the file is missing or damaged, its input is no picture, or its outputs are of no known layout.
        ModuleNotFoundError: ONNX Runtime is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        layout: str | None = None,
        *,
        classes: Sequence[int] | None = None,
        score: float | None = None,
        iou: float | None = None,
        size: tuple[int, int] | None = None,
        threads: int | None = None,
    ) -> None:
        if layout is not None and layout not in LAYOUTS:
            raise DetectorError(f"{path}: {no_such('layout', layout, LAYOUTS)}")
        self.path = Path(path)
        self.source = self.path.name
        self.session = _open(self.path, threads)
        self._input = self.session.get_inputs()[0]
        self._names = [output.name for output in self.session.get_outputs()]
        self._fixed = self._fixed_size()
        if size is not None and self._fixed not in (None, size):
            raise DetectorError(f"{path}: takes pictures of {self._fixed} (H, W) alone, and size says {size}")
        self._given = size
        self.name, self.layout = self._recognise(layout)
        self._wanted = frozenset([self.layout.person] if classes is None else classes) or None
        self.score = self.layout.score if score is None else score
        self.iou = self.layout.iou if iou is None else iou
        if layout is not None:
            self._check(layout)
        if classes:
            self._check_classes(classes)

    def __call__(self, picture: Picture, name: str | None = None) -> Detections:
        """Find the wanted classes.

        Raises:
            DetectorError: the network cannot be run on the picture, or a wanted class does not exist.
        """
        images, placement = self.layout.preparation(picture, self._size(self.layout))
        found = self.layout.read(self._run(images), (images.shape[2], images.shape[3]), self._wanted)
        found = found.take(found.scores >= self.score)
        if self.iou is not None:
            found = found.suppress(self.iou)
        labels = ["person" if number == self.layout.person else str(number) for number in found.classes]
        return from_corners(placement.back(found.corners), found.scores, labels, self.source)

    def _fixed_size(self) -> tuple[int, int] | None:
        shape, kind = self._input.shape, self._input.type
        sides = shape[-3:]
        if len(self.session.get_inputs()) != 1 or len(shape) not in (3, 4) or kind not in _TYPES:
            raise self._error("its input must be one (B, 3, H, W) or (3, H, W) tensor of float or float16")
        if isinstance(sides[0], int) and sides[0] != 3:
            raise self._error("its input must have 3 channels before height and width")
        return (sides[1], sides[2]) if all(isinstance(side, int) for side in sides[1:]) else None

    def _size(self, layout: Layout) -> tuple[int, int] | None:
        return self._fixed or self._given or layout.size

    def _run(self, images: NDArray[np.float32]) -> list[Output]:
        given = images if len(self._input.shape) == 4 else images[0]
        try:
            values = self.session.run(None, {self._input.name: given.astype(_TYPES[self._input.type])})
        except Exception as error:  # the runtime has exceptions of its own
            raise DetectorError(f"{self.path}: cannot be run on {images.shape} ({error})") from error
        return [Output(name, np.asarray(value)) for name, value in zip(self._names, values, strict=True)]

    def _probe(self, layout: Layout) -> list[Output]:
        height, width = self._size(layout) or (_PROBE, _PROBE)
        grey = np.full((height, width, 3), layout.preparation.fill, np.uint8)
        return self._run(layout.preparation(grey, (height, width))[0])

    def _recognise(self, name: str | None) -> tuple[str, Layout]:
        if name is not None:
            return name, LAYOUTS[name]
        tried: dict[tuple[int, int] | None, list[Output]] = {}
        for known, layout in LAYOUTS.items():
            size = self._size(layout)
            if size not in tried:
                tried[size] = self._probe(layout)
            if layout.fits(tried[size]):
                return known, layout
        raise self._error(f"its outputs are of no known layout ({', '.join(LAYOUTS)})", next(iter(tried.values())))

    def _check(self, name: str) -> None:
        outputs = self._probe(self.layout)
        if not self.layout.fits(outputs):
            raise self._error(f"its outputs are not laid out as {name}", outputs)

    def _check_classes(self, classes: Sequence[int]) -> None:
        try:
            self.layout.read(self._probe(self.layout), self._size(self.layout) or (_PROBE, _PROBE), frozenset(classes))
        except DetectorError as error:
            raise DetectorError(f"{self.path}: {error}") from error

    def _error(self, reason: str, outputs: Sequence[Output] | None = None) -> DetectorError:
        seen_in = ", ".join(f"{one.name} {one.shape} {one.type}" for one in self.session.get_inputs())
        declared = [f"{one.name} {one.shape} {one.type}" for one in self.session.get_outputs()]
        seen_out = ", ".join(declared if outputs is None else map(str, outputs))
        return DetectorError(f"{self.path}: {reason}; seen: inputs {seen_in}; outputs {seen_out}")


def _open(path: Path, threads: int | None) -> Any:
    if not path.is_file():
        raise DetectorError(f"{path}: there is no such detector file")
    if "onnxruntime" not in available_runtimes():
        raise missing(f"the detector {path}", "onnxruntime")
    try:
        return onnxruntime_session(path, threads)
    except Exception as error:  # the runtime has exceptions of its own
        raise DetectorError(f"{path}: is no ONNX file that ONNX Runtime can open ({error})") from error
