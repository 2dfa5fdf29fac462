"""Crop geometry: every coordinate convention, stated once.

Points are (x, y) in pixels with pixel centres at integers; sizes are (height, width). An affine map is a 2x3
matrix ``A`` with ``q = A[:, :2] @ p + A[:, 2]``.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from cmsa.geometry.affine import invert_affine
from cmsa.structures import Box, FloatArray

CropConvention = Literal["pixel", "udp", "hrnet"]

BOX_PADDING = 1.25
"""A person's box is enlarged by this factor before it is cropped (HRNet ``lib/dataset/coco.py``)."""


def extend_to_aspect(box: Box, size: tuple[int, int], padding: float = BOX_PADDING) -> tuple[float, float]:
    """Width and height of the region to crop: the box extended to the aspect of ``size`` (H, W), then padded.

    Examples:
        >>> from cmsa import Box
        >>> extend_to_aspect(Box(10, 20, 30, 80), (32, 24))
        (75.0, 100.0)
    """
    aspect = size[1] / size[0]
    width = max(box.width, box.height * aspect)
    return width * padding, width / aspect * padding


def region_center(box: Box, convention: CropConvention) -> tuple[float, float]:
    """Centre (x, y) of the region to crop: of the box's pixels, or half a pixel right and below of it for ``hrnet``.

    HRNet takes ``x + width / 2``, the others ``x + (width - 1) / 2``.
    """
    x, y = box.center
    shift = 0.5 if convention == "hrnet" else 0.0
    return x + shift, y + shift


def crop_affine(
    center: tuple[float, float],
    extent: tuple[float, float],
    size: tuple[int, int],
    rotation: float = 0.0,
    convention: CropConvention = "pixel",
) -> FloatArray:
    """Affine map from the picture to a crop of ``size``.

    Args:
        center: (x, y) of the region's centre in the picture.
        extent: (width, height) of the region in pixels of the picture.
        size: (height, width) of the crop.
        rotation: degrees by which the region is turned clockwise in the image; the content turns the other way.
        convention: ``pixel`` maps the region's edges to the crop's edges (a resize); ``udp`` maps them to the
            centres of the border pixels, unit length size - 1 (UDP, arXiv 1911.07524); ``hrnet`` is HRNet's
            original warp, in which the centre falls half a pixel right and below of the crop's.

    Returns:
        2x3 matrix, picture to crop.

    Examples:
        >>> import numpy as np
        >>> from cmsa.geometry.affine import apply_affine
        >>> matrix = crop_affine((50.0, 40.0), (75.0, 100.0), (32, 24))
        >>> apply_affine(matrix, np.array([[50.0, 40.0], [12.5, -10.0]])).tolist()  # the centre, and the top left edge
        [[11.5, 15.5], [-0.5, -0.5]]
    """
    height, width = size
    if convention == "udp":
        step = float(extent[0]) / (width - 1), float(extent[1]) / (height - 1)
    else:
        step = float(extent[0]) / width, float(extent[1]) / height
    anchor = (width / 2, height / 2) if convention == "hrnet" else ((width - 1) / 2, (height - 1) / 2)
    cosine, sine = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    a, b, c, d = cosine * step[0], -sine * step[1], sine * step[0], cosine * step[1]
    x, y = center[0] - (a * anchor[0] + b * anchor[1]), center[1] - (c * anchor[0] + d * anchor[1])
    return invert_affine(np.array([[a, b, x], [c, d, y]], dtype=np.float64))
