from __future__ import annotations

import contextlib
import io
import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cmsa.data.image import read_image
from cmsa.data.untrusted import FORMATS, RefusedPicture, read_untrusted


def encoded(kind: str, size: tuple[int, int] = (30, 20), **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it is large, and holds one row."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1 + 3 * width)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", FORMATS)
def test_pixels_are_those_of_the_one_reader(kind):
    content = encoded(kind)
    np.testing.assert_array_equal(read_untrusted(content, 1), read_image(content))


def test_exif_turns():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_untrusted(encoded("JPEG", exif=exif), 1).shape == (30, 20, 3)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "unknown"),
        (b"hello", "unknown"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unknown"),
        (encoded("PPM"), "unknown"),
        (encoded("PNG")[:200], "damaged"),
        (encoded("PNG", (2000, 600)), "large"),
        (png_of(20_000, 20_000), "large"),  # beyond Pillow's own limit
    ],
)
def test_others_are_refused_by_their_fault(content, fault):
    with pytest.raises(RefusedPicture) as told:
        read_untrusted(content, 1)
    assert told.value.fault == fault


def test_a_bomb_is_refused_by_its_header(monkeypatch):
    monkeypatch.setattr("cmsa.data.untrusted.read_image", lambda picture: pytest.fail("it was decoded"))
    with pytest.raises(RefusedPicture, match=r"5000x6000 \(HxW\) pixels are more than the 25 megapixels"):
        read_untrusted(png_of(6000, 5000), 25)


@pytest.mark.parametrize("size", [(1, 70_000), (70_000, 1)])
def test_a_picture_of_a_million_rows_is_not_decoded(size):
    with pytest.raises(RefusedPicture, match="no side may have more than 65,535 pixels") as told:
        read_untrusted(encoded("PNG", size), 25)
    assert told.value.fault == "large"
    assert read_untrusted(encoded("PNG", (65_535, 1)), 25).shape == (1, 65_535, 3)


def with_scans(content: bytes, more: int) -> bytes:
    """A progressive JPEG whose first scan comes again and again."""
    start = content.index(b"\xff\xda")
    again = content.index(b"\xff\xda", start + 2)
    return content[:start] + content[start:again] * more + content[again:]


def as_tiff(content: bytes, size: tuple[int, int]) -> bytes:
    """A grey TIFF of one strip, which is that JPEG."""
    entries = [(256, size[0]), (257, size[1]), (258, 8), (259, 7), (262, 1), (273, 200), (277, 1), (278, size[1])]
    entries.append((279, len(content)))
    found = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + found + bytes(4)).ljust(200, b"\0") + content


def several(content: bytes) -> bytes:
    """That JPEG, which says that it is the first of two in its file."""
    index = b"MPF\0II*\0\x08\0\0\0\x02\0" + struct.pack("<HHII", 0xB001, 4, 1, 2)
    index += struct.pack("<HHII", 0xB002, 7, 32, 38) + bytes(4) + struct.pack("<IIIHH", 0, len(content), 0, 0, 0) * 2
    return content[:2] + b"\xff\xe2" + struct.pack(">H", len(index) + 2) + index + content[2:]


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "TIFF"])
def test_a_jpeg_of_thousands_of_scans_is_not_decoded(kind):
    size = 1000, 800
    bomb = with_scans(encoded("JPEG", size, progressive=True), 3000)
    bomb = {"JPEG": bomb, "MPO": several(bomb), "TIFF": as_tiff(bomb, size)}[kind]
    assert Image.open(io.BytesIO(bomb)).format == kind
    began = time.monotonic()
    with pytest.raises(RefusedPicture, match="scans are more than the 200 that are decoded"):
        read_untrusted(bomb, 25)
    assert time.monotonic() - began < 1


def test_fewer_scans_of_a_larger_one():
    content = with_scans(encoded("JPEG", (1000, 800), progressive=True), 30)
    assert read_untrusted(content, 25).shape == (800, 1000, 3)
    with pytest.raises(RefusedPicture, match=r"scans are more than the 20 that are decoded of 800x1000 \(HxW\) pixels"):
        read_untrusted(content, 0.8)
    assert read_untrusted(encoded("JPEG", (1000, 800), progressive=True), 0.8).shape == (800, 1000, 3)


@settings(max_examples=200)
@given(st.sampled_from([encoded(kind) for kind in FORMATS]), st.data())
def test_damage_is_refused_or_harmless(content, data):
    damaged = bytearray(content)
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)))):
        damaged[place] = value
    # Any other error fails the test.
    with contextlib.suppress(RefusedPicture):
        picture = read_untrusted(bytes(damaged), 1)
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
