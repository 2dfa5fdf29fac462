"""Image and boxes -> keypoints, head poses, class probabilities, or what another task has.

Crops are cut as the weights say that they were trained: box widened by the ``margin`` of faces, extended to the aspect
of the network's input and enlarged by ``padding``. A whole picture, without a box, is taken as it is but for
``padding``. A box that cannot be used, and in a stream a picture that cannot be read, is left out, logged as a warning,
and listed in ``Predictor.skipped``.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmsa.data.boxes import DetectionFile, list_boxes, usable_boxes
from cmsa.data.crops import cut_crop
from cmsa.data.image import ImageError, ImageSource, read_image
from cmsa.export.converted import network_for
from cmsa.geometry.crops import FloatArray, region_center
from cmsa.models.create import load_weights
from cmsa.models.network import CMSA
from cmsa.models.pretrained import find_weights
from cmsa.runtime.feeding import crop_spec, describe, face_margin_of, heatmap_size
from cmsa.runtime.preprocess import preprocess_of
from cmsa.runtime.sessions import Runtime
from cmsa.structures import Box
from cmsa.tasks import task_of
from cmsa.tasks.task import Network

Picture = NDArray[np.uint8]
Boxes = Sequence[object] | NDArray[Any] | str | Path | DetectionFile | None
"""Boxes (``Box``, or x, y, width, height) in pixels of the picture after its EXIF turn; a COCO detection file; None."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Skipped:
    """Something that was left out.

    Attributes:
        item: the picture's place in the stream, 0 in a single call.
        box: the box's place among those given; None stands for the whole picture.
        reason: what is wrong with it.
    """

    item: int
    box: int | None
    reason: str


