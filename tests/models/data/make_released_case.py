"""Make ``released_case.safetensors``: a tiny network in the format of the authors' release, with its outputs.

The numbers are random. The file was made by this code, after it had reproduced a network of that format that it did
not make (``test_released.py`` repeats that where the file is at hand); the case keeps it reproducing it.

    python tests/models/data/make_released_case.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from cmsa.models import CMSA
from cmsa.models.heads.heatmap import MixerFusion
from cmsa.models.released import to_released

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from conftest import randomise  # noqa: E402

CONFIGURATION = {
    "dims": (16, 16, 24),
    "depths": (1, 1, 1),
    "heads": ((2, 1, 1), (1, 2), (1, 1)),
    "kv_strides": ((2, 2, 1), (2, 2), (1, 2)),
    "input_size": (16, 8),
    "key_dim": 8,
    "mlp_ratio": 2,
}


def main() -> None:
    """Write the file beside this script."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    model = CMSA(**CONFIGURATION)
    model.head = MixerFusion(model.dims, 5)
    for parameter in model.parameters():
        if parameter.dim() < 3:
            parameter.data.normal_(0, 0.1, generator=generator)
    randomise(model, generator)
    tensors = {f"model.{name}": value.clone().contiguous() for name, value in to_released(model).items()}
    x = torch.randn(2, 3, 16, 8, generator=generator)
    model.double().eval()
    with torch.no_grad():
        maps = model.forward_maps(x.double())
        tensors |= {f"stage{index + 1}": value.float().contiguous() for index, value in enumerate(maps)}
        tensors |= {"input": x, "output": model.head(maps).float().contiguous()}
    save_file(tensors, HERE / "released_case.safetensors", {"configuration": json.dumps(CONFIGURATION)})


if __name__ == "__main__":
    main()
