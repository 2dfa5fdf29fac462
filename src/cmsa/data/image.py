"""Any picture -> RGB uint8: every odd input is handled here, once."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

ImageSource = str | Path | bytes | NDArray[np.generic] | Image.Image

PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".avif")
)
"""Files of a folder with other suffixes are not looked at; a file that is named is, whatever it is called."""

_FLOAT_TOLERANCE = 1e-3
_TURNED_ORIENTATIONS = (5, 6, 7, 8)
_BAND = 256
"""Rows that are taken over at a time."""


class ImageError(ValueError):
    """A picture that cannot be read; the message names its file, or the array's shape and type."""


def is_picture_name(name: str) -> bool:
    """Whether a file of a folder is taken for a picture: by its suffix, and it must not be hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES


def picture_size(path: Path, *, apply_exif: bool = True) -> tuple[int, int]:
    """(height, width) of a picture as ``read_image`` gives it, without decoding its pixels.

    Raises:
        ImageError: the file is missing, damaged or no picture.
    """
    _refuse_device(path)
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            turned = apply_exif and picture.getexif().get(ExifTags.Base.Orientation) in _TURNED_ORIENTATIONS
    except Exception as error:  # Pillow's readers report damage with many kinds of exception
        raise ImageError(f"{path}: cannot be read ({error})") from error
    return (width, height) if turned else (height, width)


def read_image(source: ImageSource, *, apply_exif: bool = True) -> NDArray[np.uint8]:
    """Read a picture as RGB.

    Args:
        source: a path, the bytes of an encoded picture, a PIL image, or an array of H x W, or H x W x C with C of
            1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA). Arrays are uint8 (0 to 255), uint16 (0 to 65535,
            scaled), floats (0 to 1), bool, or other integers that stay within 0 to 255.
        apply_exif: turn the picture as its EXIF orientation says. Annotated data sets pass False, because their
            coordinates belong to the stored pixels.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous. What is transparent is blended with black, the colour that crops have
        outside of the picture. Of an animation, the first frame.

    Raises:
        ImageError: the file is missing, damaged or no picture, or the array has another shape, type or range.

    Examples:
        >>> import numpy as np
        >>> read_image("examples/people/park.jpg").shape
        (516, 774, 3)
        >>> read_image(np.full((2, 3), 0.5)).tolist()[0]
        [[128, 128, 128], [128, 128, 128], [128, 128, 128]]
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, f"array of shape {source.shape} and type {source.dtype}")
    if isinstance(source, Image.Image):
        name = f"PIL image of mode {source.mode} and size {source.size}"
        return _from_pil(source, name, apply_exif)
    if isinstance(source, bytes):
        return _decode(source, f"encoded image of {len(source)} bytes", apply_exif)
    if isinstance(source, str | Path):
        _refuse_device(Path(source))
        try:
            content = Path(source).read_bytes()
        except (OSError, ValueError) as error:
            raise ImageError(f"{source}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
        return _decode(content, str(source), apply_exif)
    raise ImageError(f"an image is a path, bytes, an array or a PIL image, got {type(source).__name__}")


def _refuse_device(path: Path) -> None:
    """A pipe would be waited for, and a device may have no end.

    Raises:
        ImageError: it is neither a file nor a folder, which is told where it is read.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ImageError(f"{path}: cannot be read (it is a pipe or a device, and no file)")


def _decode(content: bytes, name: str, apply_exif: bool) -> NDArray[np.uint8]:
    if not content:
        raise ImageError(f"{name}: cannot be decoded (it is empty)")
    try:
        picture = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        # Pillow refuses at twice its limit.
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ImageError(f"{name}: has more than {most:,} pixels, and may be made to fill the memory") from error
    except Exception as error:  # Pillow's readers report damage with many kinds of exception
        raise ImageError(f"{name}: cannot be decoded (no picture in a known format, or damaged)") from error
    return _from_pil(picture, name, apply_exif)


def _from_pil(picture: Image.Image, name: str, apply_exif: bool) -> NDArray[np.uint8]:
    try:
        # Asked for first: where nothing is to turn, it would copy the picture.
        if apply_exif and picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            picture = ImageOps.exif_transpose(picture)
        if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
            # PIL would cut these at 255.
            return _from_array(_deep_grey(picture), name)
        return _from_bands(picture, name)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders report damage with many kinds of exception
        raise ImageError(f"{name}: cannot be decoded ({error})") from error


def _from_bands(picture: Image.Image, name: str) -> NDArray[np.uint8]:
    """Pixels band by band: at once, a large picture is in memory four times, and that many times for each thread."""
    width, height = picture.size
    if 0 in picture.size:
        raise ImageError(f"{name}: the image is empty")
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _BAND):
        band = picture.crop((0, top, width, min(top + _BAND, height)))
        pixels[top : top + _BAND] = _from_array(np.asarray(band if band.mode == mode else band.convert(mode)), name)
    return pixels


def _deep_grey(picture: Image.Image) -> NDArray[np.generic]:
    grey = np.asarray(picture)
    if picture.mode == "I" and grey.size and grey.min() >= 0 and grey.max() > 255:
        return grey.clip(0, 65535).astype(np.uint16)
    return grey.astype(np.uint16) if picture.mode.startswith("I;16") else grey


def _from_array(array: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise ImageError(f"{name}: an image is H x W, or H x W x C with 1 to 4 channels")
    if 0 in array.shape:
        raise ImageError(f"{name}: the image is empty")
    pixels = _to_uint8(array, name)
    if pixels.shape[2] in (2, 4):
        alpha = pixels[:, :, -1:].astype(np.uint16)
        pixels = ((pixels[:, :, :-1] * alpha + 127) // 255).astype(np.uint8)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels)


def _to_uint8(array: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if kind == "u" and array.dtype.itemsize == 2:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if kind not in "iuf":
        raise ImageError(f"{name}: pixels must be numbers")
    numbers = array.astype(np.float64)
    low, high = float(numbers.min()), float(numbers.max())
    top = 1.0 if kind == "f" else 255.0
    # Written so that NaN fails too.
    if not (low >= -_FLOAT_TOLERANCE and high <= top + _FLOAT_TOLERANCE):
        raise ImageError(f"{name}: {array.dtype} pixels must lie within 0 to {top:g}, got {low:g} to {high:g}")
    return np.rint(numbers.clip(0, top) * (255.0 / top)).astype(np.uint8)
