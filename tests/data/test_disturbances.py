import pickle
from pathlib import Path

import numpy as np
import pytest

from cmsa.data.crops import CropSpec
from cmsa.data.disturbances import COVER, Disturbance, disturbances, disturbed
from cmsa.data.store import CropStore
from cmsa.geometry.affine import apply_affine

SIZE = (32, 24)
KINDS = {kind.name: kind for kind in disturbances(SIZE[0])}


def store_of(crops: np.ndarray) -> CropStore:
    matrix = np.tile([[0.5, 0, 3.0], [0, 0.5, -2]], (len(crops), 1, 1))
    return CropStore(Path(), crops, {"matrix": matrix}, CropSpec.for_evaluation(SIZE), {})


@pytest.fixture
def noise() -> CropStore:
    return store_of(np.random.default_rng(0).integers(0, 256, (6, *SIZE, 3), dtype=np.uint8))


def distance(one: CropStore, other: CropStore) -> float:
    return float(np.abs(one.crops.astype(float) - other.crops).mean())


def test_another_process_gets_the_disturbed_crops(noise: CropStore) -> None:
    """Not the file's, which a store that is opened anew would hold."""
    worse = disturbed(noise, KINDS["noise"], KINDS["noise"].strengths[-1])
    copy = pickle.loads(pickle.dumps(worse))
    np.testing.assert_array_equal(copy.crops, worse.crops)
    np.testing.assert_array_equal(copy.labels["matrix"], worse.labels["matrix"])
    assert copy.spec == worse.spec


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_stronger_is_further_away_and_the_seed_decides(kind: Disturbance, noise: CropStore) -> None:
    before = noise.crops.copy()
    steps = [distance(noise, disturbed(noise, kind, strength, seed=3)) for strength in kind.strengths]
    assert steps[0] > 0
    # Noise of full contrast is as far off after any change of the box.
    assert kind.name == "box jitter" or steps == sorted(steps)
    assert np.array_equal(noise.crops, before)
    last = kind.strengths[-1]
    again, other = (disturbed(noise, kind, last, seed) for seed in (3, 4))
    assert np.array_equal(again.crops, disturbed(noise, kind, last, seed=3).crops)
    assert np.array_equal(again.crops, other.crops) == (kind.name not in ("noise", "box jitter", "occlusion"))
    assert again.crops.dtype == np.uint8


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_crop_does_not_depend_on_the_others(kind: Disturbance, noise: CropStore) -> None:
    some = store_of(noise.crops[:3])
    assert np.array_equal(
        disturbed(some, kind, kind.strengths[1]).crops, disturbed(noise, kind, kind.strengths[1]).crops[:3]
    )


@pytest.mark.parametrize("name", ["noise", "darker", "brighter"])
def test_grey_levels(name: str) -> None:
    grey = store_of(np.full((8, *SIZE, 3), 60, np.uint8))
    for strength in KINDS[name].strengths[: 2 if name == "noise" else None]:
        crops = disturbed(grey, KINDS[name], strength).crops.astype(float)
        if name == "noise":
            assert crops.std() == pytest.approx(strength, rel=0.05)
        else:
            assert np.all(crops == 60 * strength)
    if name == "brighter":
        white = store_of(np.full((1, *SIZE, 3), 200, np.uint8))
        assert np.all(disturbed(white, KINDS[name], 2).crops == 255)


def test_labels_move_with_a_shifted_box() -> None:
    crops = np.zeros((20, *SIZE, 3), np.uint8)
    crops[:, 14:17, 10:13] = 250
    store = store_of(crops)
    moved = disturbed(store, KINDS["box jitter"], 0.2)
    # The spot's centre, (11, 15) in the crop, is (16, 34) in the picture.
    places = apply_affine(moved.labels["matrix"], np.tile([[16.0, 34.0]], (20, 1)))
    assert places.std(axis=0).min() > 1
    for crop, place in zip(moved.crops[..., 0].astype(float), places, strict=True):
        rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
        found = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
        np.testing.assert_allclose(found, place, atol=0.1)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_so_much_is_covered(share: float, noise: CropStore) -> None:
    covered = (disturbed(noise, KINDS["occlusion"], share).crops == COVER).all(axis=-1)
    assert covered.mean(axis=(1, 2)) == pytest.approx([share] * 6, abs=0.03)


def test_resolutions_are_below_the_input() -> None:
    assert KINDS["resolution"].strengths == (24, 16, 12, 8)
    assert [kind.strengths for kind in disturbances(128) if kind.name == "resolution"] == [(96, 64, 48, 32, 24, 16)]
    smooth = np.linspace(40, 200, 32)[:, None, None] * np.ones((1, *SIZE, 3))
    ramp = store_of(smooth.astype(np.uint8))
    assert distance(ramp, disturbed(ramp, KINDS["resolution"], 16)) < 3
