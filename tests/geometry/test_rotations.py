import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cmsa.geometry.rotations import (
    LARGEST_ANGLE,
    euler_to_matrix,
    flip_angles,
    flip_rotation,
    geodesic_distance,
    matrix_to_euler,
    matrix_to_rotation_6d,
    mean_rotation,
    rotate_in_plane,
    rotation_6d_to_matrix,
    transform_angles,
    wrap_degrees,
)

MIRROR = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))

degrees = st.floats(-180, 180, allow_nan=False)
angle_triples = st.tuples(degrees, degrees, degrees).map(lambda t: torch.tensor(t, dtype=torch.float64))
poses = st.tuples(st.floats(-89, 89), st.floats(-179, 179), st.floats(-179, 179)).map(
    lambda t: torch.tensor(t, dtype=torch.float64)
)
# All over the sphere of unit quaternions.
quaternions = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: math.hypot(*q) > 0.1)
rotations = quaternions.map(lambda q: torch.from_numpy(Rotation.from_quat(q).as_matrix()))
gimbal = st.tuples(st.sampled_from([-90.0, 90.0, -90 + 1e-7, 90 - 1e-5]), degrees, degrees).map(
    lambda t: torch.tensor(t, dtype=torch.float64)
)


def tensor(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@given(angle_triples)
def test_matrix_is_the_stated_product(angles: torch.Tensor) -> None:
    yaw, pitch, roll = angles.tolist()
    expected = (
        Rotation.from_euler("x", pitch, degrees=True)
        * Rotation.from_euler("y", -yaw, degrees=True)
        * Rotation.from_euler("z", roll, degrees=True)
    ).as_matrix()
    np.testing.assert_allclose(euler_to_matrix(angles).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("angles", "axis", "image_direction"),
    [
        ((30, 0, 0), 2, (-0.5, 0.0)),  # yaw > 0: the nose goes to the image's left
        ((0, 30, 0), 2, (0.0, -0.5)),  # pitch > 0: the nose goes up
        ((0, 0, 30), 0, (math.sqrt(0.75), 0.5)),  # roll > 0: the axis to the right dips, clockwise
        ((0, 0, 30), 1, (-0.5, math.sqrt(0.75))),  # ... and the chin goes to the left
        ((0, 0, 0), 2, (0.0, 0.0)),  # frontal: the nose points at the viewer
    ],
)
def test_golden_directions(angles: tuple[float, ...], axis: int, image_direction: tuple[float, float]) -> None:
    column = euler_to_matrix(tensor(*angles))[:2, axis]
    np.testing.assert_allclose(column.numpy(), image_direction, atol=1e-12)


def test_golden_matrix() -> None:
    # yaw 30, pitch -20, roll 10, worked out entry by entry from the axes that Hopenet's draw_axis draws.
    expected = [
        [0.85286853, -0.15038373, -0.5],
        [0.33158796, 0.89572099, 0.29619813],
        [0.40331711, -0.41841204, 0.81379768],
    ]
    angles = tensor(30, -20, 10)
    np.testing.assert_allclose(euler_to_matrix(angles).numpy(), expected, atol=1e-8)
    np.testing.assert_allclose(matrix_to_euler(torch.tensor(expected, dtype=torch.float64)), angles, atol=1e-5)


@given(poses)
def test_euler_round_trip(angles: torch.Tensor) -> None:
    torch.testing.assert_close(matrix_to_euler(euler_to_matrix(angles)), angles, atol=1e-9, rtol=0)


@given(st.one_of(rotations, gimbal.map(euler_to_matrix)))
def test_matrix_round_trip_everywhere(matrix: torch.Tensor) -> None:
    angles = matrix_to_euler(matrix)
    assert abs(angles[0]) <= 90 + 1e-9
    assert (angles[1:].abs() <= 180 + 1e-9).all()
    torch.testing.assert_close(euler_to_matrix(angles), matrix, atol=1e-9, rtol=0)


@given(gimbal.map(lambda angles: angles.float()))
def test_gimbal_lock_in_float32(angles: torch.Tensor) -> None:
    matrix = euler_to_matrix(angles)
    torch.testing.assert_close(euler_to_matrix(matrix_to_euler(matrix)), matrix, atol=1e-5, rtol=0)


@given(rotations)
def test_6d_round_trip(matrix: torch.Tensor) -> None:
    torch.testing.assert_close(rotation_6d_to_matrix(matrix_to_rotation_6d(matrix)), matrix, atol=1e-9, rtol=0)


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_any_6d_numbers_give_a_rotation(numbers: list[float]) -> None:
    six = tensor(*numbers)
    if torch.linalg.cross(six[:3], six[3:]).norm() < 1e-2:
        return
    matrix = rotation_6d_to_matrix(six)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3, dtype=torch.float64), atol=1e-9, rtol=0)
    assert torch.linalg.det(matrix) == pytest.approx(1)


@given(st.floats(0, 180), rotations, st.sampled_from([0, 1, 2]))
def test_geodesic_distance_is_the_angle_turned(angle: float, start: torch.Tensor, axis: int) -> None:
    turn = torch.from_numpy(Rotation.from_rotvec(np.eye(3)[axis] * angle, degrees=True).as_matrix())
    assert geodesic_distance(start, start @ turn).item() == pytest.approx(angle, abs=1e-6)


def test_geodesic_distance_is_exact_near_0_and_180_in_float32() -> None:
    angles = torch.tensor([0.0, 1e-3, 179.999, 180.0])
    turned = euler_to_matrix(torch.stack((torch.zeros(4), torch.zeros(4), angles), dim=-1))
    torch.testing.assert_close(geodesic_distance(torch.eye(3).expand(4, 3, 3), turned), angles, atol=2e-5, rtol=0)


