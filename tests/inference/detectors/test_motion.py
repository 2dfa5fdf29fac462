import numpy as np
import pytest

from cmsa.inference.detectors.detections import DetectorError
from cmsa.inference.detectors.motion import MotionDetector, merge_rectangles


def scene(*rectangles, height=240, width=320, seed=0):
    """A noisy grey wall, and on it bright rectangles (left, top, right, bottom)."""
    wall = np.full((height, width, 3), 90, np.uint8)
    for left, top, right, bottom in rectangles:
        wall[top:bottom, left:right] = 220
    noise = np.random.default_rng(seed).integers(0, 5, wall.shape, dtype=np.uint8)
    return wall + noise


def watched(detector, frames=15, **size):
    for seed in range(frames):
        assert len(detector(scene(seed=seed, **size))) == 0
    return detector


@pytest.mark.parametrize("method", ["mog2", "knn"])
@pytest.mark.parametrize("size", [(240, 320), (480, 640)])
def test_what_moves_is_boxed(method, size):
    height, width = size
    detector = watched(MotionDetector(method), height=height, width=width)
    found = detector(scene((100, 60, 140, 160), height=height, width=width, seed=99))
    (box,) = found.boxes
    np.testing.assert_allclose(box.xywh, (100, 60, 40, 100), atol=3)
    assert found.scores[0] > 0.9
    assert found.source == "motion"


def test_who_stands_still_stays_for_seconds_and_then_is_background():
    detector = watched(MotionDetector(history=500))
    person = (100, 60, 140, 160)
    found = [len(detector(scene(person, seed=seed))) for seed in range(120)]
    assert all(found[:40])
    assert not any(found[80:])


def test_fragments_of_one_person_become_one_box_and_specks_none():
    detector = watched(MotionDetector(merge=0.03))
    found = detector(scene((100, 60, 140, 100), (100, 108, 140, 160), (250, 200, 254, 204), seed=99))
    (box,) = found.boxes
    np.testing.assert_allclose(box.xywh, (100, 60, 40, 100), atol=3)


def test_two_people_stay_two():
    detector = watched(MotionDetector())
    found = detector(scene((40, 60, 80, 160), (200, 60, 240, 160), seed=99))
    np.testing.assert_allclose(sorted(box.x for box in found.boxes), [40, 200], atol=3)


def test_a_light_switched_on_is_no_person_and_another_size_starts_anew():
    detector = watched(MotionDetector())
    assert len(detector(scene((0, 0, 320, 240), seed=99))) == 0
    assert len(detector(scene((10, 10, 50, 90), height=120, width=160))) == 0


def test_nothing_for_a_size_is_no_error():
    assert len(MotionDetector()(np.zeros((5, 3, 3), np.uint8))) == 0


def test_wrong_arguments_are_named():
    with pytest.raises(DetectorError, match="mog2 or knn, got 'mog3'"):
        MotionDetector("mog3")
    with pytest.raises(DetectorError, match="got 0, 1, 320"):
        MotionDetector(history=0)


def test_merging_goes_on_until_nothing_is_near():
    chain = np.array([[0, 0, 10, 10], [30, 0, 40, 10], [12, 0, 28, 10], [100, 0, 110, 10]])
    assert merge_rectangles(chain, 2).tolist() == [[0, 0, 40, 10], [100, 0, 110, 10]]
    assert len(merge_rectangles(chain, 1)) == 4
    assert merge_rectangles(np.zeros((0, 4), np.int64), 1).shape == (0, 4)
