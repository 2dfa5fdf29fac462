"""The one algebra of affine maps, for NumPy arrays and tensors alike.

A map is a 2x3 matrix ``A`` with ``q = A[:, :2] @ p + A[:, 2]``; points are (x, y). Leading dimensions are batches of
maps. Everything is a sum of products, element by element, and no matrix product, which TF32 and autocast would make
coarse; the precision that comes in goes out.

Examples:
    >>> import numpy as np
    >>> from cmsa.geometry.affine import apply_affine, compose_affine, invert_affine
    >>> halve = np.array([[0.5, 0, 0], [0, 0.5, 0]])
    >>> shift = np.array([[1.0, 0, 10], [0, 1, 20]])
    >>> apply_affine(compose_affine(shift, halve), np.array([[4.0, 6]])).tolist()
    [[12.0, 23.0]]
    >>> apply_affine(invert_affine(shift), np.array([[12.0, 23]])).tolist()
    [[2.0, 3.0]]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cmsa.structures import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", FloatArray, "Tensor")


def compose_affine(outer: Array, inner: Array) -> Array:
    """The maps (..., 2, 3) that apply ``inner`` (..., 2, 3) first, then ``outer`` (..., 2, 3)."""
    moved = outer[..., :, :1] * inner[..., :1, :] + outer[..., :, 1:2] * inner[..., 1:, :]
    composed: Array = _join([moved[..., :2], moved[..., 2:] + outer[..., 2:]])
    return composed


def invert_affine(matrix: Array) -> Array:
    """The inverse maps of (..., 2, 3).

    Raises:
        numpy.linalg.LinAlgError: an array's map is singular. A singular tensor gives infinite numbers: to look for one
            would make a GPU wait.
    """
    if matrix.shape == (2, 3) and isinstance(matrix, np.ndarray) and matrix.dtype == np.float64:
        return np.array(_inverse_of_one(*matrix.ravel().tolist()))
    a, b, c, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]
    determinant = a * d - b * c
    if isinstance(determinant, np.ndarray | np.floating) and (determinant == 0).any():
        raise np.linalg.LinAlgError("singular affine map")
    linear = _stack([_stack([d, -b], -1), _stack([-c, a], -1)], -2) / determinant[..., None, None]
    shift = linear[..., :, :1] * matrix[..., :1, 2:] + linear[..., :, 1:] * matrix[..., 1:, 2:]
    inverse: Array = _join([linear, -shift])
    return inverse


def _inverse_of_one(a: float, b: float, x: float, c: float, d: float, y: float) -> list[list[float]]:
    """The same sums for a single map: of so few numbers NumPy takes ten times as long as Python."""
    determinant = a * d - b * c
    if determinant == 0:
        raise np.linalg.LinAlgError("singular affine map")
    a, b, c, d = d / determinant, -b / determinant, -c / determinant, a / determinant
    return [[a, b, -(a * x + b * y)], [c, d, -(c * x + d * y)]]


def apply_affine(matrix: Array, points: Array) -> Array:
    """Map points.

    Args:
        matrix: (*L, 2, 3).
        points: (*L, ..., 2): one map for the points of each entry of L; all points where the map is a single one.
    """
    batch = matrix.shape[:-2]
    a, b, shift = (
        matrix[..., column].reshape(*batch, *(1,) * (points.ndim - 1 - len(batch)), 2) for column in range(3)
    )
    return a * points[..., :1] + b * points[..., 1:] + shift


def _stack(parts: Sequence[Any], axis: int) -> Any:
    if isinstance(parts[0], np.ndarray | np.floating):
        return np.stack(parts, axis)
    import torch  # arrays do without it

    return torch.stack(list(parts), axis)


def _join(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, -1)
    import torch

    return torch.cat(list(parts), -1)
