"""Vision on low-resolution crops with Cascaded Multi-Scale Attention.

The names below are the public interface; ``train``, ``evaluate`` and ``export`` are modules of their own, loaded
where they are used.
"""

from cmsa.inference.predictor import Predictor
from cmsa.inference.stream import stream
from cmsa.models.create import create_model, load_weights
from cmsa.models.fuse import fuse
from cmsa.models.network import CMSA
from cmsa.models.weights import save_weights
from cmsa.structures import Box, ClassScores, HeadPose, Keypoints

__version__ = "0.1.0"

__all__ = [
    "CMSA",
    "Box",
    "ClassScores",
    "HeadPose",
    "Keypoints",
    "Predictor",
    "create_model",
    "fuse",
    "load_weights",
    "save_weights",
    "stream",
]
