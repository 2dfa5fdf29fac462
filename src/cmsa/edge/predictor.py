"""Pictures and boxes -> keypoints, head poses or class probabilities, by an exported file and without PyTorch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmsa.data.boxes import list_boxes, usable_boxes
from cmsa.data.crops import CropSpec
from cmsa.data.image import ImageSource, read_image
from cmsa.edge.constants import KEY, from_text
from cmsa.edge.crops import cut_upright_crop
from cmsa.geometry.affine import apply_affine, invert_affine
from cmsa.geometry.crops import region_center
from cmsa.geometry.face_margins import FaceMargin
from cmsa.guidance.errors import first_line
from cmsa.guidance.extras import load
from cmsa.structures import Box, ClassScores, FloatArray, HeadPose, Keypoints

Value = Keypoints | HeadPose | ClassScores

logger = logging.getLogger(__name__)
_MOST_LOGGED = 10
"""Boxes of a call that are left out and named; what follows stands in ``skipped`` alone."""


class EdgePredictor:
    """An ONNX file of ``cmsa export --decode``, ready for pictures: ``cmsa.Predictor`` for small devices.

    Values are those of ``Predictor``, but for the rounding of crops (see ``cut_upright_crop``).

    Args:
        path: the file; with ``--normalise`` or without.
        threads: of the CPU, for one batch; None leaves it to ONNX Runtime (all cores).

    Attributes:
        path: of the file.
        constants: what the file says of itself.
        size: (H, W) of the crops.
        skipped: of the last call, the places of the boxes that were left out, and why; the first few are logged as
            warnings.

    Raises:
        FileNotFoundError: there is no such file.
        ModuleNotFoundError: ONNX Runtime is not installed.
        ValueError: ``threads`` is no whole number from 1; or the file is damaged, was not written by ``cmsa export``,
            puts out what only its network's task can read (exported without ``--decode``), or is for a task that is not
            one of the three.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
            raise ValueError(f"threads must be a whole number from 1, or None for all cores, got {threads!r}")
        self.path = Path(path)
        self.session = _open(self.path, threads)
        entries = from_text(self.session.get_modelmeta().custom_metadata_map.get(KEY), str(path))
        if not entries["decoded_in_graph"]:
            raise ValueError(f"{path}: puts out the network's numbers; export it with --decode")
        task = entries["model"]["task"]
        if task not in _VALUES:
            raise ValueError(f"{path}: is for the task {task!r}; there are {', '.join(_VALUES)}")
        self.constants: dict[str, Any] = entries
        self.skipped: dict[int, str] = {}
        self._input: dict[str, Any] = entries["input"]
        self.size = (int(self._input["height"]), int(self._input["width"]))
        self._fixed = None if self._input["batch"] == "dynamic" else int(self._input["batch"])
        crop = entries["crop"]
        self._margin = FaceMargin(**crop["margin"])
        self._spec = CropSpec.for_evaluation(
            self.size, padding=crop["padding"], convention=crop["convention"], antialias=crop["antialias"]
        )
        self._value = _VALUES[task]
        self._names = tuple(entries["decoding"].get("names") or ())

    def __repr__(self) -> str:
        model, (height, width) = self.constants["model"], self.size
        return f"EdgePredictor({self.path}: {model['name']}, {model['task']} at {height}x{width} (HxW) pixels)"

    def __call__(self, image: ImageSource, boxes: object = None, *, batch_size: int = 32) -> list[Value]:
        """Predict one value for each box.

        Args:
            image: a path, an array (RGB), a PIL image or the bytes of a file, see ``cmsa.data.image.read_image``.
            boxes: a list or an array of x, y, width, height in pixels of the picture, or of ``Box``; None takes the
                whole picture.
            batch_size: crops at a time; a file of a fixed batch has its own.

        Returns:
            Keypoints, head poses or class scores, in the order of the boxes; those that cannot be used have none, see
            ``skipped``.

        Raises:
            ImageError: the picture cannot be read.
            BoxesError: the boxes are of no known kind.
        """
        picture = read_image(image)
        height, width = picture.shape[:2]
        if boxes is None:
            usable, self.skipped = {0: Box(0, 0, width, height)}, {}
            regions = list(usable.values())
        else:
            usable, self.skipped = usable_boxes(list_boxes(boxes), height, width)
            regions = [self._margin.widen(box) for box in usable.values()]
            self._tell_skipped()
        matrices = [
            self._spec.base_matrix(region_center(region, self._spec.convention), (region.width, region.height))
            for region in regions
        ]
        crops = [cut_upright_crop(picture, matrix, self.size, antialias=self._spec.antialias) for matrix in matrices]
        batch = batch_size if self._fixed is None else self._fixed
        if batch < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch}")
        rows = (row for start in range(0, len(crops), batch) for row in self._run(crops[start : start + batch]))
        return [
            self._value(row, matrix, box, self._names)
            for row, matrix, box in zip(rows, matrices, usable.values(), strict=True)
        ]

    def _tell_skipped(self) -> None:
        for place, reason in list(self.skipped.items())[:_MOST_LOGGED]:
            logger.warning("box %d left out: %s", place, reason)
        if len(self.skipped) > _MOST_LOGGED:
            logger.warning("and %d more, see EdgePredictor.skipped", len(self.skipped) - _MOST_LOGGED)

    def _run(self, crops: Sequence[NDArray[np.uint8]]) -> Iterable[tuple[FloatArray, ...]]:
        """For each crop (H, W, 3) its part of all outputs, as float64."""
        missing = 0 if self._fixed is None else self._fixed - len(crops)
        images = np.stack([*crops, *[crops[-1]] * missing])
        given = images if self._input["normalised_in_graph"] else normalise(images, self._input)
        outputs = self.session.run(None, {self._input["name"]: given})
        return zip(*(output[: len(crops)].astype(np.float64) for output in outputs), strict=True)


