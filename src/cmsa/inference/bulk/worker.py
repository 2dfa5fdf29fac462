"""Predicts shards; lives in a process of its own, here or on another machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Generator
from contextlib import closing
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from cmsa.inference.bulk.plan import Opened, Plan
from cmsa.inference.bulk.shards import Shard, ShardFolder
from cmsa.inference.files.lines import notice_line, result_line
from cmsa.inference.jsonl import Record
from cmsa.inference.streams import Notice, read_frames
from cmsa.version import __version__


class ShardWorker:
    """Predicts one shard after the other.

    Args:
        plan: by what; it is loaded with the first shard, so that what goes wrong is told as any other error.
        folder: of the shards, an absolute path that is the same everywhere.
        home: working folder of the run, that relative names are relative to.
    """

    def __init__(self, plan: Plan, folder: Path, home: Path) -> None:
        self.plan, self.folder, self.home = plan, ShardFolder(folder), home

    @cached_property
    def opened(self) -> Opened:
        """The plan, loaded."""
        if self.plan.version != __version__:
            raise ValueError(f"cmsa is {self.plan.version} where the run began and {__version__} on {platform.node()}")
        if self.home.is_dir():  # on another machine names may be absolute, and the folder not there
            os.chdir(self.home)
        opened = self.plan.open()
        # PyTorch's threads would be in the way of another runtime's, as in a run without workers.
        torch.set_num_threads(self.plan.threads if isinstance(opened.predictor.network, nn.Module) else 1)
        return opened

    def predict(self, shard: Shard) -> None:
        """Predict a shard and write its rows, unless they are there."""
        opened = self.opened
        if not self.folder.file(shard).exists():
            with closing(self._rows(opened, shard)) as rows:
                self.folder.write(shard, rows)

    def _rows(self, opened: Opened, shard: Shard) -> Generator[Record, None, None]:
        """The rows, in which no picture has its number yet."""
        frames = read_frames(self.folder.inputs(shard))
        with closing(opened.pipeline().run(frames)) as results:
            for result in results:
                if isinstance(result, Notice):
                    yield notice_line(result)
                else:
                    yield result_line(result, opened.task, self.plan.classes, image_id=0)
