"""Where PyTorch can compute on this machine."""

from __future__ import annotations

import torch


def usable_device(wanted: str | torch.device) -> torch.device:
    """The device, tried with one number.

    Args:
        wanted: ``cpu``, ``cuda``, ``cuda:1``, or what else PyTorch has here.

    Raises:
        ValueError: PyTorch knows no such device, or this machine has none.

    Examples:
        >>> usable_device("cpu")
        device(type='cpu')
    """
    try:
        device = torch.device(wanted)
        # One without numbers ("meta") gives none back.
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        here = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        raise ValueError(f"device {str(wanted)!r} cannot be used; PyTorch finds here: {', '.join(here)}") from error
    return device
