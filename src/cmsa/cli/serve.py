"""``cmsa serve``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from cmsa.cli.arguments import (
    parse_count,
    parse_from_zero,
    parse_port,
    parse_positive,
    parse_share,
    parse_task_command,
    parse_threads,
    parse_wait,
)
from cmsa.guidance.extras import require
from cmsa.guidance.suggestion import as_option

TEXT = (
    "Answer over HTTP: a picture and boxes to keypoints, head pose or classes. Needs the extra serve: "
    "pip install 'cmsa[serve]'."
)
EXAMPLES = """
examples:
  cmsa serve pose
  cmsa serve head-pose --detector face:yunet.onnx --port 8001
  CMSA_TOKEN=... cmsa serve classify --weights mine.safetensors --host 0.0.0.0
  curl -H 'Content-Type: image/jpeg' --data-binary @park.jpg \\
      'http://127.0.0.1:8000/predict?boxes=\\{"xywh":\\[\\[318,92,56,151\\]\\]\\}'
  curl -F picture=@park.jpg -F 'boxes={"xywh": [[318, 92, 56, 151]]}' \\
      http://127.0.0.1:8000/predict
"""
TOKEN = "CMSA_TOKEN"
_LEAST_TOKEN = 16


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "task",
        type=parse_task_command,
        help="pose, head-pose, classify, or one that an installed package brings",
    )
    parser.add_argument("--weights", help="a shipped name, a weights file, a folder or a hub id")
    who = parser.add_argument_group("who may ask")
    who.add_argument("--host", default="127.0.0.1", help="address to listen on; by default this machine alone can ask")
    who.add_argument("--port", type=parse_port, default=8000, help="0 takes one that is free")
    who.add_argument(
        "--token-file", type=Path, help=f"file of the bearer token that requests must bear; or set {TOKEN}"
    )
    where = parser.add_argument_group("where to look when a request has no boxes")
    where.add_argument("--detector", help="as in cmsa predict; without one each whole picture is one box")
    where.add_argument("--threshold", type=parse_share, default=0.0, help="least score of a box, e.g. 0.5")
    where.add_argument(
        "--min-size", type=parse_from_zero, default=0.0, help="least longer side of a box in pixels, e.g. 16"
    )
    where.add_argument("--max-people", type=parse_count, help="boxes in a picture, the best first, e.g. 10")
    where.add_argument("--expand", type=parse_positive, default=1.0, help="factor by which boxes grow, e.g. 1.1")
    most = parser.add_argument_group("what is taken at most")
    most.add_argument("--max-megabytes", type=parse_positive, default=10.0, help="of a picture as it is sent; 10")
    most.add_argument("--max-megapixels", type=parse_positive, default=25.0, help="of a picture; 25")
    most.add_argument("--max-boxes", type=parse_count, default=100, help="of a request; 100")
    most.add_argument("--max-waiting", type=parse_count, default=64, help="requests; others get 429; 64")
    most.add_argument("--max-held", type=parse_positive, default=256.0, help="megabytes of all requests; 256")
    most.add_argument("--max-connections", type=parse_count, default=500, help="open at a time; 500")
    most.add_argument("--timeout", type=parse_positive, default=30.0, help="seconds to an answer; 30")
    most.add_argument("--body-timeout", type=parse_positive, default=10.0, help="seconds for a request to arrive; 10")
    how = parser.add_argument_group("how to run it")
    how.add_argument("--batch-size", type=parse_count, default=32, help="crops at a time, across requests; 32")
    how.add_argument(
        "--batch-wait", type=parse_wait, default=5.0, help="milliseconds to wait for requests that are on their way; 5"
    )
    how.add_argument("--workers", type=parse_threads, help="threads that decode pictures; one for each CPU")
    how.add_argument(
        "--runtime", choices=["torch", "onnxruntime", "openvino"], help="by default the fastest that is installed"
    )
    how.add_argument("--device", default="cpu", help="where PyTorch runs, e.g. cuda")
    how.add_argument("--threads", type=parse_threads, help="CPU threads of the network, e.g. 1")
    how.add_argument("--flip-test", action="store_true", help="average with the mirrored crop")
    how.add_argument("--top", type=parse_count, help="classes to answer with; 5")


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Answer until SIGTERM or Ctrl-C; what was accepted is finished then.

    Raises:
        ModuleNotFoundError: the extra is not installed.
        ValueError: an option is out of its range or cannot do anything, or the weights are for another task.
        OSError: the address cannot be listened on, or the token cannot be read.
    """
    require("serve", "the server")
    from cmsa.inference.applies import refuse_idle
    from cmsa.inference.detectors import Selection
    from cmsa.inference.files.command import TOP
    from cmsa.serve.limits import Limits
    from cmsa.serve.server import serve
    from cmsa.serve.service import Batching, Service, load_detector, load_predictor

    token = read_token(options.token_file)
    limits = Limits(
        options.max_megabytes,
        options.max_megapixels,
        options.max_boxes,
        options.max_waiting,
        options.max_held,
        options.max_connections,
        options.body_timeout,
        options.timeout,
    )
    batching = Batching(options.batch_size, options.batch_wait / 1000, options.workers or os.cpu_count() or 1)
    selection = Selection(options.threshold, options.min_size, options.max_people, options.expand)
    predictor = load_predictor(
        options.task, options.weights, device=options.device, threads=options.threads, runtime=options.runtime
    )
    detector = load_detector(options.detector, predictor, selection, options.threads) if options.detector else None
    refuse_idle(
        selection.asked() | {"top": options.top is not None},
        moving=True,
        following=True,
        detector=detector,
        task=predictor.task,
        spell=as_option,
    )
    top = TOP if options.top is None else options.top
    service = Service(predictor, detector, limits, batching, top=top, flip_test=options.flip_test)
    serve(service, options.host, options.port, token, lambda text: print(text, flush=True))
    return 0


def read_token(path: Path | None) -> str | None:
    """The bearer token: of a file, else of the environment; on the command line every user of the machine saw it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is too short to be a secret, or holds what no header can.
    """
    try:
        token = os.environ.get(TOKEN) if path is None else path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: a token is text, and this is no UTF-8") from error
    if token is None:
        return None
    if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        source = TOKEN if path is None else str(path)
        raise ValueError(f"{source}: a token is {_LEAST_TOKEN} or more printable ASCII letters without spaces")
    return token
