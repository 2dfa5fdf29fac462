"""What a network says must be numbers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

NOT_FINITE = "is not finite: the weights or the exported file are damaged, or the precision is too low"


def first_not_finite(decoded: Sequence[Tensor]) -> int | None:
    """The first image of a batch of which a network says NaN or infinity; None where all is well.

    Args:
        decoded: each (B, ...).

    Examples:
        >>> import torch
        >>> first_not_finite([torch.tensor([[1.0], [torch.nan]]), torch.ones(2)])
        1
    """
    # All at once first, for in prediction it is asked of every batch.
    wrong = [~part.isfinite() for part in decoded if not part.isfinite().all()]
    return min((int(part.reshape(len(part), -1).any(dim=1).nonzero()[0]) for part in wrong), default=None)
