"""One process in a folder, and a dead one keeps nobody out."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from cmsa.files import lock
from cmsa.files.lock import FolderInUseError, only_process_in


def test_the_second_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with only_process_in(folder):
        with (
            pytest.raises(FolderInUseError, match="run: another process works in this folder"),
            only_process_in(folder),
        ):
            pass
        with only_process_in(tmp_path / "other"):
            pass
    with only_process_in(folder):
        assert list(folder.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    def hold() -> None:
        with only_process_in(tmp_path):
            (tmp_path / "in").touch()
            time.sleep(60)

    process = multiprocessing.get_context("fork").Process(target=hold)
    process.start()
    try:
        while not (tmp_path / "in").exists():
            time.sleep(0.01)
        with pytest.raises(FolderInUseError), only_process_in(tmp_path):
            pass
    finally:
        process.kill()
        process.join()
    with only_process_in(tmp_path):
        pass


def test_a_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lock, "fcntl", None)
    caplog.set_level("INFO")
    with only_process_in(tmp_path / "run"):
        assert "cannot lock a folder" in caplog.text
