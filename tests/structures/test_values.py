import pytest

from cmsa.structures import Box, ClassScores, HeadPose

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


def test_rows_have_a_column_for_each_number():
    box = {"x": 2, "y": 3, "width": 40, "height": 50}
    assert BOX.row() == box
    assert HeadPose(10, -5, 3, BOX).row() == box | {"yaw": 10, "pitch": -5, "roll": 3}
    scores = ClassScores([0.2, 0.7, 0.1], ("cat", "dog", "fox"), BOX)
    assert scores.row() == box | {"class": "dog", "probability": 0.7}


def test_values_say_what_they_are_in_a_line():
    assert repr(HeadPose(10, -5.25, 3, BOX)) == (
        "HeadPose(yaw +10.0°, pitch -5.2°, roll +3.0°, box x=2 y=3 width=40 height=50)"
    )
    names = tuple(f"a class with a long name, number {number}" for number in range(7))
    line = repr(ClassScores([0.4, 0.3, 0.1, 0.08, 0.06, 0.04, 0.02], names, BOX))
    assert line.startswith(f"ClassScores({names[0]} 40.0%, {names[1]} 30.0%, ")
    assert line.endswith(f"{names[4]} 6.0%, 2 less likely, box x=2 y=3 width=40 height=50)")
    assert "less likely" not in repr(ClassScores([0.4, 0.6], names[:2], BOX))
