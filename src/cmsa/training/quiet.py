"""Lightning without its chatter: tips, hardware it found, and warnings about what is meant to be so."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
_EXPECTED = (
    # The moving average never trains.
    r".*in eval mode at the start of training",
    # A packed store is read faster in the training process than through workers.
    r".*does not have many workers",
    # A run's folder is checked before Lightning sees it, and a resumed run has one.
    r"Checkpoint directory .* exists and is not empty",
    r"Experiment logs directory .* exists",
    r"The number of training batches .* is smaller than the logging interval",
    # A resumed epoch goes on with the samples that it had left.
    r"You're resuming from a checkpoint that ended before the epoch ended",
    r"Be aware that when using `ckpt_path`",
    # Every process scores every sample on purpose.
    r"It is recommended to use `self.log\(.*sync_dist=True\)`",
    # Without a validation store nothing is validated.
    r"Total length of `list` across ranks is zero",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated",
    r".*`lr_scheduler.step\(\)` before `optimizer.step\(\)`",
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Within it Lightning only speaks of what may be wrong."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    with warnings.catch_warnings():
        for pattern in _EXPECTED:
            warnings.filterwarnings("ignore", pattern)
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
