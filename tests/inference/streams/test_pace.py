import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmsa.inference.streams.pace import Pace


@given(st.floats(1, 20), st.lists(st.floats(0.01, 0.3), min_size=20, max_size=80))
def test_at_most_so_many_frames_a_second_by_their_own_times(fps, steps):
    times = np.cumsum(steps)
    pace = Pace(fps=fps)
    taken = np.array([time for number, time in enumerate(times) if pace.takes(number, time)])
    for start in taken:
        within = ((taken >= start) & (taken < start + 5)).sum()
        assert within <= 5 * fps + 2


def test_the_rate_holds_where_frames_do_not_fall_on_its_raster():
    pace = Pace(fps=10)
    assert sum(pace.takes(number, number / 29.97) for number in range(2997)) == pytest.approx(1000, abs=2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"every": 0}, "got 0"),
        ({"fps": 0}, "got 0"),
        ({"fps": float("nan")}, "nan"),
        ({"every": 2, "fps": 5}, "not both"),
    ],
)
def test_wrong_values_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        Pace(**wrong)
