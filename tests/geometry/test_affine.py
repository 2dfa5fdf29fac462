"""Affine maps: one algebra for arrays and tensors, single and in batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cmsa.geometry.affine import apply_affine, compose_affine, invert_affine

number = st.floats(-100, 100)


@st.composite
def maps(draw):
    """A map far from singular."""
    angle, low, high = draw(st.floats(-3, 3)), draw(st.floats(0.05, 20)), draw(st.floats(0.05, 20))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[low, draw(st.floats(-1, 1))], [0, -high if draw(st.booleans()) else high]])
    return np.concatenate([turn @ shear, np.array([[draw(number)], [draw(number)]])], axis=1)


def square(matrix):
    return np.concatenate([matrix, [[0, 0, 1]]])


@given(first=maps(), second=maps(), x=number, y=number)
def test_the_algebra_is_that_of_homogeneous_matrices(first, second, x, y):
    composed = compose_affine(second, first)
    np.testing.assert_allclose(square(composed), square(second) @ square(first), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(square(invert_affine(first)), np.linalg.inv(square(first)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(apply_affine(first, np.array([x, y])), (square(first) @ [x, y, 1])[:2], atol=1e-9)


@given(matrix=maps(), x=number, y=number)
def test_there_and_back(matrix, x, y):
    points = np.array([[x, y], [y, x], [0, 0]])
    np.testing.assert_allclose(apply_affine(invert_affine(matrix), apply_affine(matrix, points)), points, atol=1e-8)


@given(first=maps(), second=maps())
def test_tensors_give_the_numbers_of_arrays_in_float64(first, second):
    inner, outer = torch.from_numpy(first), torch.from_numpy(second)
    for found, expected in (
        (compose_affine(outer, inner), compose_affine(second, first)),
        (invert_affine(inner), invert_affine(first)),
        (apply_affine(inner, torch.ones(3, 2).double()), apply_affine(first, np.ones((3, 2)))),
    ):
        assert found.dtype == torch.float64
        assert expected.dtype == np.float64
        np.testing.assert_array_equal(found.numpy(), expected)


def test_batches_are_maps_one_by_one(generator):
    first, second = (torch.randn(4, 2, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    points = torch.randn(4, 5, 7, 2, generator=generator, dtype=torch.float64)
    composed, inverse, moved = compose_affine(second, first), invert_affine(first), apply_affine(first, points)
    for index in range(4):
        assert torch.equal(composed[index], compose_affine(second[index], first[index]))
        assert torch.equal(inverse[index], invert_affine(first[index]))
        assert torch.equal(moved[index], apply_affine(first[index], points[index]))
    # One map for all: it needs no batch of its own.
    assert torch.equal(compose_affine(second, first[0])[2], compose_affine(second[2], first[0]))


def test_a_singular_array_is_refused():
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        invert_affine(np.array([[1.0, 2, 0], [2, 4, 0]]))


def test_a_singular_array_is_refused_among_others_and_a_tensor_is_infinite():
    good, singular = np.array([[2.0, 1, 3], [1, 2, 4]]), np.array([[1.0, 2, 0], [2, 4, 0]])
    batch = np.stack([good, singular])
    for wrong in (batch, singular.astype(np.float32)):
        with pytest.raises(np.linalg.LinAlgError, match="singular"):
            invert_affine(wrong)
    found = invert_affine(torch.from_numpy(batch))
    np.testing.assert_array_equal(found[0], invert_affine(good))
    assert not found[1].isfinite().any()


@given(matrix=maps())
def test_batches_of_arrays_and_float32_are_inverted_alike(matrix):
    expected = invert_affine(matrix)
    np.testing.assert_allclose(invert_affine(np.stack([matrix, matrix[::-1]]))[0], expected, rtol=1e-9, atol=1e-9)
    found = invert_affine(np.array([[2, 1, 3], [1, 2, 4]], dtype=np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array([[2, -1, -2], [-1, 2, -5]]) / 3, rtol=1e-6)
