from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest

from cmsa.inference.cuts import CutPicture, Region
from cmsa.serve.batcher import Batcher
from cmsa.structures import Box


def cut(crops: int, value: int = 0) -> CutPicture:
    region = Region(np.full((4, 3, 3), value, np.uint8), np.eye(2, 3), Box(0, 0, 3, 4))
    return CutPicture([region] * crops, range(crops))


class Recorder:
    """Computes the mean of crops, when it may, and keeps how many there were in each batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may = threading.Event()
        self.may.set()

    def __call__(self, cuts):
        self.batches.append([len(entry.regions) for entry in cuts])
        assert self.may.wait(30)
        return [[int(region.crop.mean()) for region in entry.regions] for entry in cuts]


@pytest.fixture
def recorder():
    return Recorder()


def test_each_gets_its_own_values_in_batches_across_requests(recorder):
    batcher = Batcher(recorder, most=8)
    recorder.may.clear()
    first = batcher.submit(cut(1, 9))
    while not recorder.batches:
        time.sleep(0.001)
    others = [batcher.submit(cut(count, count)) for count in (3, 3, 0, 2, 5)]
    recorder.may.set()
    batcher.close()
    assert first.result() == [9]
    assert [future.result() for future in others] == [[3] * 3, [3] * 3, [], [2] * 2, [5] * 5]
    assert recorder.batches == [[1], [3, 3, 0, 2], [5]]


def test_a_picture_of_more_crops_than_a_batch_is_computed_alone(recorder):
    batcher = Batcher(recorder, most=2)
    recorder.may.clear()
    futures = [batcher.submit(cut(count, count)) for count in (1, 7, 1)]
    recorder.may.set()
    batcher.close()
    assert [len(future.result()) for future in futures] == [1, 7, 1]
    assert [7] in recorder.batches


def test_who_is_alone_does_not_wait(recorder):
    batcher = Batcher(recorder, wait=10)
    began = time.monotonic()
    with batcher.coming():
        pass
    assert batcher.submit(cut(1)).result(5) == [0]
    assert time.monotonic() - began < 5
    batcher.close()


def test_those_on_their_way_are_waited_for(recorder):
    batcher = Batcher(recorder, wait=10)
    with batcher.coming(), batcher.coming():
        one = batcher.submit(cut(1, 1))
        time.sleep(0.05)
        assert not recorder.batches
        two = batcher.submit(cut(2, 2))
    assert (one.result(5), two.result(5)) == ([1], [2, 2])
    assert recorder.batches == [[1, 2]]
    batcher.close()


def test_but_not_for_long(recorder):
    batcher = Batcher(recorder, wait=0.05)
    with batcher.coming():
        assert batcher.submit(cut(1, 1)).result(5) == [1]
    batcher.close()


def test_a_full_batch_does_not_wait(recorder):
    batcher = Batcher(recorder, most=4, wait=10)
    with batcher.coming():
        assert batcher.submit(cut(4, 1)).result(5) == [1] * 4
    batcher.close()


def test_what_is_cancelled_is_not_computed(recorder):
    batcher = Batcher(recorder, wait=10)
    with batcher.coming():
        gone, stays = batcher.submit(cut(1, 1)), batcher.submit(cut(2, 2))
        assert gone.cancel()
    assert stays.result(5) == [2, 2]
    with pytest.raises(CancelledError):
        gone.result()
    assert recorder.batches == [[2]]
    batcher.close()


def test_one_requests_failure_is_not_the_others():
    def compute(cuts):
        if any(len(entry.regions) == 3 for entry in cuts):
            raise RuntimeError("three")
        return [[1] * len(entry.regions) for entry in cuts]

    batcher = Batcher(compute, wait=10)
    with batcher.coming():
        futures = [batcher.submit(cut(count)) for count in (1, 3, 2)]
    assert futures[0].result(5) == [1]
    assert futures[2].result(5) == [1, 1]
    with pytest.raises(RuntimeError, match="three"):
        futures[1].result(5)
    assert batcher.submit(cut(1)).result(5) == [1]
    batcher.close()


def test_closing_finishes_what_was_submitted_and_takes_nothing_more(recorder):
    batcher = Batcher(recorder, most=1)
    futures = [batcher.submit(cut(1, value)) for value in range(20)]
    batcher.close()
    assert [future.result(0) for future in futures] == [[value] for value in range(20)]
    with pytest.raises(RuntimeError, match="is closed"):
        batcher.submit(cut(1))


def test_crops_of_each_batch_are_told(recorder):
    told: list[int] = []
    batcher = Batcher(recorder, told=told.append)
    batcher.submit(cut(3)).result(5)
    batcher.close()
    assert told == [3]


@pytest.mark.parametrize(("most", "wait"), [(0, 0.1), (1, -1), (1, float("nan")), (1, 11)])
def test_ranges(most, wait):
    with pytest.raises(ValueError, match="a batch has at least 1 crop and waits for 0 to 10 seconds"):
        Batcher(lambda cuts: [], most, wait)