def normalise(crops: NDArray[np.uint8], entries: Mapping[str, Any]) -> NDArray[np.float32]:
    """Crops (B, H, W, 3) uint8 as the network's images (B, 3, H, W): (pixel / 255 - mean) / std, for each channel.

    Args:
        crops: RGB.
        entries: ``mean`` and ``std`` among them.
    """
    mean, std = (np.asarray(entries[name], dtype=np.float32) for name in ("mean", "std"))
    images = (crops.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _open(path: Path, threads: int | None) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"no exported file {path}")
    # The extra brings more than there is room for here.
    onnxruntime = load("onnxruntime", "EdgePredictor", "pip install onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has errors of its own for a damaged file
        raise ValueError(f"{path}: cannot be opened, it may be damaged ({first_line(error)})") from error


def _keypoints(outputs: tuple[FloatArray, ...], matrix: FloatArray, box: Box, names: tuple[str, ...]) -> Keypoints:
    xy, scores = outputs
    return Keypoints(apply_affine(invert_affine(matrix), xy), scores, names, box)


def _head_pose(outputs: tuple[FloatArray, ...], _: FloatArray, box: Box, __: tuple[str, ...]) -> HeadPose:
    yaw, pitch, roll = outputs[0].tolist()
    return HeadPose(yaw, pitch, roll, box)


def _classes(outputs: tuple[FloatArray, ...], _: FloatArray, box: Box, names: tuple[str, ...]) -> ClassScores:
    probabilities = outputs[0]
    return ClassScores(probabilities, names or tuple(map(str, range(len(probabilities)))), box)


_VALUES: dict[str, Callable[[tuple[FloatArray, ...], FloatArray, Box, tuple[str, ...]], Value]] = {
    "pose": _keypoints,
    "head_pose": _head_pose,
    "classification": _classes,
}
"""What the outputs of each task's decoded graph are."""