def test_geodesic_distance_has_finite_gradients() -> None:
    angles = torch.tensor([[0.0, 0, 0], [0, 0, 180], [1e-6, 0, 0], [40, 20, 10]], requires_grad=True)
    geodesic_distance(euler_to_matrix(angles), torch.eye(3)).sum().backward()
    assert angles.grad is not None
    assert angles.grad.isfinite().all()


@pytest.mark.parametrize(
    ("angle", "wrapped"), [(0, 0), (179, 179), (181, -179), (-181, 179), (180, -180), (540, -180), (-350, 10)]
)
def test_wrap_is_by_whole_turns(angle: float, wrapped: float) -> None:
    assert wrap_degrees(tensor(angle)).item() == pytest.approx(wrapped)


@given(poses)
def test_flip_mirrors_the_matrix(angles: torch.Tensor) -> None:
    assert flip_angles(angles).tolist() == [-angles[0], angles[1], -angles[2]]
    mirrored = MIRROR @ euler_to_matrix(angles) @ MIRROR
    torch.testing.assert_close(euler_to_matrix(flip_angles(angles)), mirrored, atol=1e-12, rtol=0)


@given(poses, degrees)
def test_turning_the_picture_turns_the_matrix_about_the_optical_axis(angles: torch.Tensor, turn: float) -> None:
    about_axis = torch.from_numpy(Rotation.from_euler("z", turn, degrees=True).as_matrix())
    turned = euler_to_matrix(rotate_in_plane(angles, turn))
    torch.testing.assert_close(turned, about_axis @ euler_to_matrix(angles), atol=1e-9, rtol=0)


def test_turning_a_frontal_head_adds_to_roll() -> None:
    torch.testing.assert_close(rotate_in_plane(tensor(0, 0, 10), 25), tensor(0, 0, 35), atol=1e-9, rtol=0)


def test_a_quarter_turn_swaps_yaw_into_pitch() -> None:
    # The nose points left; turned clockwise by 90 degrees it points up.
    matrix = euler_to_matrix(rotate_in_plane(tensor(30, 0, 0), 90))
    np.testing.assert_allclose(matrix[:2, 2].numpy(), (0, -0.5), atol=1e-12)


def test_each_head_has_its_own_turn() -> None:
    angles = tensor(0, 0, 0).expand(2, 3)
    turned = rotate_in_plane(angles, tensor(10, -20))
    torch.testing.assert_close(turned[:, 2], tensor(10, -20), atol=1e-9, rtol=0)


@given(poses, degrees, st.floats(0.2, 3), st.booleans(), st.booleans())
def test_warped_pictures_show_the_warped_axes(
    angles: torch.Tensor, turn: float, scale: float, flip_first: bool, flip_last: bool
) -> None:
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    linear = scale * tensor(cosine, -sine, sine, cosine).reshape(2, 2)
    left_right = torch.diag(tensor(-1, 1))
    linear = (left_right if flip_last else torch.eye(2).double()) @ linear
    linear = linear @ (left_right if flip_first else torch.eye(2).double())
    warp = torch.cat((linear, tensor(7, -3)[:, None]), dim=1)
    before, after = euler_to_matrix(angles), euler_to_matrix(transform_angles(angles, warp))
    # The nose's and the chin's directions in the picture move with the picture.
    torch.testing.assert_close(scale * after[:2, 1:], linear @ before[:2, 1:], atol=1e-9, rtol=0)


@given(angle_triples)
def test_a_mirrored_rotation_is_that_of_mirrored_angles(angles: torch.Tensor) -> None:
    torch.testing.assert_close(flip_rotation(euler_to_matrix(angles)), euler_to_matrix(flip_angles(angles)))


@given(angle_triples, st.floats(0, 175), quaternions)
def test_the_mean_rotation_is_half_way(angles: torch.Tensor, turn: float, axis: tuple[float, ...]) -> None:
    first = euler_to_matrix(angles)
    direction = np.array(axis[:3]) + 1e-3
    vector = direction / np.linalg.norm(direction)
    half, whole = (
        torch.from_numpy(Rotation.from_rotvec(vector * math.radians(share * turn)).as_matrix()) for share in (0.5, 1)
    )
    torch.testing.assert_close(mean_rotation(first, first @ whole), first @ half, atol=1e-9, rtol=0)


def test_half_a_turn_still_has_a_rotation_between() -> None:
    between = mean_rotation(torch.eye(3, dtype=torch.float64), torch.diag(torch.tensor([1.0, -1.0, -1.0]).double()))
    torch.testing.assert_close(between @ between.T, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(between) == pytest.approx(1)


def test_the_largest_angle_is_that_of_the_protocols() -> None:
    assert LARGEST_ANGLE == 99


def test_gimbal_lock_leaves_pitch_at_zero_where_it_is_exact() -> None:
    """A nose to the image's left: only roll - pitch is defined, and roll has all of it."""
    quarter = torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(matrix_to_euler(quarter), tensor(90, 0, 0), atol=1e-12, rtol=0)


def test_turns_of_batches_of_maps() -> None:
    """Half a turn for the first head, a mirror for the second, a shear whose nearest rotation is none for the third."""
    maps = tensor(-1, 0, 5, 0, -1, 7, -1, 0, 1, 0, 1, 1, 1, 0.5, 0, 0.5, 1, 0).reshape(3, 2, 3)
    turned = transform_angles(tensor(0, 0, 10).expand(3, 3), maps)
    torch.testing.assert_close(wrap_degrees(turned), tensor(0, 0, -170, 0, 0, -10, 0, 0, 10).reshape(3, 3))
