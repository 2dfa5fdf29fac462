from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmsa.data.crops import CropSpec
from cmsa.data.datasets.faces import Face, Faces, as_samples, face_samples
from cmsa.data.samples import sources_of
from cmsa.data.store_writer import build_store
from cmsa.geometry.affine import apply_affine
from cmsa.structures import Box


@pytest.fixture
def faces(tmp_path: Path) -> Faces:
    """Two pictures of 120 x 160; the face is a white rectangle on black."""
    found = []
    for index, box in enumerate((Box(40, 30, 40, 20), Box(70, 20, 20, 60))):
        picture = np.zeros((120, 160, 3), np.uint8)
        x, y, width, height = (int(number) for number in box.xywh)
        picture[y : y + height, x : x + width] = 255
        file = tmp_path / f"face{index}.png"
        Image.fromarray(picture).save(file)
        found.append(Face(f"face{index}", file, (10.0 + index, -20.0, 5.5), box))
    return Faces(found, "landmarks")


def test_sources(faces: Faces) -> None:
    spec = CropSpec.for_evaluation((32, 32), padding=1)
    first, second = sources_of(face_samples(faces, "fsanet"), spec)
    assert first.labels["angles"].dtype == np.float32
    assert first.labels["angles"].tolist() == [[10, -20, 5.5]]
    assert second.labels["box"].tolist() == [[70, 20, 20, 60]]
    assert first.extents.tolist() == [[40 * 2.2, 20 * 2.2]]
    assert first.centers.tolist() == [list(Box(40, 30, 40, 20).center)]
    # Hopenet leaves more room above than below: the centre moves up.
    assert sources_of(face_samples(faces, "hopenet-300w-lp"), spec)[0].centers[0, 1] < first.centers[0, 1]


def test_a_store_of_faces(faces: Faces, tmp_path: Path) -> None:
    size = (24, 32)
    spec = CropSpec.for_evaluation(size, padding=1)
    store = build_store(tmp_path / "store", sources_of(face_samples(faces, "none"), spec), spec, progress=False)
    batch = store.read([0, 1])
    assert batch["angles"].tolist() == [[10, -20, 5.5], [11, -20, 5.5]]
    assert batch["crops"].shape == (2, 24, 32, 3)
    for crop, matrix, face in zip(batch["crops"].numpy(), store.labels["matrix"], faces.faces, strict=True):
        # Without margin the longer side fills the crop, and nothing is stretched.
        assert matrix[0, 0] == matrix[1, 1]
        rows, columns = np.nonzero(crop[:, :, 0] > 127)
        filled = (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
        assert filled == pytest.approx(face.box.width / face.box.height, rel=0.2)
        np.testing.assert_allclose(apply_affine(matrix, np.array(face.box.center)), (15.5, 11.5), atol=1e-9)


def test_another_margin_is_refused_before_anything_is_cut(faces: Faces) -> None:
    with pytest.raises(ValueError, match="face margin 'wide': must be one of"):
        as_samples(faces, "mine", "wide")  # type: ignore[arg-type]
