"""The shipped weights answer as they did when they came out: numbers of the package at the commit ``beedef1``."""

import json
from pathlib import Path

import numpy as np
import pytest

from cmsa import Predictor

EXAMPLES = Path(__file__).parents[2] / "examples"
ANSWERS = json.loads((Path(__file__).parent / "data" / "shipped_answers.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("name", ["cmsa_n_pose_32x24", "cmsa_s_pose_32x24", "cmsa_n_pose_64x48"])
def test_keypoints(name, flip_test):
    people = Predictor.from_pretrained(name)(
        EXAMPLES / "people" / "park.jpg", EXAMPLES / "people" / "boxes.json", flip_test=flip_test
    )
    expected = ANSWERS[name + ("_flip" if flip_test else "")]
    assert len(people) == len(expected) == 2
    for person, answer in zip(people, expected, strict=True):
        np.testing.assert_allclose(person.xy, answer["xy"], rtol=0, atol=0.01)
        np.testing.assert_allclose(person.scores, answer["scores"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["cmsa_n_head_pose_32x32", "cmsa_s_head_pose_32x32"])
def test_head_poses(name):
    (head,) = Predictor.from_pretrained(name)(EXAMPLES / "people" / "astronaut.jpg", EXAMPLES / "people" / "faces.json")
    np.testing.assert_allclose([head.yaw, head.pitch, head.roll], ANSWERS[name][0], rtol=0, atol=0.01)


def test_classes():
    name = "cmsa_n_classification_32x32"
    (scores,) = Predictor.from_pretrained(name)(EXAMPLES / "things" / "cup.jpg")
    np.testing.assert_allclose(scores.probabilities, ANSWERS[name][0], rtol=0, atol=1e-4)
