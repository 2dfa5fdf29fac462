import numpy as np
import pytest

from cmsa.structures import COCO, Box, ClassScores, HeadPose, Keypoints

BOX = Box(2, 3, 40, 50)


def test_a_box_has_its_centre_in_the_middle_of_its_pixels():
    assert Box(0, 0, 4, 3).center == (1.5, 1)
    assert BOX.xywh == (2, 3, 40, 50)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((0, 0, 0, 5), "must be positive"), ((0, 0, 5, -1), "must be positive"), ((0, float("nan"), 5, 5), "finite")],
)
def test_a_box_without_area_or_numbers_is_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        Box(*numbers)


def test_a_box_is_clipped_to_a_picture_of_height_and_width():
    assert Box(-5, 10, 30, 100).clip(height=60, width=20) == Box(0, 10, 20, 50)
    with pytest.raises(ValueError, match=r"outside the picture of 60x20 \(HxW\)"):
        Box(25, 0, 5, 5).clip(height=60, width=20)


def test_keypoints_are_checked_and_cannot_be_changed():
    person = Keypoints(np.zeros((17, 2)), np.linspace(0, 1, 17), COCO.names, BOX)
    with pytest.raises(ValueError, match="read-only"):
        person.xy[0, 0] = 1
    with pytest.raises(ValueError, match=r"Keypoints.xy must have shape \(17, 2\), got \(16, 2\)"):
        Keypoints(np.zeros((16, 2)), np.zeros(17), COCO.names, BOX)
    with pytest.raises(ValueError, match=r"Keypoints.scores must be finite"):
        Keypoints(np.zeros((17, 2)), np.full(17, np.nan), COCO.names, BOX)


def test_a_persons_score_is_the_mean_of_what_is_above_a_fifth():
    names = ("a", "b", "c")
    assert Keypoints(np.zeros((3, 2)), [0.2, 0.4, 0.8], names, BOX).score == pytest.approx(0.6)
    assert Keypoints(np.zeros((3, 2)), [0.1, 0.1, 0.2], names, BOX).score == 0


def test_angles_are_finite():
    assert HeadPose(10, -5, 3, BOX).yaw == 10
    with pytest.raises(ValueError, match=r"HeadPose.pitch must be finite, got inf"):
        HeadPose(0, float("inf"), 0, BOX)


def test_classes_best_first_and_probabilities_that_sum_to_one():
    scores = ClassScores([0.2, 0.7, 0.1], ("cat", "dog", "fox"), BOX)
    assert scores.top(2) == [("dog", 0.7), ("cat", 0.2)]
    with pytest.raises(ValueError, match=r"sum of 0.9"):
        ClassScores([0.2, 0.7, 0.0], ("cat", "dog", "fox"), BOX)
    with pytest.raises(ValueError, match="at least 0"):
        ClassScores([1.2, -0.2, 0.0], ("cat", "dog", "fox"), BOX)
