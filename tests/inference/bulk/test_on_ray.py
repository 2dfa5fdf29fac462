"""Shards handed to workers that are lost: each is done once, or named; with a Ray that is made up."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from cmsa.inference.bulk.on_ray import LostShardsError, _shared_out
from cmsa.inference.bulk.shards import Shard

SHARDS = [Shard(number, number * 10, 10) for number in range(6)]


@dataclass(frozen=True, eq=False)
class Asked:
    """What a worker gives at once: a promise."""

    worker: Any
    shard: Shard


class Ray:
    """Workers that do a shard when they are asked for its result; some shards end them, or raise."""

    class RayError(Exception):
        pass

    class RayTaskError(RayError):
        def __init__(self, cause: Exception) -> None:
            super().__init__(str(cause))
            self.cause = cause

    def __init__(self, deaths: dict[int, int], raised: dict[int, Exception] | None = None) -> None:
        self.deaths, self.raised = deaths, raised or {}
        self.exceptions = SimpleNamespace(RayError=self.RayError, RayTaskError=self.RayTaskError)
        self.started = 0
        self.killed: list[Any] = []
        self.most = 0

    def start(self) -> Any:
        self.started += 1
        worker = SimpleNamespace()
        worker.predict = SimpleNamespace(remote=lambda shard: Asked(worker, shard))
        return worker

    def wait(self, references: list[Asked], num_returns: int) -> tuple[list[Asked], list[Asked]]:
        self.most = max(self.most, len(references))
        assert not any(one is reference.worker for one in self.killed for reference in references)
        return references[-1:], references[:-1]

    def get(self, reference: Asked) -> None:
        number = reference.shard.number
        if number in self.raised:
            raise self.RayTaskError(self.raised[number])
        if self.deaths.get(number, 0):
            self.deaths[number] -= 1
            raise self.RayError("The actor died\nand more")

    def kill(self, worker: Any) -> None:
        self.killed.append(worker)


@pytest.mark.parametrize("workers", [1, 2, 9])
@pytest.mark.parametrize("deaths", [{}, {0: 1}, {2: 3, 5: 1}, dict.fromkeys(range(6), 3)])
def test_each_shard_is_done_once_whoever_is_lost(workers: int, deaths: dict[int, int]) -> None:
    ray, told = Ray(dict(deaths)), []
    done = list(_shared_out(ray, ray.start, SHARDS, workers, told.append))
    assert sorted(shard.number for shard in done) == list(range(6))
    assert len(told) == len(ray.killed) == sum(deaths.values())
    assert ray.most == min(workers, 6)
    assert ray.started <= min(workers, 6) + sum(deaths.values())
    assert all("a worker was lost at shard" in text and text.endswith("(The actor died)") for text in told)


def test_a_shard_that_ends_every_worker_is_named_when_all_others_are_done() -> None:
    ray = Ray({3: 100})
    run = _shared_out(ray, ray.start, SHARDS, 2, lambda text: None)
    done = []
    with pytest.raises(LostShardsError) as lost:
        done.extend(iter(lambda: next(run).number, None))
    assert lost.value.shards == [SHARDS[3]]
    assert len(ray.killed) == 4


def test_what_a_worker_says_is_raised_as_it_is() -> None:
    ray = Ray({}, {2: OSError("No space left on device")})
    with pytest.raises(OSError, match="No space left") as raised:
        list(_shared_out(ray, ray.start, SHARDS, 1, lambda text: None))
    assert type(raised.value) is OSError


def test_nothing_to_do_starts_nobody() -> None:
    ray = Ray({})
    assert not list(_shared_out(ray, ray.start, [], 4, lambda text: None))
    assert ray.started == 0
