"""Time, memory and the machine's own speed, measured so that neighbours on the machine disturb the ratios least."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

Work = Callable[[], object]
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Timing:
    """One piece of work, in seconds, medians over the rounds.

    Attributes:
        wall: from start to end.
        cpu: of all threads; it does not count the time that other processes took.
    """

    wall: float
    cpu: float


def interleaved(
    works: Mapping[str, Work],
    rounds: int = 7,
    least: float = 0.2,
    turns: Callable[[int], Iterable[int]] = range,
) -> dict[str, Timing]:
    """Time several works in turn, so that a slow moment of the machine meets all of them alike.

    A turn begins with a run that is not timed.

    Args:
        works: by name.
        rounds: how often each has its turn.
        least: seconds that a turn lasts at least; short works are repeated within it.
        turns: counts the rounds, e.g. with a progress bar.
    """
    repeats = {}
    for name, work in works.items():
        work()
        start = time.perf_counter()
        work()
        repeats[name] = max(1, round(least / max(time.perf_counter() - start, 1e-6)))
    walls: dict[str, list[float]] = {name: [] for name in works}
    cpus: dict[str, list[float]] = {name: [] for name in works}
    for _ in turns(rounds):
        for name, work in works.items():
            # What the others left in the caches, and pages taken away meanwhile, are not this work's.
            work()
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(repeats[name]):
                work()
            walls[name].append((time.perf_counter() - wall) / repeats[name])
            cpus[name].append((time.process_time() - cpu) / repeats[name])
    return {name: Timing(statistics.median(walls[name]), statistics.median(cpus[name])) for name in works}


def peak_memory(work: Work) -> float | None:
    """Megabytes by which the process grew, at most, while it did the work. None where the system does not tell."""
    if not _RESET.exists():
        return None
    before = _memory("VmRSS")
    try:
        # Linux: 5 resets the high-water mark.
        _RESET.write_text("5", encoding="ascii")
    except OSError:
        return None
    work()
    return max(0.0, _memory("VmHWM") - before)


def _memory(entry: str) -> float:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{entry}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def machine() -> str:
    """Processor and number of cores that this process may use."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"
