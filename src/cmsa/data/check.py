"""A look over a data set before hours of training: what would be left out, what is wrong, and what is odd.

Parts are read by the reader of ``cmsa prepare`` and pictures by its store writer, so that what is told here is what
happens there. Beyond that, labels are compared with their pictures, and the parts with each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cmsa.data.check_report import CheckedPart, CheckReport
from cmsa.data.crop_source import CropSource
from cmsa.data.crops import CropSpec
from cmsa.data.datasets import data_set
from cmsa.data.image import ImageError
from cmsa.data.label_counts import count_labels, label_names
from cmsa.data.prepare import checked_options
from cmsa.data.problems import Problems
from cmsa.data.samples import sources_of
from cmsa.data.store_writer import in_order
from cmsa.geometry.affine import apply_affine

Watch = Callable[[Iterable[Any], str, int], Iterable[Any]]

LARGEST_ENLARGEMENT = 2.0
"""Of a region; one with fewer pixels than half of the input's, along a side, has little to learn from."""
LEAST_SIDE = 64
"""Smaller pictures are not said to look alike: digits do."""


def check(
    name: str,
    parts: Mapping[str, Mapping[str, Any]],
    *,
    size: tuple[int, int] | None = None,
    workers: int = 0,
    watch: Watch = lambda looked, part, total: looked,
) -> CheckReport:
    """Look over the parts of a data set; every picture is decoded.

    Args:
        name: of the data set, see ``cmsa.data.datasets``.
        parts: by their names, the options of the reader, ``training`` (bool) among them; the first one is the one to
            learn from.
        size: (H, W) of the network's input; by default the data set's usual one.
        workers: threads that decode pictures; 0 decodes in the caller's.
        watch: draws a progress bar: takes what was looked at of a part's pictures, the part's name and their number.

    Raises:
        ValueError: there is no such data set, an option is missing or means nothing for it, or the data cannot be
            used at all.

    Examples:
        >>> report = check("digits", {"train": {"training": True}, "val": {"training": False}})
        >>> len(report), report.parts["val"].counts["7"]
        (0, 42)
    """
    row = data_set(name)
    spec = row.framing.spec(size or row.size, training=False)
    report = CheckReport()
    seen: dict[bytes, tuple[str, str]] = {}
    alike: dict[bytes, tuple[str, str]] = {}
    for part, options in parts.items():
        given = dict(options)
        found = row.read(training=given.pop("training"), **checked_options(name, row, given))
        sources = sources_of(found.samples, spec)
        checked = CheckedPart(len(sources), sum(map(len, sources)), found.problems)
        checked.names, checked.counts = label_names(found.meta), count_labels(sources, found.meta)
        if not checked.samples:
            checked.problems.add("no sample that can be used", part)
        looks = watch(in_order(_look, sources, workers), part, len(sources))
        for place, (source, look) in enumerate(zip(sources, looks, strict=True)):
            # With the folder, which is the class where there are classes.
            picture = Path(*source.image.parts[-2:]).as_posix() if isinstance(source.image, Path) else f"number {place}"
            if isinstance(look, ImageError):
                checked.problems.add("picture that cannot be used", look)
                continue
            _look_at_labels(checked, source, picture, look.size, spec)
            _look_for_doubles(checked, source, picture)
            _compare(report.between, checked.odd, seen, look.digest, part, picture)
            if look.difference:
                _compare(report.alike, Problems(), alike, look.difference, part, picture)
        report.add(part, checked)
    return report


@dataclass(frozen=True)
class _Look:
    """What is kept of a picture: its size (H, W), and what tells it from others, exactly and nearly."""

    size: tuple[int, int]
    digest: bytes
    difference: bytes


def _look(source: CropSource) -> _Look | ImageError:
    try:
        pixels = source.read()
    except ImageError as error:
        return error
    size = pixels.shape[0], pixels.shape[1]
    large = isinstance(source.image, Path) and min(size) >= LEAST_SIDE
    return _Look(size, _digest(pixels), _difference_hash(pixels) if large else b"")


def _look_at_labels(
    checked: CheckedPart, source: CropSource, picture: str, size: tuple[int, int], spec: CropSpec
) -> None:
    """Regions of few pixels, and keypoints where they cannot be seen or are not cut."""
    for place in range(len(source)):
        (x, y), (width, height) = source.centers[place].tolist(), source.extents[place].tolist()
        matrix = spec.base_matrix((x, y), (width, height))
        if matrix[0, 0] > LARGEST_ENLARGEMENT:
            checked.odd.add("region of fewer pixels than half of the network's input", picture)
        if "keypoints" not in source.labels:
            continue
        keypoints = np.asarray(source.labels["keypoints"][place], np.float64)
        marked = keypoints[keypoints[:, 2] > 0, :2]
        if not _inside(marked, size).all():
            checked.problems.add("keypoint that is marked outside of its picture", picture)
        elif not _inside(apply_affine(matrix, marked), spec.size).all():
            checked.odd.add("keypoint beyond the crop: the box does not hold the person", picture)


def _look_for_doubles(checked: CheckedPart, source: CropSource, picture: str) -> None:
    """People who would be learned, and scored, twice."""
    if "keypoints" in source.labels:
        marked = [keypoints.tobytes() for keypoints in source.labels["keypoints"] if keypoints[:, 2].any()]
        for _ in range(len(marked) - len(set(marked))):
            checked.problems.add("annotated twice, with the same keypoints", picture)
    if len(set(source.labels.get("image_id", np.zeros(1)).tolist())) > 1:
        checked.odd.add("picture with more than one id", picture)


def _inside(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which of (N, 2) points lie in a picture of (H, W), or within a pixel of it, which is rounding."""
    height, width = size
    return np.asarray(((points >= -1.5) & (points <= (width + 0.5, height + 0.5))).all(axis=1))


def _compare(
    between: Problems, within: Problems, seen: dict[bytes, tuple[str, str]], key: bytes, part: str, picture: str
) -> None:
    """Note a picture that was there before, in another part or in the same one."""
    other, first = seen.setdefault(key, (part, picture))
    if other != part:
        between.add(f"picture of {part} that is in {other} too", f"{picture} = {first}")
    elif first != picture:
        within.add("picture that is there twice", f"{picture} = {first}")


def _digest(pixels: NDArray[np.uint8]) -> bytes:
    found = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    found.update(np.ascontiguousarray(pixels).data)
    return found.digest()


def _difference_hash(pixels: NDArray[np.uint8]) -> bytes:
    """Whether each of 16 x 16 averaged places is brighter than its left neighbour: the same for a picture that was
    reduced or compressed again, and for the next frame of a camera that does not move."""
    grey = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (17, 16), interpolation=cv2.INTER_AREA)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes()
