"""A crop and the bars of its most likely classes."""

from __future__ import annotations

from cmsa.structures import ClassScores
from cmsa.visualization.panel import (
    FAINT_TEXT,
    Color,
    Label,
    Picture,
    check_picture,
    dark_ground,
    enlarge,
    text_width,
    write,
)

_BEST: Color = (72, 190, 255)
_OTHERS: Color = (38, 121, 232)
_GROUND: Color = (45, 48, 56)


def draw_class_scores(image: Picture, scores: ClassScores, top: int = 5) -> Picture:
    """The crop with its pixels visible, and bars of its most likely classes.

    Args:
        image: (H, W, 3) uint8 RGB, the crop that was classified.
        scores: its class probabilities.
        top: how many classes to show, at most as many as there are.

    Returns:
        A new picture: the crop at left, one bar for each class at right, best first.

    Raises:
        ValueError: ``image`` is not (H, W, 3) uint8, or ``top`` is less than 1.
    """
    check_picture("image", image)
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    best = scores.top(top)
    side, margin, size = 320, 24, 18
    crop, _ = enlarge(image, side)
    name_width = max(text_width(name, size) for name, _ in best)
    bar_left = margin + crop.shape[1] + margin + name_width + margin // 2
    bar_length, number_width = 260, text_width(" 100.0%", size)
    row_height = 44
    height = max(crop.shape[0], len(best) * row_height)
    canvas = dark_ground(height + 2 * margin, bar_left + bar_length + number_width + margin)
    crop_top = margin + (height - crop.shape[0]) // 2
    canvas[crop_top : crop_top + crop.shape[0], margin : margin + crop.shape[1]] = crop
    labels = []
    first_row = margin + (height - len(best) * row_height) / 2
    for row, (name, probability) in enumerate(best):
        middle = first_row + (row + 0.5) * row_height
        color = _BEST if row == 0 else _OTHERS
        above, below = round(middle - 9), round(middle + 9)
        canvas[above:below, bar_left : bar_left + bar_length] = _GROUND
        canvas[above:below, bar_left : bar_left + round(bar_length * probability)] = color
        labels.append(Label(name, (bar_left - margin / 2, middle), size, anchor="right"))
        end = bar_left + bar_length + number_width
        labels.append(Label(f"{probability:.1%}", (end, middle), size, FAINT_TEXT, "right"))
    return write(canvas, labels)
