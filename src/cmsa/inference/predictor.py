"""Image and boxes -> keypoints, head poses, class probabilities, or what another task has.

Crops are cut as the weights say that they were trained: box widened by the ``margin`` of faces, extended to the aspect
of the network's input and enlarged by ``padding``. A whole picture, without a box, is taken as it is but for
``padding``. A box that cannot be used, and in a stream a picture that cannot be read, is left out, counted and listed
in ``Predictor.skipped``, and the first few are logged as warnings.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cmsa.data.boxes import DetectionFile, usable_boxes
from cmsa.data.crops import cut_crop
from cmsa.data.image import ImageError, ImageSource, read_image
from cmsa.export.converted import network_for, open_exported_of
from cmsa.geometry.crops import region_center
from cmsa.inference.cuts import CutPicture, Picture, Region
from cmsa.inference.detectors import Detections, Detector, as_detector
from cmsa.inference.detectors.given import BoxFormat, HasCorners, listed_boxes
from cmsa.inference.detectors.looked_up import WHOLE, WholePicture
from cmsa.models.base import BaseNetwork
from cmsa.models.create import load_weights
from cmsa.models.pretrained import find_weights
from cmsa.models.weights import describe
from cmsa.runtime.devices import usable_device
from cmsa.runtime.feeding import crop_spec, face_margin_of
from cmsa.runtime.finite import NOT_FINITE, first_not_finite
from cmsa.runtime.forks import about_to_compute
from cmsa.runtime.preprocess import preprocess_of
from cmsa.runtime.sessions import Precision, Runtime
from cmsa.structures import Box, FloatArray
from cmsa.tasks import task_of
from cmsa.tasks.task import Network

Boxes = Sequence[object] | NDArray[Any] | Detections | HasCorners | str | Path | DetectionFile | None
"""Boxes in pixels of the picture after its EXIF turn, as a call takes them."""

_MOST_SKIPPED = 1000
_MOST_LOGGED = 20

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
class _Waiting:
    """A picture of a stream: how many values it will have, and those that are there."""

    count: int
    values: list[Any] = field(default_factory=list)


class Predictor:
    """A model ready for pictures.

    Threads may share one; only ``skipped`` is then that of whichever was last. A process forked after a prediction
    predicts with one thread of PyTorch's, and not at all with the other runtimes: start it with spawn instead.

    Args:
        model: of ``create_model`` or ``load_weights``; a fused copy in eval mode is kept.
        device: where to run it, e.g. ``cpu`` or ``cuda``.
        threads: on the CPU, for one picture or batch, PyTorch's for the whole process; None leaves them as they are.
        runtime: ``torch``, ``onnxruntime`` or ``openvino``, see ``cmsa.export.converted``. The last two export the
            model when it is first used, and keep the file for the next time.
        precision: ``float32``, or ``bf16`` where runtime and machine have it.
        exported: a file of ``cmsa export`` of this model, e.g. in int8, to compute with instead.
        detector: finds the boxes of pictures that come without: a detector, or what ``make_detector`` makes one of,
            e.g. ``motion`` or ``FILE.onnx``. None takes such a picture as one box.

    Attributes:
        description: what the model says of itself.
        task: that it was trained for.
        spec: how crops are cut.
        margin: how far a crop reaches beyond the box of a face, before ``spec`` extends it.
        network: normalised images (B, 3, H, W) float32 on ``device`` -> the head's output.
        detector: finds the boxes of pictures that come without.
        skipped: what the latest call or stream left out; of very much, the last 1000.
        skipped_count: how much that was.

    Raises:
        DetectorError: the detector cannot be made.
        FileNotFoundError: there is no such exported file.
        ValueError: the model was made without ``create_model`` and so does not say how it is fed; there is no such
            device, runtime or precision here; or the exported file is not of this model.

    Examples:
        >>> predictor = Predictor.from_pretrained("cmsa_n_pose_32x24")
        >>> people = predictor("examples/people/park.jpg", boxes=[[318, 92, 56, 151], [384, 129, 50, 135]])
        >>> len(people), people[0].names[:2], people[0].xy.shape
        (2, ('nose', 'left_eye'), (17, 2))
        >>> predictor("examples/people/park.jpg", boxes=[[2000, 0, 10, 10]]), predictor.skipped[0].reason
        ([], 'box (2000.0, 0.0, 10.0, 10.0) lies outside the picture of 516x774 (HxW) pixels')
    """

    def __init__(
        self,
        model: BaseNetwork,
        *,
        device: str | torch.device = "cpu",
        threads: int | None = None,
        runtime: Runtime | None = "torch",
        precision: Precision = "float32",
        exported: str | Path | None = None,
        detector: str | Path | Detector | None = None,
    ) -> None:
        self.description = describe(model)
        self.device = usable_device(device)
        self.preprocess = preprocess_of(self.description).to(self.device)
        self.task = task_of(model)
        self.spec, self.margin = crop_spec(model, self.task.padding), face_margin_of(model)
        self.network: Network
        if exported is None:
            self.network = network_for(model, runtime, self.device, threads, precision)
        else:
            # PyTorch is the runtime of a file only if this is its own.
            chosen = None if runtime == "torch" else runtime
            self.network = open_exported_of(exported, self.description, threads, chosen)
        self.detector = None if detector is None else as_detector(detector)
        where = getattr(self.network, "runtime", f"torch on {self.device}")
        self._computed = f"{where} in {precision}" if exported is None else str(exported)
        self.skipped: list[Skipped] = []
        self.skipped_count = 0
        self._told_of_whole, self._logged = False, 0

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | torch.device = "cpu",
        threads: int | None = None,
        runtime: Runtime | None = "torch",
        precision: Precision = "float32",
        exported: str | Path | None = None,
        detector: str | Path | Detector | None = None,
    ) -> Self:
        """A predictor from weights.

        Args:
            name: a shipped name (``cmsa_s_pose_32x24``), a ``.safetensors`` file, a folder that holds
                ``model.safetensors``, or the id of a model on the Hugging Face hub.
            device: as for the class.
            threads: as for the class.
            runtime: as for the class.
            precision: as for the class.
            exported: as for the class.
            detector: as for the class.

        Raises:
            FileNotFoundError: there are no such weights, or no such exported file.
            ValueError: the file is not a weights file of cmsa, or is damaged; and as for the class.
        """
        model = load_weights(find_weights(name))
        return cls(
            model,
            device=device,
            threads=threads,
            runtime=runtime,
            precision=precision,
            exported=exported,
            detector=detector,
        )

    def __repr__(self) -> str:
        height, width = self.description.input_size
        model = f"{self.description.name}, {self.task.name} at {height}x{width} (HxW) pixels"
        detector = "no detector" if self.detector is None else f"detector {self.detector.source}"
        return f"Predictor({model}, {self._computed}, {detector})"

    def __call__(
        self,
        image: ImageSource,
        boxes: Boxes = None,
        *,
        box_format: BoxFormat = "xywh",
        flip_test: bool = False,
        batch_size: int = 32,
    ) -> list[Any]:
        """Predict one value for each box.

        Args:
            image: a path, an array (RGB), a PIL image or the bytes of a file, see ``read_image``.
            boxes: an array or a list of four numbers in pixels of the picture, behind which a score and a class may
                stand; a list of ``Box``; ``Detections``, also those of supervision; a COCO detection file (its entries
                for this picture); or None: what the detector finds, without one the whole picture.
            box_format: of the four numbers: ``xywh``, left, top, width and height; or ``xyxy``, two corners.
            flip_test: average with the mirrored crops.
            batch_size: crops at a time; bounds the memory.

        Returns:
            Keypoints, head poses or class scores, in the order of the boxes. Boxes that have no area, are less than a
            pixel wide or high, lie outside the picture or are no numbers have no value: see ``skipped``.

        Raises:
            ImageError: the picture cannot be read.
            BoxesError: the boxes are of no known kind or no array of numbers, are corners without being called so or
                shares of the picture, a score is not 0 to 1, or their file cannot be read.
        """
        picture = read_image(image)
        cut = self._cut_one(image, boxes, picture, box_format)
        return next(self.predict_cuts([cut], flip_test=flip_test, batch_size=batch_size))

    def stream(
        self,
        items: Iterable[ImageSource | tuple[ImageSource, Boxes]],
        *,
        box_format: BoxFormat = "xywh",
        flip_test: bool = False,
        batch_size: int = 32,
    ) -> Iterator[list[Any]]:
        """Predict for any number of pictures, one after the other, in constant memory.

        Args:
            items: pictures, or (picture, boxes) pairs. Read a detection file once, with ``DetectionFile.read``.
            box_format: as for a call.
            flip_test: as for a call.
            batch_size: crops at a time, from several pictures where these are small. At most this many pictures are
                read before the first one's values come out; 1 gives each picture's values at once (a camera).

        Yields:
            For each item what a call would return; an empty list for a picture that cannot be read.

        Raises:
            BoxesError: as for a call.
            ValueError: a single picture is given, or an item is neither a picture nor a pair.
        """
        stacked = isinstance(items, np.ndarray) and items.ndim == 4
        single = isinstance(items, str | bytes | Path | Image.Image | np.ndarray) and not stacked
        if single or not isinstance(items, Iterable):
            raise ValueError(f"stream takes several pictures, got {type(items).__name__}: call the predictor for one")
        self._begin()
        cuts = (self._cut_item(place, item, box_format) for place, item in enumerate(items))
        yield from self.predict_cuts(cuts, flip_test=flip_test, batch_size=batch_size)

    def cut(self, picture: Picture, boxes: Sequence[object] | None, *, hurry: bool = False) -> CutPicture:
        """Cut the crops of a picture, without predicting; may be called from several threads.

        Args:
            picture: (H, W, 3) uint8 RGB.
            boxes: as ``usable_boxes`` takes them; None for the whole picture.
            hurry: see ``CutPicture``.
        """
        height, width = picture.shape[:2]
        if boxes is None:
            box = Box(0, 0, width, height)
            return CutPicture([self._region(picture, box, whole=True)], [0], {}, hurry)
        usable, reasons = usable_boxes(boxes, height, width)
        regions = [self._region(picture, box, whole=False) for box in usable.values()]
        return CutPicture(regions, list(usable), reasons, hurry)

    def predict_cuts(
        self, cuts: Iterable[CutPicture], *, flip_test: bool = False, batch_size: int = 32
    ) -> Iterator[list[Any]]:
        """Predict what was cut: for each picture one value for each region, in order, in batches across pictures.

        Args:
            cuts: of ``cut``.
            flip_test: as for a call.
            batch_size: as for ``stream``.
        """
        if not isinstance(batch_size, Integral) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
        waiting: deque[_Waiting] = deque()
        batch: list[tuple[Region, list[Any]]] = []
        for cut in cuts:
            waiting.append(_Waiting(len(cut.regions)))
            for region in cut.regions:
                batch.append((region, waiting[-1].values))
                if len(batch) == batch_size:
                    self._run(batch, flip_test)
            if cut.hurry or len(waiting) >= batch_size:
                self._run(batch, flip_test)
            while waiting and len(waiting[0].values) == waiting[0].count:
                yield waiting.popleft().values
        self._run(batch, flip_test)
        yield from (picture.values for picture in waiting)

    def crops(
        self, image: ImageSource, boxes: Boxes = None, *, box_format: BoxFormat = "xywh"
    ) -> list[tuple[Picture, FloatArray]]:
        """What the network sees: for each usable box the crop (H, W, 3) uint8 RGB and the 2x3 map from the picture.

        Arguments and errors are those of a call.
        """
        cut = self._cut_one(image, boxes, read_image(image), box_format)
        return [(region.crop, region.matrix) for region in cut.regions]

    def _cut_one(self, image: ImageSource, boxes: Boxes, picture: Picture, box_format: BoxFormat) -> CutPicture:
        """Cut the only picture of a call."""
        given = self._boxes_of(image, boxes, picture, box_format)
        self._begin()
        cut = self.cut(picture, given)
        self._skip_boxes(0, cut)
        return cut

    def _cut_item(self, place: int, item: ImageSource | tuple[ImageSource, Boxes], box_format: BoxFormat) -> CutPicture:
        """Read and cut an item of a stream; one that cannot be read has no regions."""
        if isinstance(item, tuple) and len(item) != 2:
            raise ValueError(f"item {place} of the stream is a picture or (picture, boxes), got {len(item)} values")
        image, boxes = item if isinstance(item, tuple) else (item, None)
        try:
            picture = read_image(image)
        except ImageError as error:
            self._skip(place, None, str(error))
            return CutPicture()
        cut = self.cut(picture, self._boxes_of(image, boxes, picture, box_format))
        self._skip_boxes(place, cut)
        return cut

    def _boxes_of(
        self, image: ImageSource, boxes: Boxes, picture: Picture, box_format: BoxFormat
    ) -> list[object] | None:
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
        if boxes is not None:
            return listed_boxes(boxes, box_format, picture.shape[:2])
        return self.find_boxes(picture, str(image) if isinstance(image, str | Path) else None)[0]

    def find_boxes(self, picture: Picture, name: str | None = None) -> tuple[list[object] | None, Detections]:
        """The boxes that the detector finds, None for the whole picture; and its detections.

        Args:
            picture: (H, W, 3) uint8 RGB.
            name: the picture's path, if it has one.
        """
        found = (self.detector or WholePicture())(picture, name)
        if found.source != WHOLE:
            return list(found.boxes), found
        if self.task.category is not None and not self._told_of_whole:
            self._told_of_whole = True
            logger.info(
                "no boxes and no detector: each whole picture is taken as one person, whether or not one is there"
            )
        return None, found

    def _begin(self) -> None:
        self.skipped, self.skipped_count = [], 0

    def _skip_boxes(self, item: int, cut: CutPicture) -> None:
        for place, reason in cut.reasons.items():
            self._skip(item, place, reason)

    def _skip(self, item: int, box: int | None, reason: str) -> None:
        self.skipped_count += 1
        self.skipped.append(Skipped(item, box, reason))
        del self.skipped[:-_MOST_SKIPPED]
        # Of all calls together: a loop over frames is as long as a stream.
        if self._logged == _MOST_LOGGED:
            return
        self._logged += 1
        where = f"picture {item}" if box is None else f"picture {item}, box {box}"
        logger.warning("%s left out: %s", where, reason)
        if self._logged == _MOST_LOGGED:
            logger.warning("what else is left out is counted (Predictor.skipped_count) and not logged")

    def _region(self, picture: Picture, box: Box, whole: bool) -> Region:
        area = box if whole else self.margin.widen(box)
        center = region_center(area, self.spec.convention)
        matrix = self.spec.base_matrix(center, (area.width, area.height))
        return Region(cut_crop(picture, matrix, self.spec.size, antialias=self.spec.antialias), matrix, box)

    @torch.inference_mode()
    def _run(self, batch: list[tuple[Region, list[Any]]], flip_test: bool) -> None:
        """Predict the crops that wait, and empty the batch."""
        if not batch:
            return
        about_to_compute("torch")
        images = self._images([region.crop for region, _ in batch])
        matrices, boxes = [region.matrix for region, _ in batch], [region.box for region, _ in batch]
        decoded = self.task.predict(self.network, images, flip_test)
        if first_not_finite(decoded) is not None:
            raise ValueError(f"what the network says {NOT_FINITE}")
        values = self.task.values(decoded, matrices, boxes)
        for (_, found), value in zip(batch, values, strict=True):
            found.append(value)
        batch.clear()

    def _images(self, crops: Sequence[Picture]) -> Tensor:
        images: Tensor = self.preprocess(torch.from_numpy(np.stack(crops)).to(self.device))
        return images
