"""A video to try commands on: three seconds before a camera that does not move, through which a woman walks.

python examples/make_video.py door.mp4

It is a montage of one photo: people/park.jpg without her, over which the part that shows her moves to the left. The
photo is by David Pagnon, © 2022 perfanalytics, BSD-3-Clause (README.md beside this file), and so is the video.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

PARK = Path(__file__).parent / "people" / "park.jpg"
LEFT, TOP, WIDTH, HEIGHT = 652, 259, 108, 223  # where she is in the photo
STEPS, EMPTY, RATE = 48, 12, 20  # frames in which she walks, frames before that, frames a second
SIZE = 442, 248  # of the video, half the photo's

photo = cv2.imread(str(PARK)).astype(np.float32)
rows, columns = slice(TOP, TOP + HEIGHT), slice(LEFT, LEFT + WIDTH)
walker = photo[rows, columns].copy()

# How much each pixel is hers: all in the middle, nothing at the edge, so that no frame is seen around her.
along = [np.minimum(1, np.minimum(np.arange(side) + 0.5, np.arange(side)[::-1] + 0.5) / 14) for side in (HEIGHT, WIDTH)]
share = np.outer(*along)[:, :, None].astype(np.float32)


def put(picture: np.ndarray, patch: np.ndarray, left: int) -> None:
    """Lay a patch over the picture, ``left`` pixels from its edge."""
    under = picture[rows, left : left + WIDTH]
    under += share * (patch - under)


put(photo, photo[rows, LEFT - WIDTH : LEFT].copy(), LEFT)  # the lawn beside her

out = Path(sys.argv[1] if len(sys.argv) > 1 else "door.mp4")
video = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*"mp4v"), RATE, SIZE)
if not video.isOpened():
    sys.exit(f"{out}: cannot be written")
for number in range(-EMPTY, STEPS):
    frame = photo.copy()
    if number >= 0:
        put(frame, walker, LEFT - 5 * number)
    video.write(cv2.resize(frame, SIZE, interpolation=cv2.INTER_AREA).astype(np.uint8))
video.release()
print(f"wrote {out}: {EMPTY + STEPS} frames")
