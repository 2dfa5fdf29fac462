"""``supervision.KeyPoints``, of which the fields that are used here are the documented ones of 0.29 and later."""

import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cmsa.structures import COCO, Box, Keypoints, from_supervision, keypoint_set, to_supervision


@dataclass
class KeyPoints:
    """Stands for the real one where that is not installed."""

    xy: Any
    class_id: Any = None
    keypoint_confidence: Any = None
    detection_confidence: Any = None
    visible: Any = None
    data: Any = field(default_factory=dict)

    @classmethod
    def empty(cls):
        return cls(np.empty((0, 0, 2), np.float32))


@pytest.fixture(params=["documented", "installed"], autouse=True)
def library(request, monkeypatch):
    if request.param == "installed":
        return pytest.importorskip("supervision", minversion="0.29")
    module = ModuleType("supervision")
    module.KeyPoints = KeyPoints
    monkeypatch.setitem(sys.modules, "supervision", module)
    return module


def people(count=3):
    random = np.random.default_rng(0)
    return [
        Keypoints(random.uniform(0, 500, (17, 2)), random.uniform(0, 1, 17), COCO.names, Box(1, 2, 30 + number, 40))
        for number in range(count)
    ]


def test_there_and_back():
    found = people()
    key_points = to_supervision(found)
    assert key_points.xy.shape == (3, 17, 2)
    np.testing.assert_array_equal(key_points.class_id, [0, 0, 0])
    np.testing.assert_array_equal(key_points.visible, [person.scores > 0.2 for person in found])
    np.testing.assert_allclose(key_points.detection_confidence, [person.score for person in found], rtol=1e-6)
    for person, again in zip(found, from_supervision(key_points), strict=True):
        np.testing.assert_allclose(again.xy, person.xy, rtol=1e-6)
        np.testing.assert_allclose(again.scores, person.scores, rtol=1e-6)
        assert (again.box, again.names) == (person.box, person.names)


def test_nobody():
    assert from_supervision(to_supervision([])) == []


def test_what_another_model_found_has_boxes_around_its_keypoints(library):
    cow = keypoint_set(("nose", "tail", "hoof"))
    xy = np.array([[[10, 20], [40, 60], [900, 900]]], np.float32)
    scores = np.array([[0.9, 0.8, 0.1]], np.float32)
    (found,) = from_supervision(library.KeyPoints(xy=xy, keypoint_confidence=scores), cow)
    assert (found.box, found.keypoint_set) == (Box(10, 20, 31, 41), cow)
    (seen,) = from_supervision(library.KeyPoints(xy=xy, visible=scores > 0.5), cow)
    assert seen.scores.tolist() == [1, 1, 0]
    (certain,) = from_supervision(library.KeyPoints(xy=xy), cow)
    assert certain.scores.tolist() == [1, 1, 1]
    assert certain.box == Box(10, 20, 891, 881)


def test_other_keypoints_are_told(library):
    with pytest.raises(ValueError, match=r"must be \(N, 17, 2\) for this keypoint set, got \(1, 3, 2\)"):
        from_supervision(library.KeyPoints(xy=np.zeros((1, 3, 2), np.float32)))
    other = Keypoints(np.zeros((2, 2)), np.ones(2), ("a", "b"), Box(0, 0, 1, 1))
    with pytest.raises(ValueError, match=r"person 1 has the keypoints \('a', 'b'\), person 0 has"):
        to_supervision([people(1)[0], other])


def test_without_the_library_the_line_to_install_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'supervision>=0.29'"):
        to_supervision(people())
