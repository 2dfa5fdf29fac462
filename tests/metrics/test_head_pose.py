import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cmsa.data.crops import CropSpec
from cmsa.data.store import CropStore
from cmsa.metrics.head_pose import HeadPoseErrors, HeadPoseScore
from cmsa.tasks.head_pose import HeadPoseTask


def errors(predicted: list[list[float]], target: list[list[float]]) -> dict[str, float]:
    account = HeadPoseErrors()
    account.update(torch.tensor(predicted), torch.tensor(target))
    return account.compute()


def test_golden() -> None:
    results = errors([[10, 0, 3], [-45, 8, 0], [80, 0, 0]], [[12, 0, 0], [-45, 0, 0], [85, 0, 0]])
    assert results["yaw"] == pytest.approx(7 / 3)
    assert results["pitch"] == pytest.approx(8 / 3)
    assert results["roll"] == pytest.approx(1)
    assert results["mae"] == pytest.approx(2)
    assert results["count"] == 3
    assert results["mae_yaw_0_30"] == pytest.approx(5 / 3)
    assert results["mae_yaw_30_60"] == pytest.approx(8 / 3)
    assert results["mae_yaw_60_up"] == pytest.approx(5 / 3)
    assert results["count_yaw_0_30"] == 1


def test_a_bound_belongs_to_the_upper_bucket_and_the_sign_of_yaw_does_not_matter() -> None:
    results = errors([[30, 0, 0], [-30, 0, 0], [-29.9, 0, 0]], [[30, 0, 0], [-30, 0, 0], [-29.9, 0, 0]])
    assert (results["count_yaw_0_30"], results["count_yaw_30_60"]) == (1, 2)
    assert "count_yaw_60_up" not in results


@pytest.mark.parametrize(
    ("predicted", "target", "error"), [(170, -170, 20), (-90, 90, 180), (90, -88, 178), (10, 370, 0), (-5, 5, 10)]
)
def test_errors_wrap_at_360_only(predicted: float, target: float, error: float) -> None:
    assert errors([[0, 0, predicted]], [[0, 0, target]])["roll"] == pytest.approx(error)


def test_geodesic_error() -> None:
    # Yaw and roll by 30° each at pitch 0 is less than the 60° that the angles add up to.
    assert errors([[30, 0, 0]], [[0, 0, 0]])["geodesic"] == pytest.approx(30)
    expected = math.degrees(2 * math.acos(math.cos(math.radians(15)) ** 2))
    assert errors([[30, 0, 30]], [[0, 0, 0]])["geodesic"] == pytest.approx(expected)


@given(st.integers(1, 40), st.integers(1, 40))
def test_independent_of_batch_size(first: int, second: int) -> None:
    generator = torch.Generator().manual_seed(first * 41 + second)
    predicted, target = (torch.rand(40, 3, generator=generator) * 180 - 90 for _ in range(2))
    results = []
    for size in (first, second):
        account = HeadPoseErrors()
        for p, t in zip(predicted.split(size), target.split(size), strict=True):
            account.update(p, t)
        results.append(account.compute())
    assert results[0] == pytest.approx(results[1], rel=1e-12)


def test_accounts_of_processes_add_up() -> None:
    left, right, both = HeadPoseErrors(), HeadPoseErrors(), HeadPoseErrors()
    predicted, target = torch.randn(2, 6, 3).mul(20).unbind(0)
    left.update(predicted[:2], target[:2])
    right.update(predicted[2:], target[2:])
    both.update(predicted, target)
    left.totals += right.totals
    assert left.compute() == pytest.approx(both.compute())


def test_nothing_added_gives_nan_and_reset_forgets() -> None:
    account = HeadPoseErrors()
    account.update(torch.zeros(1, 3), torch.ones(1, 3))
    account.reset()
    results = account.compute()
    assert results["count"] == 0
    assert math.isnan(results["mae"])


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 2\)"):
        HeadPoseErrors().update(torch.zeros(2, 3), torch.zeros(2, 2))


def test_the_score_of_a_store_says_what_it_is_worth_and_how_faces_were_cut() -> None:
    spec = CropSpec.for_evaluation((8, 8))
    store = CropStore(
        Path(), np.zeros((4, 8, 8, 3), np.uint8), {}, spec, {"box_source": "landmarks", "margin": "fsanet"}
    )
    angles = torch.tensor([[10.0, 0, 0], [-40, 0, 0], [0, 6, 0], [0, 0, -2]])
    score = HeadPoseScore(store)
    score.update({"angles": angles[:3]}, (torch.zeros(3, 3),))
    score.update({"angles": angles[3:]}, (torch.zeros(1, 3),))
    table = score.compute()
    assert [table[name] for name in ("yaw", "pitch", "roll")] == pytest.approx([12.5, 1.5, 0.5])
    assert table["mae"] == pytest.approx(14.5 / 3)
    # Medians (the lower of the two in the middle): 0, 0, 0, but for roll, where it is 0 as well.
    assert table["constant"] == pytest.approx(14.5 / 3)
    assert (table["boxes"], table["margin"]) == ("landmarks", "fsanet")
    score.reset()
    score.update({"angles": angles[:1]}, (angles[:1],))
    assert score.compute()["mae"] == 0


def test_the_best_constant_answer_is_the_median() -> None:
    store = CropStore(Path(), np.zeros((3, 8, 8, 3), np.uint8), {}, CropSpec.for_evaluation((8, 8)), {})
    score = HeadPoseScore(store)
    angles = torch.tensor([[10.0, 5, 0], [20, 5, 1], [60, 5, 5]])
    score.update({"angles": angles}, (angles,))
    table = score.compute()
    # Medians are 20, 5 and 1.
    assert table["constant"] == pytest.approx((10 + 0 + 40 + 0 + 1 + 0 + 4) / 9)
    assert (table["boxes"], table["margin"]) == ("unknown", "none")
    # Each third of the range of yaw has a head. By these names a sweep knows what will be measured.
    score.update({"angles": angles + 30}, (angles,))
    assert {name for name, value in score.compute().items() if isinstance(value, float)} == set(HeadPoseTask.scores)


def test_what_is_behind_the_score_of_heads() -> None:
    spec = CropSpec.for_evaluation((8, 8))
    score = HeadPoseScore(CropStore(Path(), np.zeros((4, 8, 8, 3), np.uint8), {}, spec, {}))
    truth, found = torch.zeros(4, 3), torch.tensor([[4.0, 0, 0], [-2, 0, 0], [1, 0, 0], [-7, 0, 3]])
    truth[1, 0], found[1, 0] = 179, -179
    score.update({"angles": truth[:1]}, (found[:1],))
    score.update({"angles": truth[1:]}, (found[1:],))
    yaw, _, roll, geodesic = score.details()["by_angle"]
    assert yaw == pytest.approx({"angle": "yaw", "bias": 0, "mean": 3.5, "median": 3, "90 %": 6.1})
    assert (roll["bias"], roll["median"]) == pytest.approx((0.75, 0))
    assert geodesic["mean"] == pytest.approx(score.compute()["geodesic"])
    rows = score.samples()
    assert [row["mae"] for row in rows] == pytest.approx([4 / 3, 2 / 3, 1 / 3, 10 / 3])
    assert (rows[3]["yaw"], rows[3]["predicted_yaw"], rows[3]["predicted_roll"]) == (0, -7, 3)
    low, high = score.intervals()["mae"]
    assert 1 / 3 <= low < score.compute()["mae"] < high <= 10 / 3