@dataclass(frozen=True, eq=False)
class _Region:
    """A crop that waits for the network, and the list that its value goes to."""

    crop: Picture
    matrix: FloatArray
    box: Box
    values: list[Any]


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A picture of a stream: how many values it will have, and those that are there."""

    count: int
    values: list[Any] = field(default_factory=list)


class Predictor:
    """A model ready for pictures.

    Args:
        model: of ``create_model`` or ``load_weights``; a fused copy in eval mode is kept.
        device: where to run it, e.g. ``cpu`` or ``cuda``.
        threads: on the CPU, for one picture or batch, PyTorch's for the whole process; None leaves them as they are.
        runtime: ``torch``, ``onnxruntime`` or ``openvino``, see ``cmsa.export.converted``. The last two export the
            model when it is first used, and keep the file for the next time.

    Attributes:
        description: what the model says of itself.
        task: that it was trained for.
        spec: how crops are cut.
        margin: how far a crop reaches beyond the box of a face, before ``spec`` extends it.
        network: normalised images (B, 3, H, W) float32 on ``device`` -> the head's output.
        skipped: what the latest call or stream left out.

    Raises:
        ValueError: the model was made without ``create_model`` and so does not say how it is fed.
    """

    def __init__(
        self,
        model: CMSA,
        *,
        device: str | torch.device = "cpu",
        threads: int | None = None,
        runtime: Runtime | None = "torch",
    ) -> None:
        self.description = describe(model)
        self.device = torch.device(device)
        self.preprocess = preprocess_of(self.description).to(self.device)
        self.task = task_of(self.description, heatmap_size(model))
        self.spec, self.margin = crop_spec(model, self.task.padding), face_margin_of(model)
        self.network: Network = network_for(model, runtime, self.device, threads)
        self.skipped: list[Skipped] = []

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | torch.device = "cpu",
        threads: int | None = None,
        runtime: Runtime | None = "torch",
    ) -> Self:
        """A predictor from weights.

        Args:
            name: a shipped name (``cmsa_s_pose_32x24``), a ``.safetensors`` file, a folder that holds
                ``model.safetensors``, or the id of a model on the Hugging Face hub.
            device: as for the class.
            threads: as for the class.
            runtime: as for the class.

        Raises:
            FileNotFoundError: there are no such weights.
            ValueError: the file is not a weights file of cmsa, or is damaged.
        """
        return cls(load_weights(find_weights(name)), device=device, threads=threads, runtime=runtime)

    def __call__(
        self, image: ImageSource, boxes: Boxes = None, *, flip_test: bool = False, batch_size: int = 32
    ) -> list[Any]:
        """Predict one value for each box.

        Args:
            image: a path, an array (RGB), a PIL image or the bytes of a file, see ``read_image``.
            boxes: an array or a list of x, y, width, height in pixels of the picture, a list of ``Box``, a COCO
                detection file (its entries for this picture), or None for the whole picture.
            flip_test: average with the mirrored crops.
            batch_size: crops at a time; bounds the memory.

        Returns:
            Keypoints, head poses or class scores, in the order of the boxes. Boxes that have no area, lie outside
            the picture or are no numbers have no value: see ``skipped``.

        Raises:
            ImageError: the picture cannot be read.
            BoxesError: the boxes are of no known kind, or their file cannot be read.
        """
        picture = read_image(image)
        item = (picture, self._boxes_of(image, boxes))
        return next(self.stream([item], flip_test=flip_test, batch_size=batch_size))

    def stream(
        self,
        items: Iterable[ImageSource | tuple[ImageSource, Boxes]],
        *,
        flip_test: bool = False,
        batch_size: int = 32,
    ) -> Iterator[list[Any]]:
        """Predict for any number of pictures, one after the other, in constant memory.

        Args:
            items: pictures, or (picture, boxes) pairs. Read a detection file once, with ``DetectionFile.read``.
            flip_test: as for a call.
            batch_size: crops at a time, from several pictures where these are small. At most this many pictures are
                read before the first one's values come out; 1 gives each picture's values at once (a camera).

        Yields:
            For each item what a call would return; an empty list for a picture that cannot be read.

        Raises:
            BoxesError: as for a call.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.skipped = []
        waiting: deque[_Waiting] = deque()
        batch: list[_Region] = []
        for place, item in enumerate(items):
            image, boxes = item if isinstance(item, tuple) else (item, None)
            given = self._boxes_of(image, boxes)
            try:
                picture = read_image(image)
            except ImageError as error:
                self._skip(place, None, str(error))
                waiting.append(_Waiting(0))
            else:
                usable = self._usable(picture, given, place)
                waiting.append(_Waiting(len(usable)))
                for box in usable:
                    cut = self._cut(picture, box, whole=given is None)
                    batch.append(_Region(*cut, box, waiting[-1].values))
                    if len(batch) == batch_size:
                        self._run(batch, flip_test)
            if len(waiting) >= batch_size:
                self._run(batch, flip_test)
            while waiting and len(waiting[0].values) == waiting[0].count:
                yield waiting.popleft().values
        self._run(batch, flip_test)
        yield from (picture.values for picture in waiting)

    def crops(self, image: ImageSource, boxes: Boxes = None) -> list[tuple[Picture, FloatArray]]:
        """What the network sees: for each usable box the crop (H, W, 3) uint8 RGB and the 2x3 map from the picture.

        Arguments and errors are those of a call.
        """
        picture = read_image(image)
        self.skipped = []
        given = self._boxes_of(image, boxes)
        return [self._cut(picture, box, whole=given is None) for box in self._usable(picture, given, 0)]

    def _boxes_of(self, image: ImageSource, boxes: Boxes) -> list[object] | None:
        """The boxes given for a picture, unchecked; None for the whole picture."""
        if isinstance(boxes, str | Path):
            boxes = DetectionFile.read(boxes, self.task.category)
        if isinstance(boxes, DetectionFile):
            if not isinstance(image, str | Path):
                return boxes.only().boxes
            found = boxes.find(image)
            if found is None:
                logger.warning("%s: names no box for %s", boxes.path, image)
            return [] if found is None else found.boxes
        return None if boxes is None else list_boxes(boxes)

    def _usable(self, picture: Picture, given: list[object] | None, place: int) -> list[Box]:
        height, width = picture.shape[:2]
        if given is None:
            return [Box(0, 0, width, height)]
        usable, reasons = usable_boxes(given, height, width)
        for index, reason in reasons.items():
            self._skip(place, index, reason)
        return list(usable.values())

    def _skip(self, item: int, box: int | None, reason: str) -> None:
        self.skipped.append(Skipped(item, box, reason))
        where = f"picture {item}" if box is None else f"picture {item}, box {box}"
        logger.warning("%s left out: %s", where, reason)

    def _cut(self, picture: Picture, box: Box, whole: bool) -> tuple[Picture, FloatArray]:
        region = box if whole else self.margin.widen(box)
        center = region_center(region, self.spec.convention)
        matrix = self.spec.base_matrix(center, (region.width, region.height))
        return cut_crop(picture, matrix, self.spec.size, antialias=self.spec.antialias), matrix

    @torch.inference_mode()
    def _run(self, batch: list[_Region], flip_test: bool) -> None:
        """Predict the crops that wait, and empty the batch."""
        if not batch:
            return
        images = self._images([region.crop for region in batch])
        matrices, boxes = [region.matrix for region in batch], [region.box for region in batch]
        values = self.task.values(self.task.predict(self.network, images, flip_test), matrices, boxes)
        for region, value in zip(batch, values, strict=True):
            region.values.append(value)
        batch.clear()

    def _images(self, crops: Sequence[Picture]) -> Tensor:
        images: Tensor = self.preprocess(torch.from_numpy(np.stack(crops)).to(self.device))
        return images
