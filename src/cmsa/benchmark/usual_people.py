"""People as they are usually read for training: every sample decodes its picture and warps the person out of it."""

from __future__ import annotations

import random
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import Compose, Normalize, ToTensor  # type: ignore[import-untyped]

from cmsa.data.datasets.coco_entries import Person
from cmsa.data.transforms.affine import AffineRange
from cmsa.geometry.affine import apply_affine
from cmsa.geometry.crops import crop_affine, extend_to_aspect, region_center
from cmsa.structures import IMAGENET_MEAN, IMAGENET_STD, FloatArray, KeypointSet


class UsualPeople(Dataset[tuple[Tensor, Tensor]]):
    """The reference codes' data set (HRNet ``lib/dataset/JointsDataset.py``; mmpose does the same).

    Less is done here than there: the mirror is part of the warp instead of turning the whole picture, the order of
    colours is changed on the crop, and there are no half bodies and no heatmaps.

    Args:
        people: with keypoints.
        size: (H, W) of the images.
        keypoint_set: what the keypoints mean.
        limits: of scale, rotation and mirror.
    """

    def __init__(
        self,
        people: Sequence[Person],
        size: tuple[int, int],
        keypoint_set: KeypointSet,
        limits: AffineRange | None = None,
    ) -> None:
        self.people, self.size, self.keypoint_set = people, size, keypoint_set
        self.limits = limits or AffineRange()
        self.to_image = Compose([ToTensor(), Normalize(IMAGENET_MEAN, IMAGENET_STD)])

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """A normalised image (3, H, W) float32, and keypoints (K, 3) float32 of x, y in its pixels and visibility.

        Raises:
            OSError: OpenCV cannot read the picture.
        """
        person = self.people[index]
        picture = cv2.imread(str(person.file), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if picture is None:
            raise OSError(f"{person.file}: OpenCV cannot read it")
        matrix, flipped = self._draw(person)
        crop = cv2.warpAffine(picture, matrix, self.size[::-1], flags=cv2.INTER_LINEAR)
        assert person.keypoints is not None
        keypoints = person.keypoints[list(self.keypoint_set.flip_index)] if flipped else person.keypoints.copy()
        keypoints[:, :2] = apply_affine(matrix, keypoints[:, :2])
        image: Tensor = self.to_image(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB))
        return image, torch.from_numpy(keypoints.astype(np.float32))

    def _draw(self, person: Person) -> tuple[FloatArray, bool]:
        """A random 2x3 map from the picture to the image, and whether it mirrors."""
        limits = self.limits
        low, high = limits.scale_limits
        scale = min(max(random.gauss(1, limits.scale_std), low), high)
        rotation = 0.0
        if random.random() < limits.rotation_probability:
            rotation = min(max(random.gauss(0, limits.rotation_std), -limits.rotation_limit), limits.rotation_limit)
        width, height = extend_to_aspect(person.box, self.size)
        center = region_center(person.box, "pixel")
        matrix = crop_affine(center, (width * scale, height * scale), self.size, rotation)
        flipped = random.random() < limits.flip_probability
        if flipped:
            matrix[0] = -matrix[0]
            matrix[0, 2] += self.size[1] - 1
        return matrix, flipped
