from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmsa.inference.trackers.iou import IouTracker, box_iou
from cmsa.structures import Box

BOX = st.builds(Box, st.floats(0, 60), st.floats(0, 60), st.floats(5, 50), st.floats(5, 50))


def test_overlaps_are_those_of_the_definition():
    first, second = [Box(0, 0, 10, 10), Box(20, 20, 4, 4)], [Box(5, 0, 10, 10), Box(0, 0, 10, 20), Box(30, 0, 1, 1)]
    np.testing.assert_allclose(box_iou(first, second), [[50 / 150, 0.5, 0], [0, 0, 0]])
    assert box_iou([], second).shape == (0, 3)
    assert box_iou(first, []).shape == (2, 0)


@given(st.lists(BOX, min_size=1, max_size=4), st.data())
def test_the_assignment_is_the_best_of_all(before, data):
    after = data.draw(st.lists(BOX, min_size=len(before), max_size=len(before)))
    tracker = IouTracker(0.2)
    tracker(before)
    identities = tracker(after)
    overlaps = box_iou(before, after)
    counted = np.where(overlaps < 0.2, 0, overlaps)
    best = max(
        sum(counted[row, column] for row, column in enumerate(order)) for order in permutations(range(len(after)))
    )
    got = sum(overlaps[identity - 1, place] for place, identity in enumerate(identities) if identity <= len(before))
    assert got == pytest.approx(best)
    assert len(set(identities)) == len(after)


def test_ids_stay_when_boxes_change_places_in_the_list():
    tracker = IouTracker()
    assert tracker([Box(0, 0, 10, 20), Box(100, 0, 10, 20)]) == [1, 2]
    assert tracker([Box(101, 1, 10, 20), Box(1, 1, 10, 20), Box(50, 0, 10, 20)]) == [2, 1, 3]


def test_an_id_outlives_a_gap_but_not_its_age():
    tracker = IouTracker(maximum_age=2)
    here, there = Box(0, 0, 10, 20), Box(100, 0, 10, 20)
    assert tracker([here]) == [1]
    assert tracker([]) == []
    assert tracker([there]) == [2]
    assert tracker([here, there]) == [1, 2]
    for _ in range(3):
        tracker([there])
    assert tracker.identities == {2}
    assert tracker([here]) == [3]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"got 0, 30"):
        IouTracker(0)
