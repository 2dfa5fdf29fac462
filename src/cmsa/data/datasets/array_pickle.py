"""Pickled arrays, lists and dictionaries, read without running code, and without NumPy's own reader of them.

NumPy restores a pickled array or data type in C and believes what it is told: a damaged file can end the process. Here
stand-ins take what was pickled, and an array is made of its bytes once they are looked at.
"""

from __future__ import annotations

import codecs
import io
import pickle
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_ORDERS: dict[str, Literal["<", ">", "="]] = {"<": "<", ">": ">", "=": "=", "|": "="}
"""Of bytes, by its mark; a single byte has none."""


class _PickledType:
    """Stands for ``numpy.dtype``: a name, and a byte order that comes later."""

    def __init__(self, name: Any, align: Any = False, copy: Any = False) -> None:
        self.name, self.order = _text(name), "="

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1])

    def plain(self) -> np.dtype[Any]:
        """The type: numbers only.

        Raises:
            pickle.UnpicklingError: it is no number's.
        """
        kind = np.dtype(self.name)
        if kind.kind not in "biuf" or self.order not in _ORDERS:
            raise pickle.UnpicklingError(f"arrays of {kind}, {self.order!r}, have no place in a file of arrays")
        return kind.newbyteorder(_ORDERS[self.order])


class _PickledArray:
    """Stands for ``numpy.ndarray``: empty until its state comes."""

    array: NDArray[Any]

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, column_first, data = state
        if not isinstance(kind, _PickledType) or not isinstance(data, bytes) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError("an array must have a shape, a type and bytes")
        self.array = np.frombuffer(data, kind.plain()).reshape(shape, order="F" if column_first is True else "C")


def _reconstruct(subtype: Any, shape: Any, kind: Any) -> _PickledArray:
    """Stands for NumPy's function of this name, whose array is empty too."""
    return _PickledArray()


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _PickledArray,
    ("numpy", "dtype"): _PickledType,
    ("_codecs", "encode"): codecs.encode,
}
"""All that arrays, lists, dictionaries and strings need."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """As ``pickle.Unpickler.find_class``, for what has a place here."""
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of arrays")
        return _STAND_INS[module, name]


def load_array_pickle(content: bytes) -> Any:
    """What was pickled; a dictionary's text keys are bytes, as Python 2 wrote them.

    Raises:
        Exception: of any kind, whatever the bytes happen to mean: the content is damaged or holds something else.
    """
    loaded = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    if isinstance(loaded, dict):
        return {key: value.array if isinstance(value, _PickledArray) else value for key, value in loaded.items()}
    return loaded


def _text(value: Any) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)
