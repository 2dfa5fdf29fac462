"""What ``cmsa predict`` does: files and folders -> results as COCO's, JSON or CSV, and annotated pictures."""

from cmsa.inference.files.command import TASKS, predict_files

__all__ = ["TASKS", "predict_files"]
