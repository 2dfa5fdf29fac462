"""``cmsa app``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cmsa.cli.arguments import parse_port, parse_positive, parse_threads

TEXT = (
    "A page in the browser: a photo at any resolution, what the network sees of it and says of it, and where it looks. "
    "Needs the extra app: pip install 'cmsa[app]'."
)
EXAMPLES = """
examples:
  cmsa app --examples photos
  cmsa app --weights runs/mine/best.safetensors \\
      --detector nanodet.onnx --port 8000
"""
PHOTOS = Path("examples")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; by default this machine alone can")
    parser.add_argument("--port", type=parse_port, default=7860)
    parser.add_argument(
        "--weights", nargs="+", default=[], metavar="NAME", help="offered before those that came with cmsa"
    )
    parser.add_argument("--detector", help="of people, for pose: torchvision:NAME or FILE.onnx; tried on each upload")
    parser.add_argument("--face-detector", help="for head pose: face:FILE.onnx")
    parser.add_argument("--examples", type=Path, help="folder of photos to offer; examples, where there is one")
    parser.add_argument("--max-megabytes", type=parse_positive, default=10.0, help="of an uploaded file")
    parser.add_argument("--threads", type=parse_threads, default=1, help="of the CPU, for one look")


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command until it is interrupted."""
    import torch

    from cmsa.app.page import Settings, import_gradio
    from cmsa.app.serve import serve
    from cmsa.app.uploads import Limits
    from cmsa.app.viewer import viewers_by_task
    from cmsa.guidance.shipped import DEFAULT_WEIGHTS, shipped_names
    from cmsa.inference.detectors import make_detector

    print("loading Gradio and the networks", file=sys.stderr, flush=True)
    import_gradio()
    torch.set_num_threads(options.threads)
    asked = {"pose": options.detector, "head_pose": options.face_detector}
    shipped = sorted(shipped_names(), key=lambda name: name not in DEFAULT_WEIGHTS.values())
    settings = Settings(
        weights=viewers_by_task([*options.weights, *shipped]),
        detectors={task: make_detector(text) for task, text in asked.items() if text},
        examples=options.examples or (PHOTOS if PHOTOS.is_dir() else None),
        limits=Limits(megabytes=options.max_megabytes),
    )
    serve(settings, options.host, options.port)
    return 0
