"""``save_pretrained``, ``from_pretrained`` and ``push_to_hub`` for networks made by ``create_model``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

from huggingface_hub import PyTorchModelHubMixin, constants
from torch import nn

from cmsa.models.pretrained import WEIGHTS_FILE, find_weights
from cmsa.models.weights import describe, save_weights


class HubModel(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="cmsa",
    license="mit",
    tags=["low-resolution", "cmsa", "arxiv:2412.02197"],
):
    """A module that goes to and comes from a local folder or the Hugging Face hub.

    The folder holds ``model.safetensors``, a weights file of ``cmsa.save_weights``, and its description again as
    ``config.json`` for people to read.
    """

    load_file: ClassVar[Callable[..., Any]]
    """``load_weights``, handed down by ``models.create``, which builds networks and so stands above them."""

    def _save_pretrained(self, save_directory: Path) -> None:
        save_weights(save_directory / WEIGHTS_FILE, self)
        config = json.dumps(asdict(describe(self)), indent=2)
        (save_directory / constants.CONFIG_NAME).write_text(config, encoding="utf-8")

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        map_location: str = "cpu",
        strict: bool = False,
        **options: Any,
    ) -> Self:
        path = find_weights(
            model_id,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        size = options.get("input_size")
        model = HubModel.load_file(path, input_size=None if size is None else (size[0], size[1]))
        return model.to(map_location)  # type: ignore[no-any-return]
