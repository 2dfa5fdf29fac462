from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from cmsa.visualization.panel import (
    BACKGROUND,
    Label,
    _font,
    draw_panel,
    enlarge,
    insets_that_fit,
    size_text,
    text_width,
    write,
)

PICTURE = np.full((300, 600, 3), 200, np.uint8)


def of_color(panel: np.ndarray, color: tuple[int, int, int]) -> tuple[slice, slice]:
    """Rows and columns that hold ``color``."""
    there = (panel == color).all(axis=2)
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def size(span: tuple[slice, slice]) -> tuple[int, int]:
    return span[0].stop - span[0].start, span[1].stop - span[1].start


def test_picture_alone_has_margins():
    panel = draw_panel(PICTURE, [])
    assert size(of_color(panel, (200, 200, 200))) == (300, 600)
    assert (panel[:10] == BACKGROUND).all()
    assert (panel[:, -10:] == BACKGROUND).all()


@pytest.mark.parametrize(("shape", "expected"), [((50, 70), (400, 560)), ((4000, 2000), (1600, 800))])
def test_picture_is_scaled_to_a_readable_size(shape, expected):
    panel = draw_panel(np.full((*shape, 3), 200, np.uint8), [])
    assert size(of_color(panel, (200, 200, 200))) == expected


def test_insets_stand_at_right_in_reading_order_without_overlap():
    colors = [(250, 40, 40), (40, 250, 40), (40, 40, 250)]
    panel = draw_panel(PICTURE, [(np.full((32, 24, 3), color, np.uint8), "crop") for color in colors])
    spans = [of_color(panel, color) for color in colors]
    for rows, columns in spans:
        assert columns.start > 24 + 600
        assert (rows.stop - rows.start) / (columns.stop - columns.start) == pytest.approx(32 / 24, rel=0.02)
    places = [(rows.start, columns.start) for rows, columns in spans]
    assert places == sorted(places)
    assert all(a[1].stop <= b[1].start or a[0].stop <= b[0].start for a, b in pairwise(spans))


def test_captions_are_written_under_the_crops():
    crop = np.full((32, 8, 3), 0, np.uint8)
    blank, written = draw_panel(PICTURE, [(crop, "")]), draw_panel(PICTURE, [(crop, "32")])
    assert blank.shape == written.shape
    rows = np.flatnonzero((blank != written).any(axis=(1, 2)))
    assert rows[0] >= of_color(blank, (0, 0, 0))[0].stop


def test_a_long_caption_has_room():
    caption = "a caption far wider than its narrow crop"
    bare = draw_panel(PICTURE, [(np.zeros((32, 8, 3), np.uint8), "")])
    wide = draw_panel(PICTURE, [(np.zeros((32, 8, 3), np.uint8), caption)])
    assert wide.shape[1] > bare.shape[1]
    assert wide.shape[1] >= 600 + text_width(caption)


def test_wrong_inset_is_named():
    with pytest.raises(ValueError, match=r"insets\[1\] must be .* got \(32, 24\) uint8"):
        draw_panel(PICTURE, [(PICTURE, ""), (np.zeros((32, 24), np.uint8), "")])


def test_size_is_said_height_first():
    assert size_text(np.zeros((32, 24, 3), np.uint8)) == "32\N{MULTIPLICATION SIGN}24"


def test_enlarged_pixels_are_squares():
    crop = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    large, factor = enlarge(crop, 10)
    assert factor == 3
    assert large.shape == (6, 9, 3)
    np.testing.assert_array_equal(large[1::3, 1::3], crop)
    np.testing.assert_array_equal(large[::3, 2::3], crop)


@pytest.mark.parametrize(
    ("shape", "text", "room"),
    [
        ((1200, 1600), "14   32x24   score 0.83", 24),
        ((600, 560), "14   32x24   score 0.83", 9),
        ((300, 600), "14   32x32   yaw +30°  pitch -10°  roll +5°", 2),
        ((80, 560), "14   32x24   score 0.83", 3),
    ],
)
def test_as_many_insets_as_are_readable(shape, text, room):
    inset = np.zeros((640, 480, 3), np.uint8)
    fit = insets_that_fit(np.zeros((*shape, 3), np.uint8), inset, text)
    assert fit == room
    named = [(np.full((32, 24, 3), 255, np.uint8), text) for _ in range(fit)]
    panel = draw_panel(np.full((*shape, 3), 100, np.uint8), named)
    # At least so wide as its caption: no two captions run into each other, and the panel stays within two pictures.
    assert panel.shape[1] <= 48 + shape[1] + max(shape[1], 840) + 20
    white = (panel == 255).all(axis=2)
    assert white.sum() >= fit * (75 * 100 if shape[0] > 150 else 20 * 25)


@pytest.mark.parametrize("text", ["new\nline", "tab\t", "bell\a", "\ud800", "\u202e", "\r\n"])
def test_what_no_line_can_hold_is_a_space(text: str) -> None:
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    assert text_width(text) == text_width(shown)
    label, plain = (Label(words, (50, 50), 20, (255, 0, 0)) for words in (text, shown))
    assert (write(PICTURE, [label]) == write(PICTURE, [plain])).all()
    draw_panel(PICTURE, [(np.full((32, 24, 3), 40, np.uint8), text)])


@given(
    st.text("Agj|\N{MULTIPLICATION SIGN}° 木", max_size=6),
    st.floats(-40, 130),
    st.floats(-30, 90),
    st.integers(6, 40),
    st.sampled_from(["left", "center", "right"]),
)
def test_letters_are_those_that_pillow_writes_on_a_whole_picture(text, x, y, size, anchor):
    picture = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    whole = Image.fromarray(picture)
    font = _font(size)
    code = {"left": "lm", "center": "mm", "right": "rm"}[anchor]
    # In sixteenths of a pixel, which no sum rounds.
    position = round(x * 16) / 16, round(y * 16) / 16
    ImageDraw.Draw(whole).text(position, text, fill=(9, 200, 30), font=font, anchor=code)
    written = write(picture, [Label(text, position, size, (9, 200, 30), anchor)])
    np.testing.assert_array_equal(written, np.asarray(whole))
