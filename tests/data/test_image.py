from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cmsa.data.image import ImageError, picture_size, read_image

HEIGHT, WIDTH = 5, 8


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def encoded(picture: Image.Image, kind: str = "png", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def test_path_text_bytes_array_and_pil_give_the_same(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    file = tmp_path / "Фото 写真 ñ.png"
    Image.fromarray(rgb).save(file)
    for source in (file, str(file), file.read_bytes(), rgb, Image.fromarray(rgb), Image.open(file)):
        image = read_image(source)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        np.testing.assert_array_equal(image, rgb)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "LAB"])
def test_bands_make_the_whole(mode: str) -> None:
    """Large pictures are taken over in bands; the last one is not whole, and each row has values of its own."""
    pixels = np.random.default_rng(1).integers(0, 256, (601, 7, 4), dtype=np.uint8)
    start = Image.fromarray(pixels).convert("RGB" if mode in ("P", "CMYK", "YCbCr", "HSV", "LAB", "1") else "RGBA")
    picture = Image.frombytes("LAB", start.size, start.tobytes()) if mode == "LAB" else start.convert(mode)
    assert picture.mode == mode
    whole = np.asarray(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))
    if whole.shape[2] == 4:
        whole = np.rint(whole[..., :3] * (whole[..., 3:] / 255.0))
    np.testing.assert_array_equal(read_image(picture), whole)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_pixels_are_in_memory_once(mode: str) -> None:
    """Beside Pillow's own: many threads of a server decode at a time."""
    content = encoded(Image.new("RGB", (1000, 4000), (9, 8, 7)).convert(mode))
    read_image(content)
    tracemalloc.start()
    try:
        pixels = read_image(content)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * pixels.nbytes
    finally:
        tracemalloc.stop()


def test_views_become_contiguous(rgb: NDArray[np.uint8]) -> None:
    image = read_image(rgb[:, ::-1])
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, rgb[:, ::-1])


@pytest.mark.parametrize("channels", [(), (1,)])
def test_grey_arrays(rgb: NDArray[np.uint8], channels: tuple[int, ...]) -> None:
    grey = rgb[:, :, 0]
    image = read_image(grey.reshape(HEIGHT, WIDTH, *channels))
    np.testing.assert_array_equal(image, np.stack([grey] * 3, axis=2))


def test_transparency_is_blended_with_black(rgb: NDArray[np.uint8]) -> None:
    alpha = np.linspace(0, 255, HEIGHT * WIDTH).round().astype(np.uint8).reshape(HEIGHT, WIDTH, 1)
    blended = np.rint(rgb * (alpha / 255.0))
    rgba = np.concatenate([rgb, alpha], axis=2)
    for source in (rgba, Image.fromarray(rgba, "RGBA"), encoded(Image.fromarray(rgba, "RGBA"))):
        np.testing.assert_array_equal(read_image(source), blended)
    grey_alpha = np.concatenate([rgb[:, :, :1], alpha], axis=2)
    for source in (grey_alpha, encoded(Image.fromarray(grey_alpha, "LA"))):
        np.testing.assert_array_equal(read_image(source), np.repeat(blended[:, :, :1], 3, axis=2))


def test_sixteen_bits_are_scaled_not_cut(rgb: NDArray[np.uint8]) -> None:
    deep = rgb.astype(np.uint16) * 257
    np.testing.assert_array_equal(read_image(deep), rgb)
    np.testing.assert_array_equal(read_image(np.full((2, 3), 65535, dtype=np.uint16)), 255)
    grey = Image.fromarray(deep[:, :, 0])
    assert grey.mode.startswith("I;16")
    for source in (grey, encoded(grey), encoded(grey, "tiff")):
        np.testing.assert_array_equal(read_image(source), np.repeat(rgb[:, :, :1], 3, axis=2))


def test_sixteen_bit_colour_file(rgb: NDArray[np.uint8]) -> None:
    import cv2

    ok, content = cv2.imencode(".png", rgb[:, :, ::-1].astype(np.uint16) * 257)
    assert ok
    np.testing.assert_array_equal(read_image(content.tobytes()), rgb)


