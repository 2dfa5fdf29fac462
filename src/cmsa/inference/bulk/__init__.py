"""``cmsa predict --engine ray``: very many pictures in shards, which workers predict and nobody predicts twice."""

from cmsa.inference.bulk.command import SHARD_SIZE, predict_on_ray
from cmsa.inference.bulk.plan import Plan

__all__ = ["SHARD_SIZE", "Plan", "predict_on_ray"]
