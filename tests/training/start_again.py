"""Starts a command of cmsa again and again; what takes long to import is imported once.

A line of arguments on standard input begins a process, whose number is printed, and its exit code when it has ended.
"""

from __future__ import annotations

import os
import shlex
import sys

import lightning.pytorch
import tensorboard.compat.proto.event_pb2
import torch.utils.tensorboard

from cmsa.cli.main import main
from cmsa.training import train

IMPORTED = (lightning.pytorch, tensorboard.compat.proto.event_pb2, torch.utils.tensorboard, train)


def begin(arguments: list[str]) -> int:
    """A process that runs the command; its number."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        # The other end reads numbers only.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = main(arguments)
    finally:
        os._exit(code)


if __name__ == "__main__":
    for line in sys.stdin:
        process = begin(shlex.split(line))
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