def test_floats_bools_and_wide_integers(rgb: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(read_image(rgb / 255.0), rgb)
    np.testing.assert_array_equal(read_image((rgb / 255.0).astype(np.float32)), rgb)
    np.testing.assert_array_equal(read_image(rgb.astype(np.int64)), rgb)
    np.testing.assert_array_equal(read_image(rgb > 99), np.where(rgb > 99, 255, 0))


def test_palette_with_and_without_transparency() -> None:
    picture = Image.new("P", (WIDTH, HEIGHT), 1)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    np.testing.assert_array_equal(read_image(encoded(picture)), np.broadcast_to([200, 100, 50], (HEIGHT, WIDTH, 3)))
    np.testing.assert_array_equal(read_image(encoded(picture, transparency=1)), 0)


def test_one_bit_files(rgb: NDArray[np.uint8]) -> None:
    mask = rgb[:, :, 0] > 127
    np.testing.assert_array_equal(
        read_image(encoded(Image.fromarray(mask))), np.repeat(mask[:, :, None], 3, axis=2) * 255
    )


def test_cmyk_jpeg() -> None:
    content = encoded(Image.new("CMYK", (WIDTH, HEIGHT), (0, 255, 255, 0)), "jpeg", quality=95)
    image = read_image(content).astype(int)
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(image - [255, 0, 0]).max() <= 4


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda stored: stored),
        (2, lambda stored: stored[:, ::-1]),
        (3, lambda stored: stored[::-1, ::-1]),
        (4, lambda stored: stored[::-1]),
        (5, lambda stored: stored.transpose(1, 0, 2)),
        (6, lambda stored: np.rot90(stored, -1)),
        (7, lambda stored: np.rot90(stored, 2).transpose(1, 0, 2)),
        (8, lambda stored: np.rot90(stored, 1)),
    ],
)
def test_exif_orientation(rgb: NDArray[np.uint8], orientation: int, turn: object) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(rgb), exif=exif)
    np.testing.assert_array_equal(read_image(content), turn(rgb))  # type: ignore[operator]
    np.testing.assert_array_equal(read_image(content, apply_exif=False), rgb)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("white", "black")]
    content = encoded(frames[0], "gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(content), 255)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"absent\.jpg: cannot be read \(No such file"):
        read_image(tmp_path / "absent.jpg")
    with pytest.raises(ImageError, match="Is a directory"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "it is empty"), (b"this is text", "no picture in a known format")]
)
def test_files_that_are_no_pictures_are_named(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "ž.jpg"
    file.write_bytes(content)
    with pytest.raises(ImageError, match=f"ž.jpg: cannot be decoded.*{message}"):
        read_image(file)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "gif"])
def test_truncated_files_are_named(kind: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    file = tmp_path / f"cut.{kind}"
    file.write_bytes(encoded(Image.fromarray(noise), kind)[:900])
    with pytest.raises(ImageError, match=f"cut.{kind}: cannot be decoded"):
        read_image(file)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 20, 30), np.uint8), r"shape \(3, 20, 30\) and type uint8: an image is H x W, or"),
        (np.zeros((2, 3, 4, 3), np.uint8), r"shape \(2, 3, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), "is empty"),
        (np.full((2, 3), 200.0), "float64 pixels must lie within 0 to 1, got 200 to 200"),
        (np.full((2, 3), np.nan), "must lie within 0 to 1, got nan"),
        (np.full((2, 3), -1), "int64 pixels must lie within 0 to 255, got -1"),
        (np.full((2, 3), 1j), "complex128: pixels must be numbers"),
    ],
)
def test_arrays_that_are_no_images_are_described(array: NDArray[np.generic], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(array)


def test_other_types_are_named() -> None:
    with pytest.raises(ImageError, match="got list"):
        read_image([[0, 1]])  # type: ignore[arg-type]


def test_a_picture_that_may_fill_the_memory_is_told_by_its_limit(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((30, 20, 3), np.uint8)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 250)
    with pytest.raises(ImageError, match=r"bomb\.png: has more than 500 pixels, and may be made to fill the memory$"):
        read_image(tmp_path / "bomb.png")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero")):
        for read in (read_image, picture_size):
            with pytest.raises(ImageError, match=rf"{path.name}: cannot be read \(it is a pipe or a device"):
                read(path)


def test_how_an_array_lies_in_memory_does_not_matter(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    fixed = rgb.copy()
    fixed.flags.writeable = False
    rgb.tofile(tmp_path / "raw")
    deep = rgb.astype(np.uint16) * 257
    for array in (
        rgb[::-1, :, ::-1].copy()[::-1, :, ::-1],
        np.asfortranarray(rgb),
        np.repeat(rgb, 2, axis=1)[:, ::2],
        fixed,
        np.memmap(tmp_path / "raw", np.uint8, "r", shape=rgb.shape),
        np.ma.masked_greater(rgb, 250),
        deep.astype(">u2"),
        deep.astype("<u2"),
        rgb.astype(">i8"),
    ):
        found = read_image(array)
        np.testing.assert_array_equal(found, rgb)
        assert type(found) is np.ndarray
        assert found.flags.c_contiguous
