from __future__ import annotations

import pytest

from cmsa.structures import keypoint_set
from cmsa.structures.sides import sides


@pytest.mark.parametrize(
    ("left", "right"),
    [
        *(("left_ear", "right_ear"), ("ear_left", "ear_right"), ("L_ear", "R_ear"), ("ear.l", "ear.r")),
        *(("leftEar", "rightEar"), ("lefteye", "righteye"), ("EyeLeft", "EyeRight"), ("LEar", "REar")),
        *(("lankle", "rankle"), ("l ankle", "r ankle"), ("kneeL", "kneeR"), ("Left-Ear", "Right-Ear")),
        *(("L1", "R1"), ("left front paw", "right front paw")),
    ],
)
def test_usual_spellings_of_left_and_right(left: str, right: str) -> None:
    points = keypoint_set(["rump", right, "tail", left])
    assert points.flip_pairs == ((3, 1),)
    assert points.flip_index == (0, 3, 2, 1)


def test_a_name_without_its_other_side_has_no_side() -> None:
    assert sides(["rear", "lip", "left_horn", "rump", "Lucky"]) == [
        ("", name) for name in ("rear", "lip", "left_horn", "rump", "lucky")
    ]
