"""A small set of synthetic faces in the layout of 300W-LP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

HEIGHT, WIDTH = 80, 100


def write_faces(folder: Path, count: int = 8) -> Path:
    """Pictures of a bright square with a dark nose, whose place follows the yaw; the box is 40x30 at (30, 20)."""
    folder.mkdir(parents=True)
    for index in range(count):
        yaw = np.radians(-40 + 80 * index / max(1, count - 1))
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        picture[20:50, 30:70] = 180
        nose = int(50 - 15 * np.sin(yaw))
        picture[32:38, nose - 3 : nose + 4] = 20
        Image.fromarray(picture).save(folder / f"face{index}.jpg")
        landmarks = np.array([[30.0, 70, 50], [20, 50, 35]])
        savemat(
            folder / f"face{index}.mat", {"Pose_Para": np.array([[0.1, yaw, -0.05, 0, 0, 0, 1]]), "pt2d": landmarks}
        )
    return folder
