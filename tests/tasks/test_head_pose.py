import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cmsa.geometry.rotations import euler_to_matrix, flip_angles, matrix_to_rotation_6d, rotate_in_plane
from cmsa.metrics.head_pose import HeadPoseErrors
from cmsa.models.heads.table import ANGLE_HEADS
from cmsa.tasks.head_pose import HeadKind, HeadPoseTask, bin_angles, stagewise_angles

KINDS: tuple[HeadKind, ...] = ("ssr", "bins", "rotation_6d")
ANGLES = torch.tensor([[30.0, -20.0, 10.0], [-71.5, 5.0, 44.0]])


def raw_ssr(probability: list[float], shift: float, stretch: float) -> list[float]:
    """Head numbers that softmax and tanh turn into these."""
    return [*(math.log(p) for p in probability), math.atanh(shift), math.atanh(stretch)]


def test_stagewise_angles_golden() -> None:
    stages = [
        raw_ssr([0.1, 0.2, 0.7], 0.1, -0.2),
        raw_ssr([0.5, 0.3, 0.2], -0.3, 0.5),
        raw_ssr([0.2, 0.6, 0.2], 0.4, 0.25),
    ]
    output = torch.tensor(stages).expand(1, 3, 3, 5)
    # By hand: positions 0.7, -0.6, 0.4; widths 2.4, 2.4·4.5, 2.4·4.5·3.75.
    expected = 99 * (0.7 / 2.4 - 0.6 / 10.8 + 0.4 / 40.5)
    torch.testing.assert_close(stagewise_angles(output), torch.full((1, 3), expected), atol=1e-4, rtol=0)


def test_stagewise_angles_start_at_zero_and_stay_finite() -> None:
    assert stagewise_angles(torch.zeros(1, 3, 3, 5)).tolist() == [[0, 0, 0]]
    saturated = torch.full((1, 3, 3, 5), -1e4, requires_grad=True)
    angles = stagewise_angles(saturated)
    angles.sum().backward()
    assert angles.isfinite().all()
    assert saturated.grad is not None
    assert saturated.grad.isfinite().all()


def test_bin_angles_is_the_expectation() -> None:
    logits = torch.full((1, 3, 66), -1e4)
    logits[0, 0, 0] = 0
    logits[0, 1, 33] = logits[0, 1, 43] = 0
    logits[0, 2, 65] = 0
    torch.testing.assert_close(bin_angles(logits), torch.tensor([[-99.0, 15.0, 96.0]]))


def test_bins_are_hopenets() -> None:
    angles = torch.tensor([[-99.0, -96.01, 0.0], [98.9, 2.99, 3.0], [-120.0, 99.0, 150.0]])
    targets = HeadPoseTask("bins").encode({"angles": angles})
    assert targets["bins"].tolist() == [[0, 0, 33], [65, 33, 34], [0, 65, 65]]
    assert targets["bins"].dtype == torch.int64


def test_6d_round_trip() -> None:
    task = HeadPoseTask("rotation_6d")
    output = matrix_to_rotation_6d(euler_to_matrix(ANGLES))
    torch.testing.assert_close(task.decode(3 * output)[0], ANGLES, atol=1e-4, rtol=0)
    assert task.loss(output, task.encode({"angles": ANGLES})) < 1e-3


def test_6d_loss_is_the_angle_in_radians() -> None:
    task = HeadPoseTask("rotation_6d")
    output = matrix_to_rotation_6d(euler_to_matrix(rotate_in_plane(ANGLES, torch.tensor([20.0, 40.0]))))
    loss = task.loss(output, task.encode({"angles": ANGLES}))
    assert loss.item() == pytest.approx(math.radians(30), abs=1e-5)


def test_ssr_loss_is_the_mean_absolute_error() -> None:
    task = HeadPoseTask("ssr")
    loss = task.loss(torch.zeros(2, 3, 3, 5), task.encode({"angles": ANGLES}))
    assert loss.item() == pytest.approx((30 + 20 + 10 + 71.5 + 5 + 44) / 6)


def test_bins_loss_is_cross_entropy_and_squared_error() -> None:
    output = torch.zeros(2, 3, 66)
    mean = (0 + 65) / 2 * 3 - 99
    squared = (ANGLES - mean).square().mean().item()
    for alpha in (0.0, 2.0):
        task = HeadPoseTask("bins", alpha)
        loss = task.loss(output, task.encode({"angles": ANGLES}))
        assert loss.item() == pytest.approx(math.log(66) + alpha * squared, rel=1e-5)


