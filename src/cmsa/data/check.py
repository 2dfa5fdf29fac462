"""A look over a data set before hours of training: what would be left out, what is wrong, and what is odd.

Parts are read by the reader of ``cmsa prepare`` and pictures by its store writer, so that what is told here is what
happens there. Beyond that, labels are compared with their pictures, and the parts with each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cmsa.data.check_report import CheckedPart, CheckReport
from cmsa.data.crops import CropSpec
from cmsa.data.datasets import data_set
from cmsa.data.image import ImageError
from cmsa.data.label_counts import count_labels, label_names
from cmsa.data.prepare import checked_options
from cmsa.data.problems import Problems
from cmsa.data.samples import sources_of
from cmsa.data.store_writer import CropSource
from cmsa.geometry.affine import apply_affine

LARGEST_ENLARGEMENT = 2.0
"""A region with fewer pixels than half of the input's, along a side, has little to learn from."""
LEAST_SIDE = 64
"""Smaller pictures are not said to look alike: digits do."""


def check(
    name: str,
    parts: Mapping[str, Mapping[str, Any]],
    *,
    size: tuple[int, int] | None = None,
    watch: Callable[[Iterable[CropSource], str], Iterable[CropSource]] = lambda sources, part: sources,
) -> CheckReport:
    """Look over the parts of a data set; every picture is decoded.

    Args:
        name: of the data set, see ``cmsa.data.datasets``.
        parts: by their names, the options of the reader, ``training`` (bool) among them; the first one is the one to
            learn from.
        size: (H, W) of the network's input; by default the data set's usual one.
        watch: draws a progress bar while the pictures of a part are gone through.

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
        for place, source in enumerate(watch(sources, part)):
            picture = source.image.name if isinstance(source.image, Path) else f"number {place}"
            try:
                pixels = source.read()
            except ImageError as error:
                checked.problems.add("picture that cannot be used", error)
                continue
            _look_at_labels(checked, source, picture, pixels.shape[:2], spec)
            _compare(report.between, checked.odd, seen, _digest(pixels), part, picture)
            if isinstance(source.image, Path) and min(pixels.shape[:2]) >= LEAST_SIDE:
                _compare(report.alike, Problems(), alike, _difference_hash(pixels), part, picture)
        report.add(part, checked)
    return report


def _look_at_labels(
    checked: CheckedPart, source: CropSource, picture: str, size: tuple[int, ...], spec: CropSpec
) -> None:
    """Regions of few pixels, and keypoints where they cannot be seen or are not cut."""
    for place in range(len(source)):
        (x, y), (width, height) = source.centers[place].tolist(), source.extents[place].tolist()
        matrix = spec.base_matrix((x, y), (width, height))
        if matrix[0, 0] > LARGEST_ENLARGEMENT:
            checked.odd.add(
                f"region of less than {1 / LARGEST_ENLARGEMENT:g} times the network's pixels along a side", picture
            )
        if "keypoints" not in source.labels:
            continue
        keypoints = np.asarray(source.labels["keypoints"][place], np.float64)
        marked = keypoints[keypoints[:, 2] > 0, :2]
        if not _inside(marked, size).all():
            checked.problems.add("keypoint that is marked outside of its picture", picture)
        elif not _inside(apply_affine(matrix, marked), spec.size).all():
            checked.odd.add("keypoint beyond the crop: the box does not hold the person", picture)


def _inside(points: NDArray[np.float64], size: tuple[int, ...], slack: float = 1.0) -> NDArray[np.bool_]:
    """Which of (N, 2) points lie in a picture of (H, W, ...), or so near that it is rounding."""
    height, width = size[0], size[1]
    limit = np.array([width, height]) - 0.5 + slack
    return np.asarray(((points >= -0.5 - slack) & (points <= limit)).all(axis=1))


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
    shape = repr(pixels.shape).encode()
    return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes() + shape, digest_size=16).digest()


def _difference_hash(pixels: NDArray[np.uint8]) -> bytes:
    """Whether each of 16 x 16 averaged places is brighter than its left neighbour: the same for a picture that was
    reduced or compressed again, and for the next frame of a camera that does not move."""
    grey = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (17, 16), interpolation=cv2.INTER_AREA)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes()
