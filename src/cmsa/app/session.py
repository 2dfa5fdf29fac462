"""What one visitor does on one tab -> what the tab shows. Nothing here knows of Gradio.

A session is a value: each click makes another one, and ``render`` draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from cmsa.app.boxes import MOST, Point, box_at, box_between, boxes_of_rows, rows_of_boxes
from cmsa.app.pictures import CROP_SIDE, Blocks, Pixel, show_attention, show_crop, show_picture
from cmsa.app.tabs import Tab
from cmsa.app.viewer import Sight, Viewer
from cmsa.data.boxes import BoxesError, usable_boxes
from cmsa.inference.detectors import Detector, Selection
from cmsa.structures import Box
from cmsa.visualization.panel import Picture, size_text

Clicks = Literal["choose", "draw"]
TALLEST, SHORTEST = 128, 16
"""Of a crop, in pixels: the resolutions of the paper, from 128x96 to 16x12 for people."""


@dataclass(frozen=True, eq=False)
class Session:
    """A picture and what is to be seen of it.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        boxes: none stands for the whole picture.
        source: where the boxes come from.
        height: of the crops, in pixels.
        chosen: place of the box that is looked at.
        corner: (x, y), the first corner of a box that is being drawn.
        pixel: (column, row) of what the network is given; None for its middle.
        blocks: whose attention is shown, see ``show_attention``.
        scale: pixels of the picture for each pixel of it as it was shown last.

    Raises:
        ValueError: the height is not 16 to 128.
    """

    picture: Picture
    boxes: tuple[Box, ...] = ()
    source: str = ""
    height: int = 32
    chosen: int = 0
    corner: Pixel | None = None
    pixel: Pixel | None = None
    blocks: Blocks = "last"
    scale: float = 1.0

    def __post_init__(self) -> None:
        # Whoever talks to the server without the slider must not ask for gigabytes.
        if not SHORTEST <= self.height <= TALLEST:
            raise ValueError(f"crops are {SHORTEST} to {TALLEST} pixels high, got {self.height}")

    def with_boxes(self, boxes: Sequence[Box], source: str, chosen: int = 0) -> Session:
        """The same picture with other boxes."""
        return replace(self, boxes=tuple(boxes), source=source, chosen=chosen, corner=None)

    def with_rows(self, rows: Sequence[Sequence[Any]]) -> Session:
        """The same picture with the boxes of a table.

        Raises:
            BoxesError: see ``boxes_of_rows``.
        """
        boxes = boxes_of_rows(rows, (self.picture.shape[0], self.picture.shape[1]))
        return self.with_boxes(boxes, "given", min(self.chosen, max(0, len(boxes) - 1)))

    def click(self, shown: Point, clicks: Clicks) -> Session:
        """A click on the full picture.

        Args:
            shown: (x, y) in pixels of the picture as it was shown last.
            clicks: ``choose`` takes the box there, if there is one; ``draw`` takes it for one of two corners.

        Raises:
            BoxesError: two corners make no box, or there are too many boxes already.
        """
        point = (shown[0] + 0.5) * self.scale - 0.5, (shown[1] + 0.5) * self.scale - 0.5
        if clicks == "choose":
            found = box_at(self.boxes, point)
            return self if found is None else replace(self, chosen=found)
        if self.corner is None:
            return replace(self, corner=(round(point[0]), round(point[1])))
        if len(self.boxes) >= MOST:
            raise BoxesError(f"there are {MOST} boxes already, which is the most that is taken here")
        drawn = (*self.boxes, box_between(self.corner, point))
        return self.with_boxes(drawn, "given", len(drawn) - 1)

    def detect(self, detector: Detector) -> Session:
        """The same picture with what a detector finds.

        Raises:
            DetectorError: the detector cannot run.
        """
        found = Selection(maximum=MOST)(detector(self.picture))
        usable, _ = usable_boxes(found.boxes, *self.picture.shape[:2])
        return self.with_boxes(list(usable.values()), found.source)


@dataclass(frozen=True, eq=False)
class View:
    """What a tab shows of a session.

    Attributes:
        status: a few sentences.
        rows: the table of boxes.
        result: the full picture.
        crop: what a camera of the chosen resolution gives, enlarged.
        given: what the network takes, enlarged.
        evidence: what the network put out.
        attention: where each head group looks; None where the network has no such attention.
        scale: pixels of the picture for each pixel of ``result``.
    """

    status: str
    rows: list[list[float]]
    result: Picture
    crop: Picture
    given: Picture
    evidence: Picture
    attention: Picture | None
    scale: float


def render(tab: Tab, viewer: Viewer, session: Session) -> View:
    """Look, and draw all that the tab shows."""
    sights = viewer.look(session.picture, session.boxes, session.height)
    sight = sights[session.chosen]
    drawn = tab.draw(viewer, session.picture, [one.value for one in sights])
    names = [f"{number} {tab.tag(one.value)}".strip() for number, one in enumerate(sights, start=1)]
    shape = session.picture.shape[0], session.picture.shape[1]
    result = show_picture(drawn, shape, [one.box for one in sights], names, session.chosen, session.corner)
    given, attention = look_from(session, sight)
    return View(
        status(tab, viewer, session, sight),
        rows_of_boxes(session.boxes),
        result,
        show_crop(sight.crop),
        given,
        tab.evidence(viewer, sight),
        attention,
        shape[1] / result.shape[1],
    )


def render_pixel(viewer: Viewer, session: Session) -> tuple[Picture, Picture | None]:
    """What changes with the clicked pixel alone: ``View.given`` and ``View.attention``."""
    boxes = session.boxes[session.chosen : session.chosen + 1]
    return look_from(session, viewer.look(session.picture, boxes, session.height)[0])


def look_from(session: Session, sight: Sight) -> tuple[Picture, Picture | None]:
    """What the network takes with the clicked pixel, and where each head group looks from there."""
    height, width = sight.given.shape[:2]
    column, row = session.pixel or (width // 2, height // 2)
    pixel = min(column, width - 1), min(row, height - 1)
    if not sight.attention:
        return show_crop(sight.given, pixel), None
    attention = show_attention(sight.given, sight.attention, pixel, session.blocks, sight.place)
    return show_crop(sight.given, pixel), attention


def status(tab: Tab, viewer: Viewer, session: Session, sight: Sight) -> str:
    """What is seen, in words."""
    height, width = session.picture.shape[:2]
    if session.corner is not None:
        return "First corner set: click on the opposite one."
    if not session.boxes:
        who = f"No box: the whole picture was taken as one {tab.noun}."
    else:
        count = f"{len(session.boxes)} box{'es' * (len(session.boxes) != 1)} ({session.source})"
        who = f"{count}, {tab.noun} {session.chosen + 1} is looked at."
    crop, given = size_text(sight.crop), size_text(sight.given)
    how = {True: "as it is", False: f"resampled to the {given} that the weights take"}[crop == given]
    return (
        f"**{tab.summary(sight.value)}.** {who} Of the picture of {height}\N{MULTIPLICATION SIGN}{width} the network "
        f"gets {crop} pixels (height \N{MULTIPLICATION SIGN} width), {how}."
    )


def pixel_at(point: Point, given: tuple[int, int]) -> Pixel:
    """(column, row) of what the network takes, (H, W), for a point of the enlarged picture of it."""
    factor = max(1, CROP_SIDE // max(given))
    column, row = int(point[0]) // factor, int(point[1]) // factor
    return min(max(column, 0), given[1] - 1), min(max(row, 0), given[0] - 1)
