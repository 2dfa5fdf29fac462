"""Recipes of very small networks."""

from __future__ import annotations

import pytest
from tiny_people import TINY

from cmsa.benchmark import training


@pytest.fixture
def tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the benchmark of training takes for the recipes' networks."""
    load = training.load_recipe

    def load_tiny(name):
        recipe = load(name)
        recipe.model.options |= TINY
        return recipe

    monkeypatch.setattr(training, "load_recipe", load_tiny)
