"""Our networks as parameters of a test: the small ones always, the large ones, of the same parts, in ``make slow``."""

from __future__ import annotations

import pytest

from cmsa.models.variants import VARIANTS

LARGE = ("cmsa_b", "cmsa_l")
EVERY_VARIANT = [
    pytest.param(variant, marks=pytest.mark.exhaustive if variant in LARGE else ()) for variant in VARIANTS
]
