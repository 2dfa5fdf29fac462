import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmsa.inference.trackers.one_euro import KeypointSmoother, OneEuroFilter
from cmsa.structures import COCO, Box, Keypoints


def by_the_paper(samples, times, minimum_cutoff, beta, derivative_cutoff):
    """The algorithm of the paper's figure 1, one number at a time."""

    def alpha(cutoff, step):
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau / step)

    filtered, speed = [samples[0]], 0.0
    for before, now, sample in zip(times, times[1:], samples[1:], strict=False):
        step = now - before
        share = alpha(derivative_cutoff, step)
        speed = share * (sample - filtered[-1]) / step + (1 - share) * speed
        share = alpha(minimum_cutoff + beta * abs(speed), step)
        filtered.append(share * sample + (1 - share) * filtered[-1])
    return filtered


@given(
    st.lists(st.tuples(st.floats(-100, 100), st.floats(1e-3, 5)), min_size=1, max_size=20),
    st.floats(0.1, 5),
    st.floats(0, 2),
    st.floats(0.1, 5),
)
def test_it_is_the_paper_s_at_any_times(steps, minimum_cutoff, beta, derivative_cutoff):
    samples, times = [value for value, _ in steps], np.cumsum([step for _, step in steps]).tolist()
    smooth = OneEuroFilter(minimum_cutoff, beta, derivative_cutoff)
    got = [smooth(np.array([[sample, -sample]]), time) for sample, time in zip(samples, times, strict=True)]
    expected = by_the_paper(samples, times, minimum_cutoff, beta, derivative_cutoff)
    np.testing.assert_allclose([value[0, 0] for value in got], expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose([value[0, 1] for value in got], [-value for value in expected], rtol=1e-9, atol=1e-9)


def test_each_number_has_its_own_cut_off():
    smooth = OneEuroFilter(1, 10)
    smooth(np.array([0.0, 0.0]), 0)
    still, quick = smooth(np.array([0.001, 100.0]), 0.04)
    assert still / 0.001 < 0.3
    assert quick / 100 > 0.9


def test_time_must_rise():
    smooth = OneEuroFilter()
    smooth(np.zeros(2), 1.0)
    with pytest.raises(ValueError, match=r"times must rise, got 1.0 after 1.0"):
        smooth(np.zeros(2), 1.0)
    with pytest.raises(ValueError, match="must be positive"):
        OneEuroFilter(0)


def person(xy, box=None):
    return Keypoints(xy, np.linspace(0, 1, 17), COCO.names, box or Box(0, 0, 20, 50))


def test_people_do_not_mix_and_size_does_not_matter():
    random = np.random.default_rng(0)
    times = np.cumsum(random.uniform(0.01, 0.2, 10))
    paths = random.normal(0, 30, (10, 17, 2))
    smooth = KeypointSmoother(1.5, 3.0)
    alone = OneEuroFilter(1.5, 3.0 / 50)
    for path, time in zip(paths, times, strict=True):
        small = smooth(person(path), 1, time)
        large = smooth(person(10 * path, Box(0, 0, 200, 500)), 2, time)
        np.testing.assert_allclose(small.xy, alone(path, time), rtol=1e-9)
        np.testing.assert_allclose(large.xy, 10 * small.xy, rtol=1e-9)
    assert small.scores.tolist() == np.linspace(0, 1, 17).tolist()


def test_who_is_gone_is_forgotten():
    smooth = KeypointSmoother()
    smooth(person(np.zeros((17, 2))), 1, 0.0)
    smooth(person(np.zeros((17, 2))), 2, 0.0)
    smooth.keep({2})
    moved = person(np.full((17, 2), 9.0))
    assert smooth(moved, 1, 1.0).xy[0, 0] == 9
    assert 0 < smooth(moved, 2, 1.0).xy[0, 0] < 9
