from __future__ import annotations

import math

import pytest

from cmsa.serve.limits import Limits


def test_megabytes_are_of_a_million():
    assert Limits(megabytes=2.5).bytes == 2_500_000
    assert Limits(held_megabytes=64).held_bytes == 64_000_000


@pytest.mark.parametrize("name", ["megabytes", "megapixels", "boxes", "waiting", "connections", "seconds"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_limits_are_positive(name, value):
    with pytest.raises(ValueError, match=f"the limit of {name} must be above 0, got {value}"):
        Limits(**{name: value})


def test_one_request_fits_into_what_all_may_hold():
    with pytest.raises(ValueError, match=r"a request of 10 MB is more than all may hold together \(5 MB\)"):
        Limits(held_megabytes=5)
