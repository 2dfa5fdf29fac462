"""JSON of any encoding is read, and what is wrong with a file is one kind of error that names it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cmsa.files.read_json import JsonError, expecting, parse_json, read_json

TEXT = '{"name": "näher", "numbers": [1, 2.5]}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_of_json(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(TEXT.encode(encoding))
    assert read_json(file) == {"name": "näher", "numbers": [1, 2.5]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"\x80\x81", "codec can't decode"),
        (b"[" * 100_000, "recursion|nested|depth"),
        (b"9" * 5000, "4300"),
    ],
)
def test_what_is_no_json_is_named(content: bytes, told: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(JsonError, match=rf"a\.json: is not JSON \(.*({told})"):
        read_json(file)
    with pytest.raises(JsonError, match=r"line 3: is not JSON"):
        parse_json(content, "line 3")


def test_a_key_that_stands_twice_in_an_object_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('[{"id": 7, "bbox": [1, 2, 3, 4], "name": "Ann", "bbox": []}, {"id": 7}]', encoding="utf-8")
    with pytest.raises(JsonError) as told:
        read_json(file)
    beside = '{"id": 7, "name": "Ann"}'
    assert str(told.value) == f"{file}: the key 'bbox' stands twice in one object, beside {beside}"
    with pytest.raises(JsonError, match=r"^line 3: the key 'a' stands twice in one object$"):
        parse_json('{"b": {"a": 1, "a": 1}}', "line 3")
    assert parse_json('{"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}', "") == {"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}


def test_what_is_wrong_where_a_file_is_taken_apart_is_told_of_it() -> None:
    content = json.loads('{"rows": [{"a": "x"}]}')
    for take, wrong in (
        (lambda: content["lines"], "it has no 'lines'"),
        (lambda: content["rows"][1], "an entry holds another kind of value"),
        (lambda: content["rows"]["a"], "an entry holds another kind of value"),
        (lambda: float(content["rows"][0]["a"]), "an entry holds another kind of value"),
    ):
        told = rf"^b\.json: is no list of things: {wrong}$"
        with pytest.raises(JsonError, match=told), expecting("list of things", Path("b.json")):
            take()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(JsonError, match=r"none\.json: cannot be read \(No such file or directory\)"):
        read_json(tmp_path / "none.json")
    with pytest.raises(JsonError, match=r"cannot be read \(Is a directory\)"):
        read_json(tmp_path)
