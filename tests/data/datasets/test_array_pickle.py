"""Pickled arrays: the values come back, and nothing in a damaged file ends the process."""

import pickle

import numpy as np
import pytest

from cmsa.data.datasets.array_pickle import load_array_pickle


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["u1", "<i4", ">i8", ">f4", "?"])
def test_arrays_come_back(protocol: int, kind: str) -> None:
    values = (np.arange(24).reshape(4, 6) * 7 % 11).astype(kind)
    content = pickle.dumps({b"rows": values, b"columns": np.asfortranarray(values), b"n": [1, 2]}, protocol)
    loaded = load_array_pickle(content)
    for key in (b"rows", b"columns"):
        assert loaded[key].dtype == values.dtype
        np.testing.assert_array_equal(loaded[key], values)
    assert loaded[b"n"] == [1, 2]


class Pickled:
    """What pickles as a call and a state."""

    def __init__(self, *reduced: object) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[object, ...]:
        return self.reduced


RECONSTRUCT = np.zeros(0).__reduce__()[0]
EMPTY = (np.ndarray, (0,), b"b")


@pytest.mark.parametrize("state", [(), (3,), "|", (3, "?"), (99, None), (4, "<<", None)])
def test_an_array_whose_type_has_an_odd_state_is_an_error(state: object) -> None:
    kind = Pickled(np.dtype, ("u2", False, True), state)
    content = pickle.dumps({b"data": Pickled(RECONSTRUCT, EMPTY, (1, (1,), kind, False, b"12"))}, 2)
    with pytest.raises((pickle.UnpicklingError, ValueError, TypeError, IndexError)):
        load_array_pickle(content)


@pytest.mark.parametrize(
    ("kind", "shape", "data"),
    [("O", (1,), b"12345678"), ("u1", (3,), b"12"), ("u1", "3", b"123"), ("u1", (3,), [1, 2, 3]), ("V3", (1,), b"123")],
    ids=["objects", "too few bytes", "no shape", "no bytes", "records"],
)
def test_an_array_of_odd_parts_is_an_error(kind: str, shape: object, data: object) -> None:
    state = (1, shape, np.dtype(kind), False, data)
    with pytest.raises((pickle.UnpicklingError, ValueError, TypeError)):
        load_array_pickle(pickle.dumps({b"data": Pickled(RECONSTRUCT, EMPTY, state)}, 2))