@given(st.floats(-90, 90), st.booleans())
def test_encode_moves_the_head_with_the_picture(turn: float, mirror: bool) -> None:
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    linear = 0.7 * torch.tensor([[cosine, -sine], [sine, cosine]])
    if mirror:
        linear = torch.diag(torch.tensor([-1.0, 1.0])) @ linear
    matrices = torch.cat((linear, torch.tensor([[3.0], [4.0]])), dim=1).expand(2, 2, 3)
    moved = HeadPoseTask().encode({"angles": ANGLES, "matrices": matrices})["angles"]
    expected = rotate_in_plane(ANGLES, turn) * (torch.tensor([-1.0, 1, -1]) if mirror else 1)
    torch.testing.assert_close(moved, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_decoding_run_in_float32_under_autocast(kind: HeadKind) -> None:
    torch.manual_seed(0)
    task = HeadPoseTask(kind)
    output = ANGLE_HEADS[kind]((4, 4, 4))([torch.randn(2, 4, 4, 4)] * 3).bfloat16()
    targets = task.encode({"angles": ANGLES})
    with torch.autocast("cpu", torch.bfloat16):
        loss, (angles,) = task.loss(output, targets), task.decode(output)
    assert loss.dtype == angles.dtype == torch.float32
    torch.testing.assert_close(loss, task.loss(output.float(), targets))
    torch.testing.assert_close(angles, task.decode(output.float())[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_learns_one_batch(kind: HeadKind) -> None:
    torch.manual_seed(0)
    task = HeadPoseTask(kind)
    head = ANGLE_HEADS[kind]((16, 16, 16))
    maps = [torch.randn(2, 16, 4, 2) for _ in range(3)]
    targets = task.encode({"angles": ANGLES})
    optimizer = torch.optim.Adam(head.parameters(), lr=0.03)
    for _ in range(300):
        optimizer.zero_grad()
        task.loss(head(maps), targets).backward()
        optimizer.step()
    errors = HeadPoseErrors()
    errors.update(*task.decode(head(maps)), ANGLES)
    assert errors.compute()["mae"] < 1.5


def test_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="'euler': must be one of ssr, bins, rotation_6d"):
        HeadPoseTask("euler")  # type: ignore[arg-type]


def saying(*angles: float) -> torch.Tensor:
    """The output of a stagewise head of one stage that says angles (yaw, pitch, roll), up to 330 degrees."""
    output = torch.zeros(1, 3, 1, 5)
    output[0, :, 0, 3] = torch.tensor(angles).div(330).atanh()
    output[0, :, 0, 4] = math.atanh(-0.9)
    return output


@pytest.mark.parametrize(
    ("one", "other", "middle"), [(179, -179, -180), (-179, 177, 179), (178, -175, -178.5), (10, 20, 15), (-60, 40, -10)]
)
def test_the_flip_test_averages_the_shorter_way_round(one: float, other: float, middle: float) -> None:
    """Pitch keeps its sign in a mirror, yaw and roll change theirs."""
    (angles,) = HeadPoseTask("ssr").average(saying(one, one, one), saying(-other, other, -other))
    off = (angles - middle + 180) % 360 - 180
    torch.testing.assert_close(off, torch.zeros(1, 3), atol=1e-3, rtol=0)
    assert ((angles >= -180) & (angles < 180)).all()


@pytest.mark.parametrize("kind", ["ssr", "rotation_6d"])
def test_a_mirrored_head_averages_to_itself(kind: HeadKind) -> None:
    angles = torch.tensor([[30.0, -21.0, 9.0]])
    task = HeadPoseTask(kind)

    def output(of: torch.Tensor) -> torch.Tensor:
        return matrix_to_rotation_6d(euler_to_matrix(of)) if kind == "rotation_6d" else saying(*of[0].tolist())

    (found,) = task.average(output(angles), output(flip_angles(angles)))
    torch.testing.assert_close(found, angles, atol=1e-3, rtol=0)


def test_rotations_are_averaged_where_euler_angles_jump() -> None:
    """On both sides of yaw = 90 the angles differ by half a turn, the heads by two degrees."""
    task = HeadPoseTask("rotation_6d")
    near, beyond = torch.tensor([[89.0, 0.0, 0.0]]), torch.tensor([[91.0, 0.0, 0.0]])
    one = matrix_to_rotation_6d(euler_to_matrix(near))
    mirrored = matrix_to_rotation_6d(euler_to_matrix(flip_angles(beyond)))
    (found,) = task.average(one, mirrored)
    expected = euler_to_matrix(torch.tensor([[90.0, 0.0, 0.0]]))
    torch.testing.assert_close(euler_to_matrix(found), expected, atol=1e-5, rtol=0)
