"""Parameters, multiply-adds, memory and time of CMSA and of the usual networks, side by side in one run."""

from cmsa.benchmark.run import benchmark

__all__ = ["benchmark"]
