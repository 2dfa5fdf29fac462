"""Exported files run by ONNX Runtime and NumPy alone, for devices on which PyTorch is too heavy.

What it imports needs NumPy, Pillow and ONNX Runtime, and neither PyTorch nor OpenCV; see docs/edge.md.
"""

from cmsa.edge.predictor import EdgePredictor

__all__ = ["EdgePredictor"]
