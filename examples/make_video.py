"""A video to try commands on: three seconds before a camera that does not move, through which a boy walks.

python examples/make_video.py door.mp4

It is a montage of one photo: people/park.jpg without him, over which the part that shows him moves up the path
towards his place. The other boy waits: who does not move is background to ``--detector motion``.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

PARK = Path(__file__).parent / "people" / "park.jpg"
LEFT, TOP, WIDTH, HEIGHT = 308, 80, 76, 176  # where he is in the photo
BESIDE = 125, -59  # right and down of it, where the path looks alike
STEP, SHORT = (5, -2.35), 17  # right and down, his step; how many of them before his place he is when the video ends
STEPS, EMPTY, RATE = 44, 12, 20  # frames in which he walks, frames before that, frames a second
SIZE = 386, 258  # of the video, half the photo's, even


def place(right: float, down: float) -> tuple[slice, slice]:
    """Rows and columns of the part of his size that lies so far from his place."""
    left, top = LEFT + round(right), TOP + round(down)
    return slice(top, top + HEIGHT), slice(left, left + WIDTH)


photo = cv2.imread(str(PARK)).astype(np.float32)
walker, path = photo[place(0, 0)].copy(), photo[place(*BESIDE)].copy()

# How much each pixel is his: all in the middle, nothing at the edge, so that no frame is seen around him.
along = [np.minimum(1, np.minimum(np.arange(side) + 0.5, np.arange(side)[::-1] + 0.5) / 10) for side in (HEIGHT, WIDTH)]
share = np.outer(*along)[:, :, None].astype(np.float32)
photo[place(0, 0)] += share * (path - walker)

out = Path(sys.argv[1] if len(sys.argv) > 1 else "door.mp4")
video = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*"mp4v"), RATE, SIZE)
if not video.isOpened():
    sys.exit(f"{out}: cannot be written")
for number in range(-EMPTY, STEPS):
    frame = photo.copy()
    if number >= 0:
        under = frame[place(*(side * (number - STEPS - SHORT) for side in STEP))]
        under += share * (walker - under)
    video.write(cv2.resize(frame, SIZE, interpolation=cv2.INTER_AREA).astype(np.uint8))
video.release()
print(f"wrote {out}: {EMPTY + STEPS} frames")
