"""Shards given to Ray's actors, and given to another one when an actor is lost."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from cmsa.guidance.errors import first_line
from cmsa.guidance.extras import load
from cmsa.inference.bulk.plan import Plan
from cmsa.inference.bulk.shards import Shard
from cmsa.inference.bulk.worker import ShardWorker

_TRIES = 4
"""Workers that a shard may cost."""
_STORE = 100_000_000
"""Bytes of shared memory. Rows do not go through it."""


class LostShardsError(RuntimeError):
    """Shards that no worker has outlived; the others are done."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        super().__init__(f"{len(shards)} shards cost {_TRIES} workers each")
        self.shards = shards


def run_on_ray(
    plan: Plan,
    shards: Sequence[Shard],
    *,
    folder: Path,
    home: Path,
    workers: int | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> Generator[Shard, None, None]:
    """Predict shards; gives each when its file is there, in the order in which they are done.

    Args:
        plan: by what.
        shards: what to do.
        folder: of the shards, absolute.
        home: working folder of the run.
        workers: how many at a time, each with ``plan.threads`` CPUs or, on CUDA, one GPU; None for as many as there is
            room for.
        told: called with what happens on the way.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        RuntimeError: Ray itself is gone, or cannot be reached.
        LostShardsError: at the end, if shards could not be done because they cost one worker after the other.
        OSError: what a worker had to say: results cannot be written.
        ValueError: also of a worker, which could not load what the plan names.
    """
    # Read when Ray is imported: nobody asked for its statistics to be sent.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = load("ray", "--engine ray")
    with _started(ray, (workers or _cpus() // plan.threads or 1) * plan.threads):
        gpus = int(not plan.device.startswith("cpu"))
        if workers is None:
            there = ray.cluster_resources()
            workers = int(there.get("GPU", 0) if gpus else there.get("CPU", 0) // plan.threads) or 1
        # Nothing is restarted behind our back: a lost worker's shard is counted, and told.
        actor = ray.remote(num_cpus=plan.threads, num_gpus=gpus, max_restarts=0)(ShardWorker)
        try:
            yield from _shared_out(ray, lambda: actor.remote(plan, folder, home), shards, workers, told)
        except ray.exceptions.RayError as error:
            raise RuntimeError(f"Ray is gone ({first_line(error)})") from error


def _shared_out(
    ray: Any, start: Callable[[], Any], shards: Sequence[Shard], workers: int, told: Callable[[str], None]
) -> Iterator[Shard]:
    waiting, tries = deque(shards), Counter[Shard]()
    lost: list[Shard] = []
    running: dict[Any, tuple[Any, Shard]] = {}

    def give(worker: Any) -> None:
        shard = waiting.popleft()
        running[worker.predict.remote(shard)] = worker, shard

    for _ in range(min(workers, len(shards))):
        give(start())
    while running:
        (done,), _ = ray.wait(list(running), num_returns=1)
        worker, shard = running.pop(done)
        try:
            ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            tries[shard] += 1
            told(f"a worker was lost at shard {shard.number} ({first_line(error)})")
            if tries[shard] < _TRIES:
                waiting.append(shard)
            else:
                lost.append(shard)
            ray.kill(worker)  # it may only have been out of reach
            worker = start() if waiting else None
        else:
            yield shard
        if waiting:
            give(worker)
    if lost:
        raise LostShardsError(lost)


@contextmanager
def _started(ray: Any, cpus: int) -> Iterator[None]:
    """Ray: the caller's if it runs, else the cluster of ``RAY_ADDRESS``, else one of this machine for this run only.

    Ray tells of lost workers on standard output, which is for results; that is left out, for we tell of them too.
    """
    if ray.is_initialized():
        yield
        return
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    with (
        tempfile.TemporaryDirectory(prefix="cmsa-ray-", ignore_cleanup_errors=True) as logs,
        open(os.devnull, "w") as nowhere,
        redirect_stdout(nowhere),
    ):
        if os.environ.get("RAY_ADDRESS"):
            ray.init(**quiet)
        else:
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=_STORE,
                _node_ip_address="127.0.0.1",
                _temp_dir=logs,
                # By itself Ray gives way to everything else on the machine, at niceness 15.
                _system_config={"worker_niceness": 0},
                **quiet,
            )
        if main:  # Ray has put its own there
            signal.signal(signal.SIGTERM, before)
        try:
            yield
        finally:
            ray.shutdown()


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
