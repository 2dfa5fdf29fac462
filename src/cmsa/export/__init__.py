"""Trained models as files for other runtimes, held to what PyTorch computes."""

from cmsa.export.compare import Difference, ExportError
from cmsa.export.run import export

__all__ = ["Difference", "ExportError", "export"]
