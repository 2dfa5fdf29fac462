"""Keypoints of one person by an exported file, with ONNX Runtime, NumPy and Pillow alone.

cmsa export cmsa_n_pose_32x24 --normalise --decode --out exported
python examples/deploy_onnx.py exported/cmsa_n_pose_32x24_normalised_decoded.onnx examples/people/park.jpg 318 92 56 151
"""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

try:
    path, photo = sys.argv[1:3]
    x, y, width, height = map(float, sys.argv[3:])
except ValueError:
    sys.exit("usage: deploy_onnx.py FILE.onnx PHOTO X Y WIDTH HEIGHT")


def opened(read: Callable[[str], Any], file: str) -> Any:
    """What ``read`` makes of a file, or one line that says what is wrong with it."""
    if not Path(file).is_file():
        sys.exit(f"{file}: there is no such file")
    try:
        return read(file)
    except Exception as error:  # ONNX Runtime has errors of its own
        sys.exit(f"{file}: cannot be read ({' '.join(str(error).split())})")


session = opened(lambda file: onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]), path)
picture = opened(lambda file: np.asarray(ImageOps.exif_transpose(Image.open(file)).convert("RGB"), np.float32), photo)
constants = json.loads(session.get_modelmeta().custom_metadata_map["cmsa"])
crop_height, crop_width = constants["input"]["height"], constants["input"]["width"]

# The box, about its centre, extended to the aspect of the crop and padded. Pixel centres are at integers, so the centre
# of pixels x ... x + width - 1 is x + (width - 1) / 2. (This is the convention "pixel"; a face has a margin besides.)
step = max(width / crop_width, height / crop_height) * constants["crop"]["padding"]  # picture pixels per crop pixel
left = x + (width - 1) / 2 - step * (crop_width - 1) / 2  # where the crop's first pixel has its centre
top = y + (height - 1) / 2 - step * (crop_height - 1) / 2


def weights(first: float, count: int, length: int) -> np.ndarray:
    """How much each picture pixel counts in each crop pixel: the mean of bilinear samples, one a picture pixel; black
    beyond the picture."""
    samples = max(1, math.ceil(step - 1e-6))
    places = first + step * ((np.arange(count * samples) - (samples - 1) / 2) / samples)
    triangle = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(length)))
    return triangle.reshape(count, samples, length).mean(axis=1)


rows, columns = weights(top, crop_height, len(picture)), weights(left, crop_width, picture.shape[1])
crop = np.rint(np.einsum("hy,yxc,wx->hwc", rows, picture, columns, optimize=True)).astype(np.uint8)

keypoints, scores = session.run(None, {constants["input"]["name"]: crop[None]})  # RGB uint8 (1, H, W, 3)
for name, (u, v), score in zip(constants["decoding"]["names"], keypoints[0], scores[0], strict=True):
    print(f"{name} {left + step * u:.2f} {top + step * v:.2f} {score:.3f}")
