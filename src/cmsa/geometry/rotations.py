"""Head rotation: angles, matrices, the 6D representation, and what a flip or a turn of the picture does to them.

Angles are (yaw, pitch, roll) in degrees, 300W-LP convention: positive yaw turns the nose towards the left of the
image, positive pitch turns it up, positive roll turns the head clockwise in the image. The matrix

    R = Rx(pitch) · Ry(-yaw) · Rz(roll)

maps the axes of the head to image axes with x to the right, y down and z towards the viewer (out of the screen, so
the frame is left-handed). Its columns are where the head's right-of-image, down and nose axes point; the third
column is the nose. Everything works on tensors of any leading shape; NumPy arrays go through ``torch.from_numpy``.

Examples:
    >>> import torch
    >>> from cmsa.geometry.rotations import euler_to_matrix, flip_angles, matrix_to_euler
    >>> angles = torch.tensor([30.0, -10, 5])  # yaw, pitch, roll
    >>> matrix_to_euler(euler_to_matrix(angles)).round(decimals=3).tolist()
    [30.0, -10.0, 5.0]
    >>> flip_angles(angles).tolist()  # in the mirrored picture
    [-30.0, -10.0, -5.0]
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from cmsa.geometry.constants import constant

LARGEST_ANGLE = 99.0
"""Degrees. The protocols of the field leave out heads with an angle beyond ± this (Hopenet, FSA-Net)."""

_FLIP_SIGNS = (-1.0, 1.0, -1.0)


def euler_to_matrix(angles: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of angles (..., 3) = yaw, pitch, roll in degrees."""
    yaw, pitch, roll = torch.deg2rad(angles).unbind(-1)
    sin_y, cos_y = -torch.sin(yaw), torch.cos(yaw)
    sin_p, cos_p = torch.sin(pitch), torch.cos(pitch)
    sin_r, cos_r = torch.sin(roll), torch.cos(roll)
    rows = (
        (cos_y * cos_r, -cos_y * sin_r, sin_y),
        (cos_p * sin_r + sin_p * sin_y * cos_r, cos_p * cos_r - sin_p * sin_y * sin_r, -sin_p * cos_y),
        (sin_p * sin_r - cos_p * sin_y * cos_r, sin_p * cos_r + cos_p * sin_y * sin_r, cos_p * cos_y),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def matrix_to_euler(matrix: Tensor) -> Tensor:
    """Angles (..., 3) in degrees of rotation matrices (..., 3, 3).

    Yaw lies within ±90°, pitch and roll within ±180°. At yaw = ±90° (gimbal lock) only a sum or a difference of pitch
    and roll is defined; the angles returned there still give the same matrix, and pitch is 0 where it is exact.
    """
    pitch = torch.atan2(-matrix[..., 1, 2], matrix[..., 2, 2])
    yaw = torch.atan2(-matrix[..., 0, 2], torch.hypot(matrix[..., 1, 2], matrix[..., 2, 2]))
    # Roll is read off after undoing this pitch, so that noise in pitch close to gimbal lock is made up for by roll.
    sin_p, cos_p = torch.sin(pitch), torch.cos(pitch)
    roll = torch.atan2(
        cos_p * matrix[..., 1, 0] + sin_p * matrix[..., 2, 0],
        cos_p * matrix[..., 1, 1] + sin_p * matrix[..., 2, 1],
    )
    return torch.rad2deg(torch.stack((yaw, pitch, roll), dim=-1))


def matrix_to_rotation_6d(matrix: Tensor) -> Tensor:
    """The first two columns of (..., 3, 3), one after the other: (..., 6) (Zhou et al., arXiv 1812.07035)."""
    return matrix[..., :2].transpose(-1, -2).flatten(-2)


def rotation_6d_to_matrix(numbers: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of any (..., 6) numbers by Gram-Schmidt (Zhou et al., arXiv 1812.07035).

    The two vectors must not be zero or parallel, which unconstrained numbers never are exactly.
    """
    first, second = numbers[..., :3], numbers[..., 3:]
    x = normalize(first, dim=-1)
    y = normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1)


def geodesic_distance(first: Tensor, second: Tensor) -> Tensor:
    """Angle in degrees, 0 to 180, of the rotation between matrices (..., 3, 3) -> (...)."""
    between = first.transpose(-1, -2) @ second
    sine = torch.stack(
        (
            between[..., 2, 1] - between[..., 1, 2],
            between[..., 0, 2] - between[..., 2, 0],
            between[..., 1, 0] - between[..., 0, 1],
        ),
        dim=-1,
    ).norm(dim=-1)
    cosine = between.diagonal(dim1=-2, dim2=-1).sum(-1) - 1
    # acos(cosine / 2) would lose half of the digits near 0 and 180 degrees, and its gradient is infinite there.
    return torch.rad2deg(torch.atan2(sine, cosine))


def wrap_degrees(angles: Tensor) -> Tensor:
    """Angles, or differences of angles, brought into [-180, 180) by whole turns of 360° and nothing else."""
    # Subtracting whole turns leaves the digits of an angle that is in range already.
    return angles - 360 * torch.floor((angles + 180) / 360)


def flip_angles(angles: Tensor) -> Tensor:
    """Angles (..., 3) of the head in the mirrored picture: yaw and roll change sign."""
    return angles * constant(_FLIP_SIGNS, angles)


def flip_rotation(matrix: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of the head in the mirrored picture, as ``flip_angles`` of its angles."""
    signs = constant((-1.0, 1.0, 1.0), matrix)
    return matrix * signs[:, None] * signs


def mean_rotation(first: Tensor, second: Tensor) -> Tensor:
    """The rotation half way between matrices (..., 3, 3): the one nearest to their sum (chordal mean).

    Rotations half a turn apart have no middle; one of the rotations between them is returned.
    """
    left, _, right = torch.linalg.svd(first + second)
    # The determinant is 1 up to rounding but for half turns, where the last singular vector may point either way.
    sign = torch.linalg.det(left @ right).sign()
    scale = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1)
    middle: Tensor = (left * scale[..., None, :]) @ right
    return middle


def rotate_in_plane(angles: Tensor, degrees: Tensor | float) -> Tensor:
    """Angles (..., 3) after the picture's content is turned clockwise by ``degrees`` (scalar or (...)).

    The head's matrix is turned about the optical axis. Only for a head with yaw = pitch = 0 is that the same as adding
    to roll.
    """
    turn = torch.zeros_like(angles)
    turn[..., 2] = degrees
    return matrix_to_euler(euler_to_matrix(turn) @ euler_to_matrix(angles))


def transform_angles(angles: Tensor, matrices: Tensor) -> Tensor:
    """Angles (..., 3) after the picture is warped by affine maps (..., 2, 3) or (..., 2, 2).

    The head follows the map's rotation, and is mirrored where the map mirrors (negative determinant). Scale and
    translation leave the angles alone; of a map that is no similarity, the nearest rotation counts.
    """
    linear = matrices[..., :2].to(angles.dtype)
    mirrored = torch.linalg.det(linear) < 0
    # A mirroring map is (flip left-right) · (rotation): undo the flip, turn the head, then flip the head.
    linear = torch.where(mirrored[..., None, None], linear * constant((-1.0, 1.0), linear)[:, None], linear)
    clockwise = torch.atan2(linear[..., 1, 0] - linear[..., 0, 1], linear[..., 0, 0] + linear[..., 1, 1])
    turned = rotate_in_plane(angles, torch.rad2deg(clockwise))
    return torch.where(mirrored[..., None], flip_angles(turned), turned)
