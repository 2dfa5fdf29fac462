"""Small pictures of one person each, made of noise, and the boxes of them: what a whole job is measured on."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

_SIZE = 160, 120
_BOX = 24.0, 16.0, 72.0, 128.0
_COARSE = 16
"""Pixels. Noise of this grain and a little of each pixel's own make files of 7 KB, as photographs of this size are."""


def make_pictures(folder: Path, count: int) -> tuple[Path, Path]:
    """Write ``count`` JPEG files of 160x120 (HxW) pixels, and a COCO detection file with a box for each.

    Returns:
        The folder of the pictures, and the file of boxes.
    """
    numbers = np.random.default_rng(0)
    pictures, boxes = folder / "pictures", folder / "boxes.json"
    pictures.mkdir(parents=True)
    entries = []
    for number in range(count):
        coarse = numbers.uniform(0, 255, (_SIZE[0] // _COARSE, _SIZE[1] // _COARSE, 3)).astype(np.float32)
        smooth = cv2.resize(coarse, _SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        pixels = (smooth + numbers.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
        name = f"{number:06d}.jpg"
        cv2.imwrite(str(pictures / name), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
        entries.append({"file_name": name, "category_id": 1, "bbox": _BOX, "score": 1.0})
    boxes.write_text(json.dumps(entries), encoding="utf-8")
    return pictures, boxes
