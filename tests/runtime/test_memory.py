from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from cmsa.runtime import memory

CODE = """
import resource, sys, torch
from cmsa.runtime.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()

def work():
    first = torch.ones(6_000_000)
    return torch.cat([first, first * 2])

for _ in range(5):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
def test_freed_maps_are_not_faulted_in_again() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("glibc's way")
    faults = {
        way: int(subprocess.run([sys.executable, "-c", CODE, way], capture_output=True, check=True, text=True).stdout)
        for way in ("leave", "keep")
    }
    assert faults["keep"] < faults["leave"] / 5


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory() is False
