"""Work under limits of memory and time, in a process of its own that may die of them."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

PATIENCE = 10


def under_limits(work: Callable[[], None], *, megabytes: int, seconds: int) -> None:
    """Run ``work`` in a fork that may take so much memory beside what is there, and so many seconds of the CPU.

    Raises:
        AssertionError: it failed, and how; or it was killed.
    """
    if resource is None or not Path("/proc/self/statm").exists():
        pytest.skip("this system cannot limit the memory of a process")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        told = ""
        # What waits for a lock that no thread of this process holds takes no time of the CPU.
        signal.alarm(PATIENCE * seconds)
        # The threads that the parent's PyTorch had were not forked, and it would wait for them.
        torch.set_num_threads(1)
        try:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            memory = pages * os.sysconf("SC_PAGE_SIZE") + megabytes * 2**20
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
            work()
        except BaseException:
            told = traceback.format_exc()
        os.write(writing, told.encode(errors="replace")[-30_000:])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert not told, told
    assert code == 0, f"the process ended with {code}: a limit of {megabytes} MB or {seconds} s, or a crash"
