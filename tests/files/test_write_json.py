"""JSON files: what JSON has stays as it is, what it does not have becomes what it has, and a file is whole."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmsa.files.write_json import plain, write_json


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_what_json_has_stays_as_it_is(value):
    assert json.loads(json.dumps(plain(value))) == value


def test_what_json_does_not_have_becomes_what_it_has(tmp_path: Path) -> None:
    value = {"AP": math.nan, "list": [1, (-math.inf, np.float32(2.5))], "array": np.array([[1, 2]]), 7: np.int64(3)}
    write_json(tmp_path / "new" / "scores.json", value | {"text": "nan", "none": None, "flag": True})
    assert (tmp_path / "new" / "scores.json").read_bytes() == (
        b'{"AP": null, "list": [1, [null, 2.5]], "array": [[1, 2]], "7": 3, "text": "nan", "none": null, "flag": true}'
    )


def test_what_cannot_be_written_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    write_json(file, [1], indent=1)
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(file, {"store": object()})
    assert file.read_text() == "[\n 1\n]"
    assert list(tmp_path.iterdir()) == [file]
