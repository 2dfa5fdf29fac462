import math

import numpy as np
import pytest

from cmsa.inference.detectors.detections import Detections
from cmsa.inference.detectors.looked_up import WholePicture
from cmsa.inference.detectors.selection import Selection, SelectiveDetector, expand
from cmsa.structures import Box

BOXES = (Box(0, 0, 10, 20), Box(5, 5, 3, 4), Box(1, 2, 30, 10), Box(7, 7, 12, 40))
FOUND = Detections(BOXES, (0.5, 0.9, 0.2, 0.7), ("a", "b", "c", "d"), "test")


def test_everything_is_kept_unless_asked_otherwise():
    assert Selection()(FOUND) == FOUND


def test_score_size_and_number():
    assert Selection(score=0.5)(FOUND).labels == ("a", "b", "d")
    assert Selection(minimum_size=20)(FOUND).labels == ("a", "c", "d")
    assert Selection(maximum=2)(FOUND).labels == ("b", "d")
    assert Selection(minimum_size=5, maximum=2)(FOUND).labels == ("a", "d")


def test_expansion_keeps_the_centre():
    assert expand(Box(10, 20, 30, 40), 1.5) == Box(2.5, 10, 45, 60)
    assert Selection(expansion=2)(FOUND).boxes[0] == Box(-5, -10, 20, 40)
    assert expand(Box(10, 20, 30, 40), 1.5).center == Box(10, 20, 30, 40).center


@pytest.mark.parametrize(
    "wrong", [{"score": 1.5}, {"minimum_size": -1}, {"maximum": 0}, {"expansion": 0}, {"expansion": math.inf}]
)
def test_wrong_values_are_named(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        Selection(**wrong)


def test_unequal_counts_are_no_detections():
    with pytest.raises(ValueError, match="4 boxes, 1 scores and 4 labels"):
        Detections(BOXES, (0.5,), ("a",) * 4, "test")


def test_a_whole_picture_stays_whole():
    picture = np.zeros((10, 20, 3), np.uint8)
    detector = SelectiveDetector(WholePicture(), Selection(expansion=2, minimum_size=50))
    assert detector(picture).boxes == (Box(0, 0, 20, 10),)
    detector = SelectiveDetector(lambda picture, name: FOUND, Selection(minimum_size=20))
    assert detector(picture).labels == ("a", "c", "d")


def test_negative_scores_count_unless_a_threshold_is_asked_for():
    logarithms = Detections(BOXES[:2], (-3.0, -0.1), ("a", "b"), "test")
    assert Selection()(logarithms) == logarithms
    assert Selection(maximum=1)(logarithms).labels == ("b",)
    assert len(Selection(score=0.1)(logarithms)) == 0
