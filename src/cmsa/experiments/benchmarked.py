"""What ``cmsa benchmark`` measured, for the report: how long a network takes for one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cmsa.export.layout import deploy
from cmsa.files.read_json import expecting, read_json
from cmsa.models.cost import cost_of
from cmsa.models.create import load_weights


@dataclass(frozen=True)
class Times:
    """Milliseconds that a network takes for one image.

    Attributes:
        alone: of an image by itself.
        in_batch: of each image in a batch.
    """

    alone: float
    in_batch: float


@dataclass(frozen=True)
class Benchmark:
    """The fastest float32 times of networks.

    Attributes:
        batch: images in a batch; None where the file does not say it.
        times: by parameters and multiply-adds: these tell the very network, its size and its parts.
    """

    batch: int | None
    times: Mapping[tuple[int, int], Times]

    def of(self, weights: Path) -> Times | None:
        """The times of the network of weights, where it was measured.

        A benchmark counts what it exports, which is laid out otherwise than the fused network.
        """
        network = load_weights(weights)
        timed = cost_of(network, deploy(network), network.input_size)
        return self.times.get((timed.parameters, timed.with_attention))


def read_benchmark(file: Path) -> Benchmark:
    """The times in a benchmark's JSON.

    Raises:
        ValueError: it is none of ``cmsa benchmark``.
    """
    found: dict[tuple[int, int], Times] = {}
    content = read_json(file)
    with expecting("benchmark.json of cmsa benchmark", file):
        for row in content["rows"]:
            if row["precision"] == "float32":
                key = int(row["parameters"]), int(row["with_attention"])
                alone, throughput = float(row["latency"]), float(row["throughput"])
                if not throughput > 0:
                    raise ValueError("nothing in a second")
                in_batch = 1000 / throughput
                best = found.get(key, Times(alone, in_batch))
                found[key] = Times(min(best.alone, alone), min(best.in_batch, in_batch))
        batch = dict(content.get("conditions", {})).get("batch")
        return Benchmark(None if batch is None else int(batch), found)
