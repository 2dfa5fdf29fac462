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


def test_a_jpeg_of_thousands_of_scans_is_not_decoded():
    content = encoded("JPEG", (1000, 800), progressive=True)
    start = content.index(b"\xff\xda")
    again = content.index(b"\xff\xda", start + 2)
    bomb = content[:start] + content[start:again] * 3000 + content[again:]
    began = time.monotonic()
    with pytest.raises(RefusedPicture, match="scans are more than the 200 that are decoded"):
        read_untrusted(bomb, 25)
    assert time.monotonic() - began < 1


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
