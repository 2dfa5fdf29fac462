from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cmsa.app.uploads import Limits, UploadError, read_upload


def encoded(kind: str, size=(30, 20)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_usual_pictures_are_read(tmp_path, kind):
    path = tmp_path / "photo"
    path.write_bytes(encoded(kind))
    assert read_upload(path).shape == (20, 30, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello", "is no picture, or is damaged; .*JPEG, PNG"),
        (b"", "is no picture, or is damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture, or is damaged"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "is no picture, or is damaged"),
        (encoded("JPEG", (300, 200))[:9000], "is damaged and cannot be read"),
        (encoded("PNG")[:200], "is damaged and cannot be read"),
    ],
)
def test_others_are_refused_by_their_name_alone(tmp_path, content, words):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)
    with pytest.raises(UploadError, match=f"^holiday.jpg: .*{words}") as told:
        read_upload(path)
    assert str(tmp_path) not in str(told.value)


def test_a_file_that_is_too_large_is_not_opened(tmp_path):
    path = tmp_path / "holiday.png"
    path.write_bytes(b"x" * 2_500_000)
    with pytest.raises(UploadError, match=r"holiday.png: 2.5 MB are more than the 2 MB"):
        read_upload(path, Limits(megabytes=2))


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path, monkeypatch):
    path = tmp_path / "holiday.png"
    path.write_bytes(encoded("PNG", (2000, 600)))
    monkeypatch.setattr("cmsa.data.untrusted.read_image", lambda content: pytest.fail("it was decoded"))
    with pytest.raises(UploadError, match=r"600x2000 \(HxW\) pixels are more than the 1 megapixels"):
        read_upload(path, Limits(megapixels=1))


def test_an_upload_that_is_gone_is_told(tmp_path):
    with pytest.raises(UploadError, match=r"^gone.png: the upload is not there any more"):
        read_upload(tmp_path / "gone.png")


def test_limits_are_positive():
    with pytest.raises(ValueError, match="limits must be positive, got 0 megabytes"):
        Limits(megabytes=0)
