"""The variants by name."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, dict[str, Any]] = {
    # Ours, for small devices: a quarter of S's multiply-adds, most of them taken from the full-resolution stage.
    "cmsa_n": {
        "dims": (48, 96, 128),
        "depths": (1, 3, 2),
        "heads": ((1, 1, 1), (2, 2), (2, 2)),
        "kv_strides": ((2, 2, 1), (2, 2), (1, 2)),
    },
    "cmsa_s": {
        "dims": (96, 160, 224),
        "depths": (2, 4, 3),
        "heads": ((2, 2, 1), (3, 3), (4, 4)),
        "kv_strides": ((2, 2, 1), (2, 2), (1, 2)),
    },
    "cmsa_b": {
        "dims": (128, 192, 256),
        "depths": (2, 4, 3),
        "heads": ((1, 2, 1), (3, 4), (4, 5)),
        "kv_strides": ((2, 2, 1), (2, 2), (1, 2)),
    },
    "cmsa_l": {
        "dims": (128, 256, 320),
        "depths": (2, 4, 3),
        "heads": ((1, 2, 1), (3, 3), (4, 4)),
        "kv_strides": ((2, 2, 1), (2, 2), (1, 2)),
    },
}
"""The paper's S, B and L, and our N. B's second stage has 3 and 4 heads, as the authors' release; Table 1 says 3 and 3,
which would be 5.50 M parameters for pose instead of 5.72 M, and no checkpoint of the release would fit."""
