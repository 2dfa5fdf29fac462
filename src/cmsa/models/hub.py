"""``save_pretrained``, ``from_pretrained`` and ``push_to_hub`` for models made by ``create_model``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

from huggingface_hub import PyTorchModelHubMixin, constants, hf_hub_download
from torch import nn


class HubModel(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="cmsa",
    license="mit",
    tags=["low-resolution", "cmsa", "arxiv:2412.02197"],
):
    """A module that goes to and comes from a local folder or the Hugging Face hub.

    The folder holds ``model.safetensors``, a weights file of :func:`cmsa.save_weights`, and its description again as
    ``config.json`` for people to read. Building a model from a file is the business of ``models.create``, which builds
    on this class, and so hands its functions down instead of being imported.
    """

    load_file: ClassVar[Callable[..., Any]]
    save_file: ClassVar[Callable[..., None]]

    def _save_pretrained(self, save_directory: Path) -> None:
        HubModel.save_file(save_directory / constants.SAFETENSORS_SINGLE_FILE, self)
        config = asdict(self.description) | {"input_size": self.input_size}  # type: ignore[call-overload]
        (save_directory / constants.CONFIG_NAME).write_text(json.dumps(config, indent=2), encoding="utf-8")

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
        path = Path(model_id) / constants.SAFETENSORS_SINGLE_FILE
        if not Path(model_id).is_dir():
            path = Path(
                hf_hub_download(
                    model_id,
                    constants.SAFETENSORS_SINGLE_FILE,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                )
            )
        size = options.get("input_size")
        model = HubModel.load_file(path, input_size=None if size is None else (size[0], size[1]))
        return model.to(map_location)  # type: ignore[no-any-return]
