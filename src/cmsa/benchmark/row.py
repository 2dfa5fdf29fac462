"""One line of the benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One network in one runtime and precision.

    Attributes:
        name, height, width: the network and its input.
        runtime, precision: how it was run.
        parameters, multiply_adds, with_attention: see ``Cost``.
        latency: milliseconds for one image.
        throughput: images a second, in batches.
        throughput_cpu: images for each second of processor time, which other processes disturb less.
        share_of_peak: operations a second, in batches, over those of the fastest matrix product in that precision.
        memory: megabytes that running one batch takes, beyond the loaded network.
    """

    name: str
    height: int
    width: int
    runtime: str
    precision: str
    parameters: int
    multiply_adds: int
    with_attention: int
    latency: float
    throughput: float
    throughput_cpu: float
    share_of_peak: float
    memory: float | None

    @property
    def network(self) -> str:
        """Name and input, as tables and plots call it."""
        return f"{self.name} {self.height}x{self.width}"
