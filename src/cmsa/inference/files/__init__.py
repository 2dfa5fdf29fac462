"""What ``cmsa predict`` does: files and folders -> results as COCO's, JSON or CSV, and annotated pictures."""

from cmsa.inference.files.command import predict_files

__all__ = ["predict_files"]
