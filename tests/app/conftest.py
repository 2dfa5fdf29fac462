from __future__ import annotations

from pathlib import Path

import pytest

from cmsa.app.viewer import Viewer
from cmsa.data.image import read_image
from cmsa.guidance.shipped import DEFAULT_WEIGHTS

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def examples() -> Path:
    return EXAMPLES


@pytest.fixture(scope="session")
def park():
    return read_image(EXAMPLES / "people" / "park.jpg")


@pytest.fixture(scope="session")
def viewers() -> dict[str, Viewer]:
    """The default weights of each task."""
    return {task: Viewer(name) for task, name in DEFAULT_WEIGHTS.items()}
