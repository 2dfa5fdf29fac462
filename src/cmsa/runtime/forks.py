"""What a forked process may still compute: of its parent's threads it has none, and waits for them for ever.

PyTorch can do with one thread, as in the workers of its loaders. The threads of the other runtimes cannot be replaced.
"""

from __future__ import annotations

import os

import torch

_computed: set[str] = set()
_left_behind: set[str] = set()


def _after_fork() -> None:
    _left_behind.update(_computed)
    _computed.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def about_to_compute(runtime: str) -> None:
    """To be called before each computation.

    In a process that was forked from one that has computed with PyTorch, PyTorch is told to use one thread.

    Args:
        runtime: ``torch``, or the name of another one.

    Raises:
        RuntimeError: this process was forked from one that has computed with another runtime.
    """
    if runtime in _left_behind:
        if runtime != "torch":
            raise RuntimeError(
                f"{runtime} was used before this process was forked, and would wait here for ever: start processes "
                "with multiprocessing's spawn or forkserver, or use the runtime torch"
            )
        torch.set_num_threads(1)
        _left_behind.remove(runtime)
    _computed.add(runtime)
