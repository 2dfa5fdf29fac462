import numpy as np
import pytest

from cmsa.structures import Box, ClassScores
from cmsa.visualization.class_scores import draw_class_scores

GREY = 128


def test_bars_are_as_long_as_the_probabilities():
    scores = ClassScores(np.array([0.25, 0.75]), ("cat", "dog"), Box(0, 0, 32, 32))
    drawn = draw_class_scores(np.full((32, 20, 3), GREY, np.uint8), scores)
    assert (drawn[24 + 1, 24 + 1] == GREY).all()
    saturated = drawn[..., 2].astype(int) - drawn[..., 0] > 100
    lengths = sorted(set(saturated.sum(axis=1)) - {0})
    assert lengths == [65, 195]


def test_wrong_pictures_are_named():
    with pytest.raises(ValueError, match="float64"):
        draw_class_scores(np.zeros((5, 4, 3)), ClassScores(np.ones(1), ("cat",), Box(0, 0, 1, 1)))
