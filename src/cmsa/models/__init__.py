"""The networks."""

from cmsa.models.create import create_model, load_weights
from cmsa.models.fuse import fuse
from cmsa.models.network import CMSA
from cmsa.models.released import load_released
from cmsa.models.weights import save_weights

__all__ = ["CMSA", "create_model", "fuse", "load_released", "load_weights", "save_weights"]
