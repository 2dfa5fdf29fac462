import numpy as np
import pytest

from cmsa.metrics.bootstrap import bootstrap, mean_intervals


def test_the_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(1).normal(5, 2, 2000)
    low, high = mean_intervals({"mean": values})["mean"]
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_scores_share_a_draw_and_the_draw_is_the_seeds():
    values = np.arange(50.0)
    both = mean_intervals({"one": values, "negative": -values})
    assert both["one"] == pytest.approx(tuple(-end for end in reversed(both["negative"])))

    def mean(drawn):
        return {"mean": values[drawn].mean()}

    assert bootstrap(mean, 50, seed=1) == bootstrap(mean, 50, seed=1) != bootstrap(mean, 50, seed=2)
    assert bootstrap(mean, 1)["mean"] == (0, 0)


def test_nothing_to_draw_from_is_an_error():
    with pytest.raises(ValueError, match="at least one unit"):
        mean_intervals({})


def test_the_ends_are_those_of_the_middle_95_percent_of_200_draws():
    places = iter(range(10**9))
    # The statistics of the draws are 0, 1, ..., 199, whose quantiles at 0.025 and 0.975 lie at these shares of 199.
    assert bootstrap(lambda _: {"place": next(places)}, 3)["place"] == pytest.approx((0.025 * 199, 0.975 * 199))
    assert next(places) == 200


def test_units_are_drawn_with_replacement_by_the_seed():
    seen = []
    bootstrap(lambda drawn: seen.append(drawn.tolist()) or {"none": 0.0}, 4, resamples=3, seed=7)
    generator = np.random.default_rng(7)
    assert seen == [generator.integers(4, size=4).tolist() for _ in range(3)]
    seen.clear()
    bootstrap(lambda drawn: seen.append(drawn.tolist()) or {"none": 0.0}, 4, resamples=1)
    assert seen == [np.random.default_rng(0).integers(4, size=4).tolist()]
