"""Files appear whole or not at all."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmsa.files.whole import whole_file


@pytest.fixture
def umask() -> Iterator[int]:
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path, umask: int) -> None:
    file = tmp_path / "new" / "file.txt"
    file.parent.mkdir()
    file.write_text("old", encoding="utf-8")
    with whole_file(file) as partial:
        # As libraries do that write into a file of their own first.
        partial.unlink()
        os.close(os.open(partial, os.O_CREAT | os.O_WRONLY, 0o600))
        partial.write_text("new", encoding="utf-8")
        assert file.read_text(encoding="utf-8") == "old"
    assert file.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("error", [RuntimeError("of the writer"), KeyboardInterrupt()])
def test_what_fails_leaves_the_last_good_file(tmp_path: Path, error: BaseException) -> None:
    file = tmp_path / "file.txt"
    file.write_text("old", encoding="utf-8")

    def write() -> None:
        with whole_file(file) as partial:
            partial.write_text("half", encoding="utf-8")
            raise error

    with pytest.raises(type(error)):
        write()
    assert file.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=r"cannot be written \(File too large\).*file\.txt"), whole_file(file) as path:
            path.write_bytes(b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
