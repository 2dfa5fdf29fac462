import pytest

from cmsa.geometry.face_margins import FACE_MARGINS, face_margin, hopenet_margin
from cmsa.structures import Box

BOX = Box(100, 200, 50, 80)


def hopenet(k: float, side: float = 0.6, top: float = 2, bottom: float = 0.6) -> tuple[float, ...]:
    """The reference code, line by line: each line sees what the lines before it changed."""
    x_min, y_min, x_max, y_max = 100.0, 200.0, 150.0, 280.0
    x_min -= side * k * abs(x_max - x_min)
    y_min -= top * k * abs(y_max - y_min)
    x_max += side * k * abs(x_max - x_min)
    y_max += bottom * k * abs(y_max - y_min)
    return x_min, y_min, x_max - x_min, y_max - y_min


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("hopenet-300w-lp", hopenet(0.3)),
        ("hopenet-aflw2000", hopenet(0.2)),
        ("hopenet-biwi", hopenet(0.35)),
        ("hopenet-aflw2000-wide", hopenet(0.2, side=2)),
        ("hopenet-biwi-low", hopenet(0.35, top=1)),
        ("fsanet", (70, 152, 110, 176)),
        ("fsanet-biwi", (80, 168, 90, 144)),
        ("none", BOX.xywh),
    ],
)
def test_margins(name: str, region: tuple[float, ...]) -> None:
    assert face_margin(name).widen(BOX).xywh == pytest.approx(region)


def test_hopenet_by_hand() -> None:
    for margin in (face_margin("hopenet-aflw2000"), hopenet_margin(0.2)):
        assert margin.widen(BOX).xywh == pytest.approx((94, 168, 62.72, 125.44))


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match="'tight': must be one of hopenet-300w-lp"):
        face_margin("tight")
    assert len(FACE_MARGINS) == 8
