"""Crops of several requests -> one batch for the network."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from cmsa.inference.cuts import CutPicture

Values = list[Any]
Compute = Callable[[Sequence[CutPicture]], Sequence[Values]]


class Batcher:
    """Computes what is submitted, in one thread, several requests at a time.

    A batch begins when it is full, when ``wait`` has passed since its first picture was there, or at once when no
    other request is on its way: a lonely client never waits.

    Args:
        compute: pictures that were cut -> the values of each.
        most: crops of a batch. A picture that has more is computed alone.
        wait: seconds.
        told: called with the number of crops of each batch.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        compute: Compute,
        most: int = 32,
        wait: float = 0.005,
        told: Callable[[int], None] = lambda crops: None,
    ) -> None:
        if most < 1 or not 0 <= wait <= 10:
            raise ValueError(f"a batch has at least 1 crop and waits for 0 to 10 seconds, got {most} and {wait}")
        self.compute, self.most, self.wait, self.told = compute, most, wait, told
        self._waiting: deque[tuple[CutPicture, Future[Values]]] = deque()
        self._coming = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    @contextmanager
    def coming(self) -> Iterator[None]:
        """While a request is decoded and cut: those that are ready wait for it."""
        with self._changed:
            self._coming += 1
        try:
            yield
        finally:
            with self._changed:
                self._coming -= 1
                self._changed.notify()

    def submit(self, cut: CutPicture) -> Future[Values]:
        """The values of a picture, in the future. One that is cancelled in time is not computed.

        Raises:
            RuntimeError: it was closed.
        """
        future: Future[Values] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._waiting.append((cut, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Take nothing more, compute what was submitted, and return when that is done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            wanted = [(cut, future) for cut, future in batch if future.set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)

    def _next(self) -> list[tuple[CutPicture, Future[Values]]] | None:
        """What to compute next; None when there will be nothing more."""
        with self._changed:
            while not self._waiting:
                if self._closed:
                    return None
                self._changed.wait()
            deadline = time.monotonic() + self.wait
            while self._coming and not self._full() and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            batch = [self._waiting.popleft()]
            crops = len(batch[0][0].regions)
            while self._waiting and crops + len(self._waiting[0][0].regions) <= self.most:
                batch.append(self._waiting.popleft())
                crops += len(batch[-1][0].regions)
            return batch

    def _full(self) -> bool:
        return sum(len(cut.regions) for cut, _ in self._waiting) >= self.most

    def _answer(self, batch: list[tuple[CutPicture, Future[Values]]]) -> None:
        cuts = [cut for cut, _ in batch]
        self.told(sum(len(cut.regions) for cut in cuts))
        try:
            results = self.compute(cuts)
        except Exception as error:
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            # One request's trouble is not the others'.
            for entry in batch:
                self._answer([entry])
            return
        for (_, future), values in zip(batch, results, strict=True):
            future.set_result(list(values))
