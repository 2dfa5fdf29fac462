"""What a reader of a data set yields: a picture, a region of it, and what is known of that region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmsa.data.crop_source import CropSource
from cmsa.data.crops import CropSpec
from cmsa.data.image import ImageError, picture_size
from cmsa.data.problems import Problems
from cmsa.geometry.crops import region_center
from cmsa.structures import Box


@dataclass(frozen=True, eq=False)
class Sample:
    """One region of a picture.

    Attributes:
        image: a file, or pixels (H, W, 3) uint8 RGB.
        labels: what is known, by name: numbers or arrays, of the same names, shapes and types for every sample.
            Coordinates are in pixels of the picture, pixel centres at integers. Of pose ``keypoints`` (K, 3) float32
            x, y, visibility; of head pose ``angles`` (3,) float32 degrees; of classification ``label``, int64.
        region: to be cut, before the crop's padding; None is the whole picture.
        size: (height, width) that the labels were made for, where that is known: a file of another size is left out.
        apply_exif: turn a file as its EXIF orientation says. False where labels belong to the stored pixels.
    """

    image: Path | NDArray[np.uint8]
    labels: Mapping[str, Any]
    region: Box | None = None
    size: tuple[int, int] | None = None
    apply_exif: bool = False


@dataclass(frozen=True, eq=False)
class Samples:
    """What a reader found.

    Attributes:
        samples: in the order of the store; may be a generator.
        meta: notes for the store: ``box_source``; of pose ``keypoints`` (``KeypointSet.to_json``); of classification
            ``classes``, the names in the order of their labels; ``data``, what the set is called.
        truth: arrays that scores need beyond the samples, see ``CropStore``.
        problems: what was left out, and why; may grow while ``samples`` is read.
    """

    samples: Iterable[Sample]
    meta: Mapping[str, Any]
    truth: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)


def sources_of(samples: Iterable[Sample], spec: CropSpec) -> list[CropSource]:
    """Samples grouped by picture, ready for ``cmsa.data.store_writer.build_store``."""
    groups: dict[object, list[Sample]] = {}
    for sample in samples:
        key = sample.image if isinstance(sample.image, Path) else id(sample.image)
        groups.setdefault(key, []).append(sample)
    return [_source(group, spec) for group in groups.values()]


def _source(group: list[Sample], spec: CropSpec) -> CropSource:
    first = group[0]
    regions = [sample.region or _whole(sample, spec) for sample in group]
    return CropSource(
        image=first.image,
        centers=np.array([region_center(region, spec.convention) for region in regions]),
        extents=np.array([(region.width, region.height) for region in regions]),
        labels={name: np.stack([np.asarray(sample.labels[name]) for sample in group]) for name in first.labels},
        size=first.size,
        apply_exif=first.apply_exif,
    )


def _whole(sample: Sample, spec: CropSpec) -> Box:
    if isinstance(sample.image, Path):
        try:
            height, width = picture_size(sample.image, apply_exif=sample.apply_exif)
        except ImageError:
            # The store counts and names what cannot be read.
            height, width = spec.size
    else:
        height, width = sample.image.shape[:2]
    return Box(0, 0, width, height)
